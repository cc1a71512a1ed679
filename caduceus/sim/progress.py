"""Progress bars for a simulation that runs in a process of its own."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from caduceus.sim.step import Step

LOOK_EVERY_SECONDS = 0.2


@contextmanager
def watch(
    folder: Path, console: Console, counted: Mapping[str, int], unit: str = "vectors"
) -> Iterator[None]:
    """While the block runs, show how far the job in `folder` is, a bar for all that is counted.

    Until the first vectors are through, the time that the build takes is shown.

    Args:
        folder: of the job.
        console: where the bars go.
        counted: how many there are of each, such as the vectors of every layer.
        unit: what stands behind the numbers.
    """
    columns = (
        TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"), TimeElapsedColumn(),
    )  # fmt: skip
    finished = threading.Event()
    if not console.is_terminal:
        # Bars are drawn on a terminal only; elsewhere they appear once, at the end.
        console.print("building and simulating", highlight=False)
    with Progress(*columns, console=console) as bar:
        build = bar.add_task("building", total=1, unit="")
        tasks = {
            name: bar.add_task(name, total=total, unit=unit, start=False)
            for name, total in counted.items()
        }

        def show() -> None:
            step = Step.load(folder)
            if step is None:
                return
            bar.update(build, completed=1)
            for name, done in step.done.items():
                bar.start_task(tasks[name])
                bar.update(tasks[name], completed=done, unit=step.note or unit)

        def follow() -> None:
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
