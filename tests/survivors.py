"""Which processes a test has left: they carry its mark in their environment."""

import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 20
"""Within which all must be gone, on a machine that is busy with other things."""
START = 120
"""Seconds within which a program has started there, its imports included."""


def of(mark: str) -> list[int]:
    """Processes that have `mark` in their environment, except those that have ended."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def until(condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Wait until it holds.

    Raises:
        AssertionError: it does not.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def programs(mark: str) -> set[str]:
    """What these processes run."""
    found = set()
    for number in of(mark):
        try:
            found.add(Path(f"/proc/{number}/comm").read_text().strip())
        except OSError:
            continue
    return found
