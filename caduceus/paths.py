"""Where things are in the repository."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BUILD = REPOSITORY / "build"
"""Everything that commands make; `make clean` removes it."""
HARNESS = REPOSITORY / "tb" / "sv"


def absolute(name: str) -> str:
    """A path of a description, whole; a name as it is."""
    return str(Path(name).resolve()) if name.endswith((".yaml", ".yml")) else name
