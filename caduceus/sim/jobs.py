"""Jobs: processes that each simulate a part of the inputs, in a folder of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from caduceus.sim.job import Job
from caduceus.sim.job_file import JobFile
from caduceus.spec import processes
from caduceus.spec.errors import UserError

LOOK_EVERY_SECONDS = 0.05
LOG = "job.log"
"""What a job's process prints: in its folder."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Ran(JobFile, name="ran.json"):
    """How a job's process ended.

    Attributes:
        error: what went wrong, in one sentence; empty if nothing did.
        waves: the FST file, of a job with waves.
        build_seconds: wall-clock time of building the RTL, or of waiting for another that does.
    """

    error: str = ""
    waves: str | None = None
    build_seconds: float = 0

    @classmethod
    def of(cls, folder: Path) -> "Ran | None":
        """That of a job; None if its process ended without one."""
        try:
            return cls.load(folder)
        except FileNotFoundError:
            return None


class Pool(Protocol):
    """Whoever runs jobs."""

    def __call__(self, folders: Sequence[Path], place: Path, build: Path | None) -> None:
        """Run jobs to their end; each leaves its report and a `Ran` in its folder.

        None runs on when this returns or raises.

        Args:
            folders: of the jobs.
            place: folder of the build that they share.
            build: folder of builds, see `caduceus.spec.shipped.build_folder`.

        Raises:
            UserError: of the first job that failed.
        """


def processes_here(folders: Sequence[Path], place: Path, build: Path | None) -> None:
    """The pool of this machine: all jobs at once; see `Pool`."""
    with ExitStack() as stack:
        waiting = {
            folder: stack.enter_context(started(folder, place, build, len(folders)))
            for folder in folders
        }
        while waiting:
            time.sleep(LOOK_EVERY_SECONDS)
            for folder, process in list(waiting.items()):
                if process.poll() is not None:
                    del waiting[folder]
                    demand_success(folder, process.returncode)


@contextmanager
def started(
    folder: Path, place: Path, build: Path | None, jobs: int = 1
) -> Iterator[subprocess.Popen]:
    """The process of a job, one of `jobs` on this machine: as `caduceus.spec.processes.started`."""
    threads = str(max(1, len(os.sched_getaffinity(0)) // jobs))
    path = os.pathsep.join(filter(None, sys.path))
    environment = dict.fromkeys(_THREADS, threads) | os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-m", "caduceus.sim.run_job", folder, place]
    command += [build] if build else []
    with (folder / LOG).open("w", encoding="utf-8") as log:
        options = {"stdout": log, "stderr": subprocess.STDOUT}
        with processes.started(command, env=environment, **options) as process:
            yield process


def demand_success(folder: Path, status: int) -> None:
    """Raise `UserError` unless the job's process, which ended with `status`, did its work."""
    job, ran = Job.load(folder).job, Ran.of(folder)
    if ran is None:
        raise UserError(f"job {job}: the process ended with status {status}: see {folder / LOG}")
    if ran.error:
        raise UserError(f"job {job}: {ran.error}")
