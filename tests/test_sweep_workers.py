"""Sweeps with real workers: processes that are killed, and schedulers that others started."""

import csv
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import Client, LocalCluster
from distributed.scheduler import KilledWorker
from rich.console import Console
from sweep_fakes import here

from caduceus.spec.errors import UserError
from caduceus.study import collect, dask_workers, sweep
from caduceus.study.dask_workers import Workers
from caduceus.study.point_store import PointStore
from caduceus.study.points import Point, key, measure
from caduceus.study.sweep import Grid

pytestmark = pytest.mark.xdist_group("sweep")
"""One worker for all of them: each starts processes of its own."""
QUIET = Console(quiet=True)
SEEDS = 60
REPOSITORY = Path(__file__).resolve().parent.parent


def different_converters(folder: Path, spread: float) -> str:
    """Settings whose points take a tenth of a second each, and differ with the seed."""
    path = folder / "spread.yaml"
    path.write_text(f"format: 1\nmodel: ideal\nadc_gain_spread: {spread}\n")
    return str(path)


def grid(pcm: str, seeds: range) -> Grid:
    return Grid(("fashion_tiny",), "tiny", ("4-phase",), (pcm,), seeds, (0.0,), (None,), 20)


def without_time(text: str) -> list[list[str]]:
    return [row[:-1] for row in csv.reader(text.splitlines())]


def gone(pid: int) -> bool:
    """Whether the process has ended, its parent having noticed or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_killed_worker_loses_nothing(tmp_path, monkeypatch):
    """Of two workers, one is killed when the first point is in."""
    pids = []

    @contextmanager
    def watched(workers: Workers):
        with dask_workers.cluster(workers) as client:
            pids.extend(client.run(os.getpid).values())
            yield client

    class Killing(PointStore):
        def save(self, *result) -> None:
            super().save(*result)
            if not gone(pids[0]):
                os.kill(pids[0], signal.SIGKILL)

    monkeypatch.setattr(collect, "cluster", watched)
    asked = grid(different_converters(tmp_path, 0.05), range(8))
    sweep.run(asked, Workers(count=2), tmp_path / "out", QUIET, Killing(tmp_path / "store"))
    assert len(pids) == 2 and gone(pids[0])
    found = (tmp_path / "out" / "points.csv").read_text()
    expected = {point: measure(point) for point in asked.points()}
    assert without_time(found) == without_time(sweep.table(expected))
    assert len({measured.value for measured in expected.values()}) > 1
    assert (tmp_path / "out" / "accuracy.png").read_bytes().startswith(b"\x89PNG")


def begun(pcm: str, output: Path, finished: int) -> subprocess.Popen:
    """`caduceus sweep` of many points on one worker, when so many are finished."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "caduceus", "sweep", "--chip", "tiny", "--net", "fashion_tiny",
            "--pcm", pcm, "--seeds", str(SEEDS), "--images", "20", "--workers", "1",
            "--output", output,
        ],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith(f"{finished} of {SEEDS}: "):
            return process
    raise AssertionError(process.communicate()[1])


@pytest.fixture
def stored(tmp_path):
    """A grid, and the files of its points where the command stores them; none is there."""
    asked = grid(different_converters(tmp_path, 0.0437), range(SEEDS))
    files = [REPOSITORY / "build" / "points" / f"{key(point)}.json" for point in asked.points()]
    for file in files:
        file.unlink(missing_ok=True)
    yield asked, files
    for file in files:
        file.unlink(missing_ok=True)


