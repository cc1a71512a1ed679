"""Files that ship with the library, and the folder that runs write to."""

import os
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from caduceus.spec.errors import UserError, shown
from caduceus.spec.files import present

BUILD_VARIABLE = "CADUCEUS_BUILD"
"""Environment variable that names the build folder."""


def shipped_folder(package: str) -> Path:
    """Folder of a package's files, on disk: a zipped package has none.

    Raises:
        UserError: the installation is broken.
    """
    try:
        return Path(str(files(package)))
    except ModuleNotFoundError:
        raise broken(f"there is no package {package}") from None


def catalogue(place: Path, pattern: str, what: str) -> list[Path]:
    """Files of `place` that match `pattern`, sorted: at least one.

    Raises:
        UserError: no file matches: the installation is broken.
    """
    found = sorted(place.glob(pattern))
    if not found:
        raise broken(f"there are no {what} in {place}")
    return found


def unknown(kind: str, name: str, names: Sequence[str]) -> UserError:
    """The error of a `name` that is not among the shipped `names` of a `kind`."""
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    if name and present(Path(f"{name}.yaml")):
        hint = f"did you mean {name}.yaml? "
    if name and present(Path(name)):
        inside = Path(name) / f"{kind}.yaml"
        hint = (
            f"did you mean {inside}? "
            if inside.is_file()
            else "it is a file or folder; the name of a description file ends in .yaml. "
        )
    return UserError(
        f"unknown {kind} {shown(name)}: {hint}expected one of {', '.join(names)}, or a file (.yaml)"
    )


def broken(reason: str) -> UserError:
    """The error of a missing file that ships with the library."""
    return UserError(f"the installation of Caduceus is broken: {reason}: install it again")


def build_folder(given: Path | str | None = None) -> Path:
    """Folder of all files that runs write.

    `given`, else that in the environment variable `CADUCEUS_BUILD`, else `build` in the working
    folder; never a folder of the installation.
    """
    return Path(given or os.environ.get(BUILD_VARIABLE) or "build").resolve()
