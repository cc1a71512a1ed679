"""Points measured by many processes: those of this machine, or of a Dask cluster.

Dask gives a point of a worker that dies to another, and replaces the workers that it started
itself. A point that fails is not tried again.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import resource_tracker
from typing import NoReturn

import dask
from distributed import Client, Future, LocalCluster, as_completed
from distributed.comm import connect
from distributed.scheduler import KilledWorker

from caduceus.spec.errors import UserError
from caduceus.spec.shipped import build_folder
from caduceus.study.points import Measured, Point, measure_as

CONNECT_SECONDS = 5
"""How long a scheduler, and its first worker, may take to answer."""
IMPORT_SECONDS = 60
"""How long a worker may take to import this project's code."""
_ONE_THREAD = {
    name: "1"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
}
"""As many workers as cores, so each with one thread."""


@dataclass(frozen=True)
class Workers:
    """Processes that measure.

    Attributes:
        scheduler: address of a Dask scheduler; None for processes of this machine.
        count: their number; None for one per core.

    Raises:
        UserError: both are given, or there would be no worker.
    """

    scheduler: str | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if self.scheduler is not None and self.count is not None:
            raise UserError(
                "--workers cannot be combined with --scheduler, which has its own workers"
            )
        if self.count is not None and self.count < 1:
            raise UserError(f"workers: got {self.count}, expected 1 or more")


@contextmanager
def cluster(workers: Workers, code: str = "caduceus.study.points") -> Iterator[Client]:
    """Workers, connected; those of this machine end with the block.

    Args:
        workers: which ones.
        code: module with what they are to do.

    Raises:
        UserError: the scheduler does not answer, has no worker, or runs without this code.
    """
    # What it has to say of workers that die is dealt with here.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if workers.scheduler is None:
        with _processes(workers.count or cores()) as client:
            yield client
        return
    _demand_scheduler(workers.scheduler)
    with _client(workers.scheduler) as client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise UserError(
                f"--scheduler {workers.scheduler}: got no workers, expected one or more"
            ) from None
        _demand_code(client, workers.scheduler, code)
        yield client


def _demand_scheduler(address: str) -> None:
    """Raise `UserError` unless a Dask scheduler answers at the address."""

    async def connected() -> None:
        (await connect(address, timeout=CONNECT_SECONDS)).abort()

    try:
        asyncio.run(connected())
    except Exception as error:  # Whatever is there may answer anything.
        raise UserError(
            f"--scheduler {address}: does not answer: expected the address of a running Dask "
            "scheduler, as in tcp://10.0.0.1:8786"
        ) from error


def _client(address: str) -> Client:
    """Connect to a scheduler that has just answered."""
    try:
        return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # It may have gone meanwhile, or be of another version.
        raise UserError(
            f"--scheduler {address}: cannot be used ({_text(error)}): expected one of the same "
            "Dask version that keeps running"
        ) from error


def _text(error: BaseException) -> str:
    """An error as part of a sentence."""
    return " ".join(str(error).split()) or type(error).__name__


def _demand_code(client: Client, address: str, code: str) -> None:
    """Raise `UserError` unless the scheduler and its workers can import the module `code`."""

    # A function within a function is sent as it is, not by its name.
    def load() -> None:
        import_module(code)

    try:
        # The limit is one of `Client.sync`, which both are made of.
        client.run_on_scheduler(load, callback_timeout=IMPORT_SECONDS)
        client.run(load, callback_timeout=IMPORT_SECONDS)
    except TimeoutError:
        raise UserError(
            f"--scheduler {address}: it or a worker did not import this project within "
            f"{IMPORT_SECONDS} s"
        ) from None
    except ImportError as error:
        raise UserError(
            f"--scheduler {address}: it or a worker cannot import this project ({error}): expected "
            "processes that run in its environment"
        ) from error


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def _processes(count: int) -> Iterator[Client]:
    # Starting Python's resource tracker unblocks SIGINT in the thread that does it. It is started
    # here, before SIGINT is blocked, lest one of the cluster's threads do it later.
    resource_tracker.ensure_running()
    # The threads that start workers, and so all workers, those that come later included, inherit
    # what is blocked here: a Ctrl-C, which a terminal sends to all, ends this process alone.
    with _interrupts_wait(), dask.config.set({"distributed.nanny.pre-spawn-environ": _ONE_THREAD}):
        cluster, client = _started(count)
    try:
        yield client
    finally:
        with _interrupts_wait():
            client.close()
            cluster.close()


def _started(count: int) -> tuple[LocalCluster, Client]:
    """A cluster of this machine's processes, and its client."""
    try:
        cluster = LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, memory_limit=0,
            host="127.0.0.1", dashboard_address=None, silence_logs=logging.CRITICAL,
            # It listens without a dashboard as well, at one fixed port if none is named.
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            local_directory=str(build_folder() / "dask"), env=_ONE_THREAD,
        )  # fmt: skip
        try:
            return cluster, Client(cluster, set_as_default=False)
        except BaseException:
            cluster.close()
            raise
    except Exception as error:  # Of the system, of Dask, or of what a worker imports.
        raise UserError(
            f"--workers {count}: cannot be started ({_text(error)}): expected as many as this "
            f"machine has memory for, and {build_folder() / 'dask'} writable"
        ) from error


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Put off a Ctrl-C to the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def measured(client: Client, points: Mapping[str, Point]) -> Iterator[tuple[str, Measured]]:
    """Measure points, by key, and yield the key and result of each one as it is finished.

    Raises:
        UserError: of the first point that failed, after the results of all others; or a point's
            workers die again and again, or the scheduler is gone.
    """
    futures = {
        key: client.submit(measure_as, point, key, key=f"point-{key}", pure=False)
        for key, point in points.items()
    }
    names = {future: key for key, future in futures.items()}
    failed = []
    for future in interruptible(as_completed(names, loop=client.loop)):
        if future.status == "finished":
            yield names[future], future.result()
        else:
            failed.append(future)
    if failed:
        fail(failed[0], points[names[failed[0]]], " (finished points are kept)")


def interruptible(futures: Iterator[Future]) -> Iterator[Future]:
    """Have a Ctrl-C end the iteration at the next future at the latest.

    The exception that it raises is lost where Python calls back, as into Dask's timing of its
    garbage collector.
    """
    came = []

    def interrupt(number: int, frame: object) -> None:
        came.append(number)
        signal.default_int_handler(number, frame)

    here = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, interrupt) if here else None
    try:
        for future in futures:
            if came:
                break
            yield future
        if came:
            raise KeyboardInterrupt
    finally:
        if here:
            signal.signal(signal.SIGINT, before)


def fail(future: Future, what: object, kept: str = "") -> NoReturn:
    """Raise what became of `what`, which has no result; `kept` is what a lost scheduler leaves.

    Raises:
        UserError: its workers died, or the scheduler is gone; or what the task raised.
    """
    if future.status == "error":
        error = future.exception()
        if isinstance(error, KilledWorker):
            raise UserError(
                f"{what}: every worker that took it died, most likely for want of memory"
            )
        raise error
    raise UserError(f"{what}: the scheduler is gone{kept}")
