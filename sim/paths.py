"""Where a run's files are."""

import os
from pathlib import Path

VARIABLE = "CADUCEUS_BUILD"
"""Environment variable that names the build folder."""


def build_folder(folder: Path | None = None) -> Path:
    """The folder of everything that commands make: builds of the RTL, jobs, results.

    `folder` if given, else what `CADUCEUS_BUILD` names, else `build` in the working folder. It is
    never where the package is installed.
    """
    return (folder or Path(os.environ.get(VARIABLE) or "build")).absolute()


def absolute(name: str) -> str:
    """A path of a description, whole; a name as it is."""
    return str(Path(name).resolve()) if name.endswith((".yaml", ".yml")) else name
