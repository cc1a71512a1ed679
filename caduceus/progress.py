"""Progress bars for a simulation that runs in a process of its own."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tb.network_job import Step

LOOK_EVERY_SECONDS = 0.2


@contextmanager
def watch(folder: Path, console: Console, layers: Mapping[str, int]) -> Iterator[None]:
    """While the block runs, show how far the job in `folder` is, a bar a layer.

    Until the first vectors are through, the time that the build takes is shown.

    Args:
        folder: of the job.
        console: where the bars go.
        layers: number of vectors of each layer, in the order in which they run.
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
            name: bar.add_task(name, total=vectors, unit="vectors", start=False)
            for name, vectors in layers.items()
        }

        def show() -> None:
            step = Step.load(folder)
            if step is None:
                return
            bar.update(build, completed=1)
            for name, task in tasks.items():
                # The layers run in order, so those before the reported one are complete.
                done = step.done if name == step.layer else layers[name]
                bar.start_task(task)
                bar.update(task, completed=done)
                if name == step.layer:
                    return

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
