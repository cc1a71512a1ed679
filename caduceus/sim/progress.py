"""Progress of a simulation in a process of its own: bars on a terminal, else lines."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from caduceus.sim.step import Step

LOOK_EVERY_SECONDS = 0.2
LINE_EVERY_SECONDS = 30.0
"""Interval of repeated lines during a long step, without a terminal."""


@contextmanager
def watch(
    folder: Path | Sequence[Path],
    console: Console,
    counted: Mapping[str, int],
    unit: str = "vectors",
) -> Iterator[None]:
    """While the block runs, show the progress of the job in `folder`: its build, then its counts.

    Args:
        folder: the job folder, or those of several jobs, whose counts are added up.
        console: for the progress: a bar per count on a terminal, else a line when a step begins and
            ends, and every `LINE_EVERY_SECONDS`.
        counted: the total of each count, for example the vectors of every layer.
        unit: unit of the counts.
    """
    folders = [folder] if isinstance(folder, Path) else folder
    kind = _Bars(console, counted, unit) if console.is_terminal else _Lines(console, counted)
    with kind as shown:
        finished = threading.Event()

        def show() -> None:
            step = Step.of_all(folders)
            if step is None:
                shown.build()
            else:
                shown.run(step)

        def follow() -> None:
            # An output that takes no more lines fails `show` in the main thread at the end.
            with suppress(OSError):
                while not finished.wait(LOOK_EVERY_SECONDS):
                    show()

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            finished.set()
            thread.join()
            show()


class _Bars:
    """One bar for the build, and one per count."""

    def __init__(self, console: Console, counted: Mapping[str, int], unit: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"), TimeElapsedColumn(), console=console,
        )  # fmt: skip
        self._unit = unit
        self._build = self._progress.add_task("building", total=1, unit="")
        self._tasks = {
            name: self._progress.add_task(name, total=total, unit=unit, start=False)
            for name, total in counted.items()
        }

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def build(self) -> None:
        """The build continues; its bar shows the time by itself."""

    def run(self, step: Step) -> None:
        """Show the simulation's counts."""
        self._progress.update(self._build, completed=1)
        for name, done in step.done.items():
            self._progress.start_task(self._tasks[name])
            self._progress.update(self._tasks[name], completed=done, unit=step.note or self._unit)


@dataclass
class _Lines:
    """Lines for a log: when a step begins and ends, and now and then in between."""

    console: Console
    counted: Mapping[str, int]
    _began: float = field(default_factory=time.monotonic)
    _last: float = field(default_factory=time.monotonic)
    _building: bool = True
    _finished: set[str] = field(default_factory=set)

    def __enter__(self) -> "_Lines":
        self._say("building: started")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def build(self) -> None:
        """The build continues."""
        if self._building and self._due():
            self._say(f"building: {self._seconds()}")

    def run(self, step: Step) -> None:
        """Show the simulation's counts."""
        if self._building:
            self._building = False
            self._say(f"building: done in {self._seconds()}")
            self._began = time.monotonic()
            self._say("simulating: started")
        for name, total in self.counted.items():
            if step.done.get(name, 0) >= total and name not in self._finished:
                self._finished.add(name)
                self._say(f"simulating: {total} of {total} {name} in {self._seconds()}")
        if len(self._finished) < len(self.counted) and self._due():
            counts = (f"{step.done.get(name, 0)} of {n} {name}" for name, n in self.counted.items())
            self._say(f"simulating: {', '.join(counts)}, {self._seconds()}")

    def _due(self) -> bool:
        return time.monotonic() - self._last >= LINE_EVERY_SECONDS

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began:.0f} s"

    def _say(self, line: str) -> None:
        self._last = time.monotonic()
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)
