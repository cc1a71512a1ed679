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
        UserError: there is none, which only a broken installation has.
    """
    try:
        return Path(str(files(package)))
    except ModuleNotFoundError:
        raise broken(f"there is no package {package}") from None


def catalogue(place: Path, pattern: str, what: str) -> list[Path]:
    """Files of `place` that match `pattern`, sorted: at least one.

    Raises:
        UserError: there is none, which only a broken installation has.
    """
    found = sorted(place.glob(pattern))
    if not found:
        raise broken(f"there are no {what} in {place}")
    return found


def unknown(kind: str, name: str, names: Sequence[str]) -> UserError:
    """What to raise where `name` is none of the `names` of a `kind` that ships with the library."""
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    if name and present(Path(name)):
        hint = "it is a file or folder; the name of a description file ends in .yaml. "
    return UserError(
        f"unknown {kind} {shown(name)}: {hint}expected one of {', '.join(names)}, or a file (.yaml)"
    )


def broken(reason: str) -> UserError:
    """What to raise where a file that ships with the library is missing."""
    return UserError(f"the installation of Caduceus is broken: {reason}: install it again")


def build_folder(given: Path | str | None = None) -> Path:
    """Folder of everything that runs make.

    It is `given`, else what `CADUCEUS_BUILD` in the environment names, else `build` in the working
    folder: never a folder of the installation.
    """
    return Path(given or os.environ.get(BUILD_VARIABLE) or "build").resolve()
