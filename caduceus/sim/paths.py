"""Paths of descriptions, for a simulation that runs in another folder."""

from pathlib import Path


def absolute(name: str) -> str:
    """A path of a description, whole; a name as it is."""
    return str(Path(name).resolve()) if name.endswith((".yaml", ".yml")) else name
