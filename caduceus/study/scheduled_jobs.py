"""Jobs of a simulation on a Dask cluster: each goes to a worker with its files, and comes back.

A worker has this project's code and a simulator of its own, and builds the chip at its first job.
"""

import hashlib
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from distributed import Client, Worker, as_completed, get_worker

from caduceus.sim import job as files
from caduceus.sim import runner
from caduceus.sim.job import Job
from caduceus.sim.jobs import Ran, demand_success, started
from caduceus.sim.run_files import working_files
from caduceus.sim.simulation import place_of, write_states
from caduceus.sim.step import Step
from caduceus.spec import pcm_state, program_file
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.shipped import build_folder, shipped_folder
from caduceus.spec.sources import sources
from caduceus.study.dask_workers import Workers, cluster, cores, fail, interruptible

LOOK_EVERY_SECONDS = 0.2
_CODE = ("caduceus.sim.run_job", "caduceus.sim.entry")
_BUILT_FROM = (".sv", ".v", ".cpp", ".mk")
"""What a simulator is built from, besides what Python writes."""
_Files = dict[str, bytes]
"""Files of a folder, by their paths in it."""


@dataclass(frozen=True)
class _Done:
    """What a worker gives back.

    Attributes:
        folder: of the job at the worker, as in its messages.
        status: of the job's process.
        files: of the folder.
    """

    folder: str
    status: int
    files: _Files


class ScheduledJobs:
    """A pool of jobs (`caduceus.sim.jobs.Pool`): the workers of a Dask cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def threads(self) -> int:
        """Jobs that the cluster runs at once."""
        return sum(self._client.ncores().values())

    def __call__(self, folders: Sequence[Path], place: Path, build: Path | None) -> None:
        """Run jobs, as `Pool` says; on a failure the others end within a second.

        Raises:
            UserError: a job failed; or its worker has other code or another simulator, died again
                and again, or lost its scheduler.
        """
        client = self._client
        topic = f"caduceus-{folders[0].name}-{time.time_ns()}"
        version = runner.tool_version(Job.load(folders[0]).simulator)

        def tell(event: tuple[object, Mapping]) -> None:
            _, message = event
            Step(message["done"], message["note"]).save(folders[message["job"]])

        client.subscribe_topic(topic, tell)
        with warnings.catch_warnings():
            # A program with its devices is large.
            warnings.filterwarnings("ignore", "Sending large graph")
            jobs = {
                client.submit(
                    _simulate, _packed(folder), _code(), version, topic, number,
                    key=f"{topic}-{number}", pure=False,
                ): folder
                for number, folder in enumerate(folders)
            }  # fmt: skip
        try:
            for future in interruptible(as_completed(list(jobs), loop=client.loop)):
                folder = jobs[future]
                if future.status != "finished":
                    fail(future, f"job {Job.load(folder).job}")
                _take(future.result(), folder)
        finally:
            client.cancel(list(jobs), force=True)
            client.unsubscribe_topic(topic)


@contextmanager
def scheduled(address: str) -> Iterator[ScheduledJobs]:
    """The pool of a Dask scheduler.

    Raises:
        UserError: as `caduceus.study.dask_workers.cluster`.
    """
    with cluster(Workers(scheduler=address), __name__) as client:
        yield ScheduledJobs(client)


def _take(done: _Done, folder: Path) -> None:
    """Put a worker's files into the job's folder here.

    Raises:
        UserError: the job failed.
    """
    _unpack(done.files, folder)
    ran = Ran.of(folder)
    if ran:
        replace(ran, error=ran.error.replace(done.folder, str(folder))).save(folder)
    demand_success(folder, done.status)


def _simulate(packed: _Files, code: str, version: str, topic: str, number: int) -> _Done | None:
    """Simulate a job at a worker; None if nobody waits for it any more.

    Args:
        packed: files of the job's folder.
        code: hash of the command's code.
        version: of its simulator.
        topic: of the messages about progress.
        number: of the job, in these messages.

    Raises:
        UserError: code or simulator are others here, or a file cannot be written.
    """
    worker, last = get_worker(), None
    place = build_folder() / "sim" / "scheduled"
    with working_files(place):
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place) as name:
            folder = Path(name)
            (folder / files.RECORD).mkdir()
            _unpack(packed, folder)
            job, chip = Job.load(folder), Chip.find(str(folder / files.CHIP))
            _demand_same(job, code, version)
            program = program_file.load(folder / files.PROGRAM, chip)
            write_states(program, pcm_state.load(folder / files.STATE, chip), folder)
            with started(folder, place_of(chip, job.simulator), None, cores()) as process:
                while process.poll() is None:
                    if _unwanted(worker):
                        return None
                    step = Step.load(folder)
                    if step != last:
                        last = step
                        message = {"job": number, "done": step.done, "note": step.note}
                        worker.log_event(topic, message)
                    time.sleep(LOOK_EVERY_SECONDS)
            return _Done(name, process.returncode, _packed(folder))


def _unwanted(worker: Worker) -> bool:
    """Whether the task of this thread was canceled, or its client is gone."""
    task = worker.state.tasks.get(worker.get_current_task())
    return task is None or task.state == "cancelled"


def _demand_same(job: Job, code: str, version: str) -> None:
    """Raise `UserError` unless code and simulator are the command's."""
    if _code() != code:
        raise UserError(
            f"job {job.job}: code of a worker differs from that of this command: expected the same "
            "files on both sides for the whole run"
        )
    found = runner.tool_version(job.simulator)
    if found != version:
        raise UserError(f"job {job.job}: simulator of a worker: got {found}, expected {version}")


@lru_cache(maxsize=1)
def _code() -> str:
    """Hash of all code that a simulation is made of, as at its first use in this process."""
    found = [path for module in _CODE for path in sources(module)]
    for package in ("caduceus.hdl", "caduceus.sim"):
        files_there = sorted(shipped_folder(package).rglob("*"))
        found += [path for path in files_there if path.suffix in _BUILT_FROM]
    digest = hashlib.sha256()
    for path in found:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _packed(folder: Path) -> _Files:
    """Files of a job's folder, without those that a worker can make, or nobody reads again."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".hex" and path.parent.name != "streams"
    }


def _unpack(packed: _Files, folder: Path) -> None:
    """Write files into a job's folder, in place of those that are there."""
    for name, content in packed.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        # Those of several jobs may be one file.
        path.unlink(missing_ok=True)
        path.write_bytes(content)
