"""How many values a simulation found equal, for whoever started it."""

import os
from pathlib import Path

VARIABLE = "CADUCEUS_TALLY"
"""Environment variable that names the file with a line for each comparison; if unset, none is."""


def add(values: int) -> None:
    """So many more values are equal."""
    name = os.environ.get(VARIABLE)
    if name:
        with Path(name).open("a", encoding="ascii") as file:
            file.write(f"{values}\n")


def total(path: Path) -> int:
    """All of them; none if nothing was compared."""
    try:
        return sum(map(int, path.read_text(encoding="ascii").split()))
    except FileNotFoundError:
        return 0
