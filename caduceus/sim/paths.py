"""Paths of descriptions, for a simulation in another folder."""

from pathlib import Path


def absolute(name: str) -> str:
    """An absolute path for the path of a description; a name stays."""
    return str(Path(name).resolve()) if name.endswith((".yaml", ".yml")) else name
