"""Ages of devices as people write them: `25s`, `1h`, `30d`, or seconds."""

import math
import re

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
"""Seconds of each unit."""
OLDEST = 1e10
"""Greatest age in seconds: more than three hundred years."""


def seconds(text: str) -> float:
    """Read an age: a number with a unit of `s`, `min`, `h` or `d`; seconds without one.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"\s*(\S*?)\s*(s|min|h|d)?\s*", text)
    age = float(found[1]) * _UNITS[found[2] or "s"] if found else math.nan
    if not math.isfinite(age):
        raise ValueError(text)
    return age


def words(age: float) -> str:
    """An age in the largest unit of which it is a whole number: `25 s`, `1 h`, `30 d`."""
    for unit, length in reversed(_UNITS.items()):
        if age >= length and age % length == 0:
            return f"{age // length:.0f} {unit}"
    return f"{age:g} s"
