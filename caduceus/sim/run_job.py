"""The process of a job: simulates what is in a job folder, and leaves its outcome there.

    python -m caduceus.sim.run_job FOLDER PLACE [BUILD]

FOLDER is of `caduceus.sim.job`, PLACE that of the build and BUILD that of all builds.
"""

import sys
from pathlib import Path

from caduceus.sim.jobs import Ran
from caduceus.sim.simulation import simulated
from caduceus.spec.errors import UserError


def main() -> None:
    """Simulate; an error that has a sentence is an outcome as well."""
    folder, place, *build = map(Path, sys.argv[1:])
    try:
        ran = simulated(folder, place, build[0] if build else None)
    except UserError as error:
        ran = Ran(error=str(error))
    ran.save(folder)


if __name__ == "__main__":
    main()