def test_what_ends_a_sweep_loses_no_finished_point(tmp_path, monkeypatch, stored):
    """Ctrl-C, which a terminal sends to the workers as well; then a kill; then the end."""
    asked, files = stored
    process = begun(asked.pcm[0], tmp_path / "out", 2)
    os.killpg(process.pid, signal.SIGINT)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 130 and printed.strip() == "caduceus: interrupted"
    first = sum(file.exists() for file in files)
    assert 2 <= first < SEEDS

    process = begun(asked.pcm[0], tmp_path / "out", first + 1)
    process.kill()
    process.communicate(timeout=60)
    second = sum(file.exists() for file in files)
    assert first + 1 <= second < SEEDS
    # Beside finished points there is nothing half written, and the table is whole.
    rows = (tmp_path / "out" / "points.csv").read_text().splitlines()
    assert second <= len(rows) <= second + 1 and all(row.count(",") == 12 for row in rows)

    measured = here(monkeypatch, measure)
    results = sweep.run(asked, Workers(), tmp_path / "out", QUIET)
    assert len(measured) == SEEDS - second and len(results) == SEEDS
    kept = {point: measure(point) for point in asked.points() if point not in measured}
    assert {point: results[point].value for point in kept} == {
        point: result.value for point, result in kept.items()
    }
    assert (tmp_path / "out" / "points.csv").read_text() == sweep.table(results)


@pytest.fixture
def scheduler():
    """A cluster that is there already, with workers in this process: address, and itself."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1",
        dashboard_address=None, scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    ) as cluster:  # fmt: skip
        yield SimpleNamespace(address=cluster.scheduler_address, cluster=cluster)


def test_a_scheduler_that_is_there(tmp_path, scheduler):
    asked = grid(different_converters(tmp_path, 0.05), range(3)).points()
    workers = Workers(scheduler=scheduler.address)
    found = collect.collect(asked, workers, QUIET, PointStore(tmp_path / "store"))
    assert {point: found[point].value for point in asked} == {
        point: measure(point).value for point in asked
    }
    # It is not ours to stop.
    with Client(scheduler.address, set_as_default=False, timeout=5) as client:
        assert client.submit(sum, [1, 2]).result(timeout=10) == 3


def test_a_scheduler_without_workers_is_reported(monkeypatch, scheduler):
    scheduler.cluster.scale(0)
    scheduler.cluster.sync(scheduler.cluster._correct_state)
    monkeypatch.setattr(dask_workers, "CONNECT_SECONDS", 0.5)
    with (
        pytest.raises(UserError, match=f"--scheduler {scheduler.address}: got no workers"),
        dask_workers.cluster(Workers(scheduler=scheduler.address)),
    ):
        pass


def test_something_else_than_a_scheduler_is_reported(monkeypatch):
    import socket

    monkeypatch.setattr(dask_workers, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(
            target=lambda: server.accept()[0].sendall(b"HTTP/1.0 400 No\r\n\r\n" * 9), daemon=True
        )
        thread.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(UserError, match="does not answer"),
            dask_workers.cluster(Workers(address)),
        ):
            pass


WITHOUT_THIS_PROJECT = """
import asyncio, sys
sys.modules["caduceus"] = None
from distributed import Scheduler, Worker

async def main():
    async with Scheduler(port=0, host="127.0.0.1", dashboard=False) as scheduler:
        async with Worker(scheduler.address, nthreads=1):
            print(scheduler.address, flush=True)
            await scheduler.finished()

