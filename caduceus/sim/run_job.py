"""The process of a job: simulates and compares a job folder's inputs, and leaves the outcome there.

    python -m caduceus.sim.run_job FOLDER PLACE [BUILD]

FOLDER is of `caduceus.sim.job`, PLACE that of the build and BUILD that of all builds.
"""

import sys
from pathlib import Path

from caduceus.sim import job as files
from caduceus.sim.jobs import Ran
from caduceus.sim.run_files import working_files
from caduceus.sim.simulation import Work, simulated
from caduceus.spec import pcm_state, program_file
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError


def load(folder: Path) -> Work:
    """What the job in `folder` simulates.

    Raises:
        UserError: a file is missing or damaged.
    """
    with working_files(folder):
        chip = Chip.find(str(folder / files.CHIP))
        program = program_file.load(folder / files.PROGRAM, chip)
        return Work(program, chip, pcm_state.load(folder / files.STATE, chip))


def main() -> None:
    """Simulate; an error that has a sentence is an outcome as well."""
    folder, place, *build = map(Path, sys.argv[1:])
    try:
        ran = simulated(load(folder), folder, place, build[0] if build else None)
    except UserError as error:
        ran = Ran(error=str(error))
    ran.save(folder)


if __name__ == "__main__":
    main()
