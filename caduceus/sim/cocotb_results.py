"""Results of a simulation: its cocotb tests, or the end of a log."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from caduceus.spec.errors import UserError

TAIL_LINES = 40


class SimulationError(UserError):
    """A build or simulation without results; `tail` is the end of its log."""

    def __init__(self, sentence: str, log: Path, cause: str = "") -> None:
        super().__init__(f"{sentence}{': ' * bool(cause)}{cause}: see {log}")
        self.log = log
        self.tail = "\n".join(_lines(log)[-TAIL_LINES:])


class Unreadable(Exception):
    """A results file that is incomplete."""


@dataclass(frozen=True)
class Failure:
    """A failed cocotb test and its message."""

    name: str
    message: str


@dataclass(frozen=True)
class BenchResults:
    """Result of one run of a test module.

    Attributes:
        passed, skipped: numbers of cocotb tests.
        failures: one per failed test.
        seed: random seed of the run.
        log: the simulation's output.
        waves: the FST file, of a run with waves.
        build_seconds, run_seconds: wall-clock time; close to 0 for a build that was up to date.
    """

    passed: int
    skipped: int
    failures: tuple[Failure, ...]
    seed: int
    log: Path
    waves: Path | None
    build_seconds: float
    run_seconds: float

    @property
    def failed(self) -> int:
        """Number of failed tests."""
        return len(self.failures)

    @property
    def ok(self) -> bool:
        """Whether at least one test ran and none failed."""
        return self.passed > 0 and self.failed == 0

    @property
    def sentence(self) -> str:
        """The first failure in one line, though its message may have several."""
        if self.failures:
            first = self.failures[0]
            return f"{first.name}: {_first_line(first.message)}: see {self.log}"
        return f"no cocotb test ran: see {self.log}"

    @property
    def report(self) -> str:
        """The failures: one line per failed test, the design's complaints, seed and log."""
        if not self.passed and not self.failed:
            return f"no cocotb test ran: see {self.log}"
        lines = [f"{failure.name}: {failure.message}" for failure in self.failures]
        lines += errors(self.log)
        total = self.passed + self.failed
        lines.append(f"{self.failed} of {total} failed, seed {self.seed}, log {self.log}")
        return "\n".join(lines)


def read(path: Path) -> tuple[int, int, tuple[Failure, ...]]:
    """Numbers of passed and skipped tests, and the failed ones, from cocotb's results file.

    Raises:
        Unreadable: the file is incomplete.
    """
    try:
        cases = list(ElementTree.parse(path).getroot().iter("testcase"))
    except ElementTree.ParseError:
        raise Unreadable(str(path)) from None
    failures = []
    skipped = 0
    for case in cases:
        skipped += case.find("skipped") is not None
        problem = case.find("failure")
        if problem is None:
            problem = case.find("error")
        if problem is not None:
            message = problem.get("message", "no message")
            failures.append(Failure(case.get("name", "?"), message.strip()))
    return len(cases) - skipped - len(failures), skipped, tuple(failures)


def cause(log: Path) -> str:
    """The line of a build or simulation log that names the cause; empty if none does."""
    lines = _lines(log)
    if any("No space left on device" in line for line in lines):
        return "No space left on device"
    marks = ("%Error", "%Fatal", "error:", "Error:", "ERROR:", "FATAL:", "sorry:", "syntax error")
    return next((_first_line(line) for line in lines if any(m in line for m in marks)), "")


def _first_line(text: str) -> str:
    """The first line of a message, without control characters, in 200 characters."""
    line = next(iter(text.strip().splitlines()), "").strip()
    printable = "".join(letter if letter.isprintable() else " " for letter in line)
    return printable if len(printable) <= 200 else printable[:199] + "…"


def errors(log: Path) -> list[str]:
    """The first complaints of the simulator, or of assertions in the design."""
    marks = ("FATAL:", "ERROR:", "%Error")
    return [line for line in _lines(log) if line.startswith(marks) or "%Fatal:" in line][:5]


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