asyncio.run(main())
"""


def test_workers_without_this_project_are_reported():
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_THIS_PROJECT], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = process.stdout.readline().strip()
        with (
            pytest.raises(UserError, match=f"^--scheduler {address}: it or a worker cannot import"),
            dask_workers.cluster(Workers(address)),
        ):
            pass
    finally:
        process.kill()
        process.communicate()


def test_a_point_that_fails_is_reported_after_the_others_are_measured(tmp_path, scheduler):
    """The second point's key is not the worker's: as if it had other code."""
    asked = grid(different_converters(tmp_path, 0.05), range(3)).points()
    named = {key(asked[0]): asked[0], "0" * 32: asked[1], key(asked[2]): asked[2]}
    found = {}
    with (
        Client(scheduler.address, set_as_default=False) as client,
        pytest.raises(UserError, match=r"seed 1: code, networks or settings of a worker differ"),
    ):
        for name, result in dask_workers.measured(client, named):
            found[name] = result
    # The others are measured all the same.
    assert {name: result.value for name, result in found.items()} == {
        key(asked[0]): measure(asked[0]).value, key(asked[2]): measure(asked[2]).value,
    }  # fmt: skip


def test_a_point_that_cannot_be_measured_is_named(tmp_path, scheduler):
    """Converters so different that some cannot be calibrated; the settings are allowed."""
    path = tmp_path / "far.yaml"
    path.write_text(
        "format: 1\nmodel: ideal\nadc_gain_spread: 0.3\nadc_offset: 10\ncalibrate: true\n"
    )
    (point,) = grid(str(path), range(1, 2)).points()
    with (
        Client(scheduler.address, set_as_default=False) as client,
        pytest.raises(UserError, match=r", far, seed 1: calibration: column .* expected"),
    ):
        dict(dask_workers.measured(client, {key(point): point}))


@pytest.mark.parametrize(
    ("future", "sentence"),
    [
        (
            SimpleNamespace(status="error", exception=lambda: KilledWorker("a", None, 3)),
            "every worker that took it died",
        ),
        (SimpleNamespace(status="lost"), r"the scheduler is gone \(finished points are kept\)"),
    ],
)
def test_what_became_of_a_point_without_a_result(future, sentence):
    point = Point("fashion_tiny", "tiny", "4-phase", "ideal", False, 0, 0.0, 20)
    with pytest.raises(UserError, match=f"^fashion_tiny on tiny, 4-phase, ideal: {sentence}"):
        dask_workers.fail(future, point, " (finished points are kept)")


@pytest.mark.parametrize("after", [0, 2])
def test_an_interrupt_that_got_lost_counts_at_the_next_point(after):
    def losing():
        for number in range(3):
            if number == after:
                with suppress(KeyboardInterrupt):
                    os.kill(os.getpid(), signal.SIGINT)
            yield number

    before, seen = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt):
        for number in dask_workers.interruptible(losing()):
            seen.append(number)
    assert seen == list(range(after)) and signal.getsignal(signal.SIGINT) is before


def test_workers_of_both_kinds_or_none_are_refused():
    with pytest.raises(UserError, match="--workers cannot be combined with --scheduler"):
        Workers("tcp://127.0.0.1:8786", 2)
    with pytest.raises(UserError, match="workers: got 0, expected 1 or more"):
        Workers(count=0)


@pytest.mark.parametrize("name", ["LocalCluster", "Client"])
@pytest.mark.parametrize(
    ("error", "printed"), [(OSError(12, "Cannot allocate memory"), "Cannot allocate memory"),
                        (TimeoutError(), "TimeoutError"), (RuntimeError("no\nport"), "no port")]
)  # fmt: skip
def test_workers_that_cannot_be_started_are_reported(monkeypatch, name, error, printed):
    closed = []

    def fails(*_arguments, **_options):
        raise error

    started = SimpleNamespace(close=lambda: closed.append(True))
    monkeypatch.setattr(dask_workers, "LocalCluster", lambda **_: started)
    monkeypatch.setattr(dask_workers, name, fails)
    with (
        pytest.raises(UserError, match=r"^--workers 2: cannot be started \(") as caught,
        dask_workers.cluster(Workers(count=2)),
    ):
        pytest.fail("there are no workers")
    assert printed in str(caught.value) and "\n" not in str(caught.value)
    assert closed == ([True] if name == "Client" else [])


def test_a_scheduler_that_goes_away_is_reported(monkeypatch):
    def fails(*_arguments, **_options):
        raise TimeoutError

    monkeypatch.setattr(dask_workers, "_demand_scheduler", lambda _: None)
    monkeypatch.setattr(dask_workers, "Client", fails)
    with (
        pytest.raises(UserError, match=r"^--scheduler tcp://a:1: cannot be used \(TimeoutError\)"),
        dask_workers.cluster(Workers("tcp://a:1")),
    ):
        pytest.fail("there is no scheduler")


def test_workers_that_do_not_answer_in_time_are_reported():
    def late(_function, callback_timeout):
        assert callback_timeout == dask_workers.IMPORT_SECONDS
        raise TimeoutError

    client = SimpleNamespace(run_on_scheduler=late, run=late)
    with pytest.raises(UserError, match=r"^--scheduler a: it or a worker did not import .* 60 s"):
        dask_workers._demand_code(client, "a", "caduceus.study.points")
