"""Work in a thread beside a simulation, which has processes of its own."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")


@contextmanager
def beside(work: Callable[[], Result]) -> Iterator[Callable[[], Result]]:
    """Start `work`; gives a function that waits for its result, or raises its exception.

    If the block fails, nobody waits for the work: it goes on to its end, and ends with the process.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # raised again by whoever waits
            future.set_exception(error)

    # Not of a pool: Python waits for those at its end, and so would Ctrl-C.
    threading.Thread(target=run, daemon=True).start()
    yield future.result
