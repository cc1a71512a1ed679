"""Work in a thread beside a simulation, which has processes of its own."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")
Check = Callable[..., None]
"""Called by the work now and then; raises `Dropped` once nobody waits for the result."""


class Dropped(Exception):
    """Nobody waits for the work any more."""


@contextmanager
def beside(work: Callable[[Check], Result]) -> Iterator[Callable[[], Result]]:
    """Start `work`; gives a function that waits for its result, or raises its exception.

    If the block fails, the work ends at its next check, and the block's error waits for that: a
    fork beside a thread could deadlock. Only Ctrl-C does not wait.
    """
    future: Future[Result] = Future()
    dropped = threading.Event()

    def check(*_: object) -> None:
        if dropped.is_set():
            raise Dropped

    def run() -> None:
        try:
            future.set_result(work(check))
        except BaseException as error:  # raised again by whoever waits
            future.set_exception(error)

    # Not of a pool: Python waits for those at its end, and so would Ctrl-C.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield future.result
    except Exception:
        dropped.set()
        thread.join()
        raise
    finally:
        dropped.set()
