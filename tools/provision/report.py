"""What the set-up says: short lines, progress where something takes long, and its error type."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

PREFIX = "set-up: "
"""Marks every line that comes from the set-up, among those of make and of what runs after it."""

SECONDS_BETWEEN_LINES = 15.0
"""How often progress is repeated where the output is a file or a log and cannot be overwritten."""


class SetupError(Exception):
    """A problem that the user can solve: one sentence with what is wrong and what to do."""


class DiskFullError(SetupError):
    """There is no room left: going on in another way would not help."""


def say(line: str) -> None:
    """Print one line for the user, at once even when the output is a pipe."""
    print(PREFIX + line, flush=True)


def minutes(seconds: float) -> str:
    """Write a duration as the reader thinks of it: `42 s` or `3 min 05 s`."""
    whole = int(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


@dataclass
class Progress:
    """One long step: a line rewritten in place on a terminal, a line now and then elsewhere.

    Attributes:
        what: The step, as a noun phrase: "compiling Verilator 5.048".
        output: Where it is written; standard output when not given.
    """

    what: str
    output: TextIO = field(default_factory=lambda: sys.stdout)
    _began: float = field(default_factory=time.monotonic)
    _last: float = field(default_factory=time.monotonic)
    _width: int = 0

    def show(self, done: int = 0, total: int = 0) -> None:
        """Show the progress: `done` of `total` if a total is known, and the time so far."""
        now = time.monotonic()
        on_terminal = self.output.isatty()
        if not on_terminal and now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = now
        line = PREFIX + self.what
        if total:
            line += f": {min(done, total)} of {total}"
        line += f", {minutes(now - self._began)}"
        if on_terminal:
            self.output.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self.output.write(line + "\n")
        self.output.flush()

    def close(self) -> float:
        """End the line that was being rewritten, and return the seconds the step took."""
        if self._width:
            self.output.write("\r" + " " * self._width + "\r")
            self.output.flush()
        return time.monotonic() - self._began
