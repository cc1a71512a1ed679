"""Several simulator processes: what they find together is what one finds, and none survives."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import REPOSITORY, here
from distributed import LocalCluster
from survivors import START, of, programs, until

from caduceus import data
from caduceus.compiler.network import compile_network
from caduceus.devices.settings import Devices
from caduceus.golden.machine import TileTrace
from caduceus.sim import job as files
from caduceus.sim import parts, pipeline, run_job
from caduceus.sim.golden import Golden
from caduceus.sim.jobs import LOG, Ran, demand_success
from caduceus.sim.moments import JoinedMoments, Moments, SyncClock
from caduceus.sim.pipeline import UNITS, Activity, Events
from caduceus.sim.result import Figures, Result
from caduceus.sim.share import ALL, Share, reads_before, shares, units_of
from caduceus.sim.simulation import Simulation, period_of
from caduceus.sim.step import Step
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network
from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing
from caduceus.study import scheduled_jobs
from caduceus.study.scheduled_jobs import scheduled

pytestmark = pytest.mark.xdist_group("sim")
"""One worker for all of them: runs of one chip in one simulator wait for each other."""

TINY = Chip.find("tiny")
NOISY = Devices.find("hermes_tdp", seed=7, age=3600)
COUNTS = (
    "network", "chip", "read_mode", "target", "devices", "inputs", "tiles", "slices", "simulator",
    "simulator_version", "values_compared", "mismatches", "values_by_layer", "mismatches_by_layer",
    "first_mismatch", "first_mismatches", "mvms", "bottleneck",
)  # fmt: skip
"""Figures that do not depend on the number of processes."""


def program_of(name: str, mode: ReadMode = ReadMode.FOUR_PHASE) -> Program:
    network = Network.find(name)
    largest = NOISY.settings.largest_code
    return compile_network(network, TINY, mode, largest_code=largest, sample=data.sample(network))


def inputs(program: Program, count: int, steps: int = 3) -> np.ndarray:
    vectors = steps if program.slices else program.input_pixels
    shape = count, vectors, program.input_length
    return np.random.default_rng(5).integers(-127, 128, shape, np.int8)


def demand_equal(got: Result, expected: Result) -> None:
    """Everything but times is that of one process."""
    for name in COUNTS:
        assert getattr(got.figures, name) == getattr(expected.figures, name), name
    assert np.array_equal(got.outputs, expected.outputs)
    assert list(got.tiles) == list(expected.tiles) and got.tiles
    for number, trace in expected.tiles.items():
        assert np.array_equal(got.tiles[number].results, trace.results)
        assert np.array_equal(got.tiles[number].sent, trace.sent)
    if expected.state:
        assert np.array_equal(got.state.hidden, expected.state.hidden)
        assert np.array_equal(got.state.cell, expected.state.cell)


@pytest.mark.parametrize(
    ("name", "count", "jobs", "simulator"),
    [
        ("resnet_tiny", 2, 2, "verilator"),
        # A process without a run step by step, and one with the end of those and a fast one.
        ("lstm_tiny", 2, 3, "verilator"),
        pytest.param("conv_32x16", 5, 3, "icarus", marks=pytest.mark.regress),
        pytest.param("resnet_tiny", 7, 4, "icarus", marks=pytest.mark.regress),
        pytest.param("lstm_tiny", 5, 4, "icarus", marks=pytest.mark.regress),
    ],
)
def test_processes_find_what_one_finds(
    tmp_path: Path, name: str, count: int, jobs: int, simulator: str
) -> None:
    """On devices with read noise, which is numbered from the first read of all."""
    program = program_of(name)
    x = inputs(program, count)
    simulation = Simulation(program, NOISY, simulator)
    alone = simulation.run(x, capture=True)
    assert alone.figures.mismatches == 0 and alone.figures.jobs is None
    assert simulation.jobs == [simulation.job]
    together = simulation.run(x, capture=True, jobs=jobs)
    assert [folder.name for folder in simulation.jobs] == [f"job_{k}" for k in range(jobs)]
    demand_equal(together, alone)
    # The noise counts, and golden's numbers are the same.
    golden = Golden(program, NOISY).run(x, capture=True)
    assert together.compare(golden).equal and together.compare(golden).values_compared > 0
    other = Golden(program, NOISY).run(x, first=1)
    assert not np.array_equal(other.outputs, golden.outputs)

    found, one = together.figures, alone.figures
    assert sum(job.count for job in found.jobs) == units_of(program, x)
    for clock in ("sync", "mvm"):
        assert found.cycles[clock] == sum(job.cycles[clock] for job in found.jobs)
    assert found.simulate_seconds == max(job.simulate_seconds for job in found.jobs)
    assert found.peak_mib == max(job.peak_mib for job in found.jobs)
    # The first process finds the chip as one process does; a period differs by how it begins.
    if not program.slices:
        assert found.latency_ns == one.latency_ns
    assert found.latency_with_input_ns == pytest.approx(one.latency_with_input_ns, rel=0.02)
    if not program.slices and all(job.count == 1 for job in found.jobs):
        assert found.period_ns is None
    else:
        assert found.period_ns == pytest.approx(one.period_ns, rel=0.02)
    assert all(0 < share["array"] <= 1 for share in found.shares.values())
    saved = together.save(tmp_path / "result.json")
    written = json.loads((tmp_path / "result.json").read_text())
    assert list(written) == [field.name for field in dataclasses.fields(Figures)]
    assert [job["count"] for job in written["jobs"]] == [job.count for job in found.jobs]
    assert Path(saved.figures.picture).read_bytes().startswith(b"\x89PNG")
    spans = json.loads(Path(saved.figures.trace).read_text())["traceEvents"]
    ends = [span["ts"] + span["dur"] for span in spans if span["ph"] == "X"]
    assert max(ends) <= found.simulated_us
    memory = sum(job.peak_mib for job in found.jobs)
    assert f"\n{jobs} jobs: peak memory {found.peak_mib:.0f} MiB of the largest, " in saved.report()
    assert f" {memory:.0f} MiB of all" in saved.report()


def test_more_processes_than_images_are_as_many_as_images() -> None:
    program = program_of("conv_32x16", ReadMode.ONE_PHASE)
    simulation = Simulation(program, simulator="icarus")
    simulation.prepare(inputs(program, 2), jobs=5)
    assert len(simulation.jobs) == 2
    simulation.prepare(inputs(program, 1), jobs=5)
    assert simulation.jobs == [simulation.job]
    with pytest.raises(UserError, match=r"^jobs: got 0, expected 1 or more$"):
        simulation.prepare(inputs(program, 2), jobs=0)


def damaged(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Invert one bit of every device of the last tile, of one job alone."""
    write = Simulation._write

    def wrong(self: Simulation, folder: Path, share: Share, x: np.ndarray) -> None:
        write(self, folder, share, x)
        if share.job == number:
            index = self.state.tiles - 1
            state = dataclasses.replace(self.state, codes=self.state.codes ^ 0x40)
            path = folder / files.STATES / f"state_{computing(self.program)[index].tile}.hex"
            path.unlink()
            pcm_state.write_hex(state, index, path)

    monkeypatch.setattr(Simulation, "_write", wrong)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--net", "resnet_tiny", "--images", 3), {"input": 2, "sequence": None, "run": None}),
        (
            ("--net", "lstm_tiny", "--images", 3, "--sequences", 2),
            {"input": 0, "sequence": 0, "run": "at full speed"},
        ),
    ],
)
def test_a_mismatch_in_one_process_is_named_as_of_all_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple, named: dict
) -> None:
    damaged(monkeypatch, 1)
    output = tmp_path / "result.json"
    run = here("sim", "--chip", "tiny", *options, "--jobs", 2, "--output", output)
    assert run.returncode == 1, run.stderr
    written = json.loads(output.read_text())
    first = written["first_mismatches"][0]
    assert {key: first[key] for key in named} == named and first["job"] == 1
    sequence = "" if named["sequence"] is None else "at full speed, sequence 0, "
    layer, unit = computing(program_of(options[1]))[-1].block.layer, first["unit"]
    assert written["first_mismatch"].startswith(f"{sequence}layer {layer}, tile ")
    assert f", {unit} {named['input']}, " in written["first_mismatch"]
    assert f" (sync clock {first['clock']} of job 1): expected " in written["first_mismatch"]
    assert written["mismatches"] == sum(written["mismatches_by_layer"].values()) > 0
    assert run.stdout.count("MISMATCH: ") == 1


def without_clocks(folder: Path) -> None:
    """Change a job so that its simulation fails."""
    dataclasses.replace(files.Job.load(folder), clock_half_periods_ps=()).save(folder)


def test_one_process_that_fails_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    name, value = "CADUCEUS_MARK", f"{os.getpid()}fails"
    monkeypatch.setenv(name, value)
    program = program_of("conv_32x16", ReadMode.ONE_PHASE)
    simulation = Simulation(program, simulator="icarus")
    simulation.prepare(inputs(program, 4000), jobs=2)
    without_clocks(simulation.jobs[1])
    sentence = r"^job 1: the simulation failed: run: list index out of range: see "
    with pytest.raises(UserError, match=sentence):
        simulation.simulate()
    # This process has the variable since its start at most.
    assert [pid for pid in of(f"{name}={value}") if pid != os.getpid()] == []
    assert not (simulation.jobs[0] / "report.json").exists()


@pytest.mark.parametrize("name", [files.CHIP, files.PROGRAM, files.STATE])
def test_a_file_that_a_job_lacks_is_one_sentence(name: str) -> None:
    simulation = Simulation(program_of("conv_32x16"), simulator="icarus")
    simulation.prepare(inputs(simulation.program, 2), jobs=2)
    (simulation.jobs[1] / name).unlink()
    with pytest.raises(UserError, match=rf"{simulation.jobs[1] / name}.*: No such file"):
        run_job.load(simulation.jobs[1])


def test_what_ends_without_an_outcome_names_its_log(tmp_path: Path) -> None:
    files.Job((1, 1), "icarus", "parallel", 1, False, 0, 1, 3).save(tmp_path)
    with pytest.raises(UserError, match=rf"^job 3: the process ended with status 137: see .*{LOG}"):
        demand_success(tmp_path, 137)
    Ran("no room").save(tmp_path)
    with pytest.raises(UserError, match=r"^job 3: no room$"):
        demand_success(tmp_path, 0)
    Ran().save(tmp_path)
    demand_success(tmp_path, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_survives_the_command(tmp_path: Path, number: int) -> None:
    mark = f"CADUCEUS_MARK={os.getpid()}of{number}"
    name, _, value = mark.partition("=")
    command = subprocess.Popen(
        [
            sys.executable, "-m", "caduceus", "sim", "--chip", "tiny", "--net", "conv_32x16",
            "--sim", "icarus", "--images", "5000", "--jobs", "2",
            "--output", str(tmp_path / "result.json"),
        ],
        cwd=REPOSITORY, env=os.environ | {name: value}, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until(lambda: "vvp" in programs(mark), "no simulator starts", START)
        command.send_signal(number)
        _, printed = command.communicate(timeout=60)
    finally:
        command.kill()
    until(lambda: not of(mark), f"{of(mark)} survive")
    if number == signal.SIGINT:
        assert (command.returncode, printed.strip()) == (130, "caduceus: interrupted")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[SimpleNamespace]:
    """A cluster that is there already, with two workers in this process."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1",
        dashboard_address=None, scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    ) as cluster:  # fmt: skip
        yield SimpleNamespace(address=cluster.scheduler_address)


def test_a_cluster_finds_what_one_process_finds(scheduler: SimpleNamespace, tmp_path: Path) -> None:
    """As the golden model says, by the command, on devices with read noise."""
    output = tmp_path / "result.json"
    what = "sim", "--chip", "tiny", "--net", "conv_32x16", "--sim", "icarus", "--images", 3
    devices = "--pcm", "hermes_tdp", "--seed", 7, "--age", "1h"
    where = "--output", output, "--scheduler", scheduler.address
    run = here(*what, *devices, *where)
    assert run.returncode == 0, run.stderr
    written = json.loads(output.read_text())
    assert [job["count"] for job in written["jobs"]] == [2, 1]
    program = program_of("conv_32x16")
    x = program.vectors(data.inputs(Network.find("conv_32x16"), 3).x)
    golden = Golden(program, NOISY).run(x, capture=True)
    assert written["outputs"] == golden.outputs.tolist()
    assert written["values_compared"] == golden.compare(golden).values_compared
    assert (written["mismatches"], written["mvms"]) == (0, 3 * 2)
    assert "simulating: 3 of 3 vectors in " in run.stdout
    run = here(*what, *where, "--waves")
    assert run.returncode == 2 and "--waves cannot be combined with --scheduler" in run.stderr


def test_a_job_that_fails_on_a_cluster_ends_the_others(
    scheduler: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, value = "CADUCEUS_MARK", f"{os.getpid()}scheduled"
    monkeypatch.setenv(name, value)
    program = program_of("conv_32x16", ReadMode.ONE_PHASE)
    simulation = Simulation(program, simulator="icarus")
    simulation.prepare(inputs(program, 4000), jobs=2)
    without_clocks(simulation.jobs[1])
    sentence = rf"^job 1: the simulation failed: run: .*: see {simulation.jobs[1]}/run\.log"
    with scheduled(scheduler.address) as pool, pytest.raises(UserError, match=sentence):
        simulation.simulate(pool=pool)
    mine = f"{name}={value}"
    until(lambda: not [pid for pid in of(mine) if pid != os.getpid()], "a job goes on")
    monkeypatch.setattr(scheduled_jobs, "_code", iter(["one", "other"]).__next__)
    simulation.prepare(inputs(program, 2), jobs=2)
    with (
        scheduled(scheduler.address) as pool,
        pytest.raises(UserError, match=r"^job 0: code of a worker differs from that of this"),
    ):
        pool(simulation.jobs[:1], simulation.place, None)


def test_shares_are_neighbors_and_complete() -> None:
    assert shares(5, 1) == [Share(0, 5)]
    assert shares(1, 4) == [Share(0, 1)]
    assert shares(7, 3) == [Share(0, 3, 0), Share(3, 2, 1), Share(5, 2, 2)]
    for units in range(1, 20):
        for jobs in range(1, 25):
            found = shares(units, jobs)
            assert len(found) == min(units, jobs)
            assert [n for one in found for n in range(one.first, one.first + one.count)] == list(
                range(units)
            )


def test_reads_before_a_share_are_those_of_its_tiles() -> None:
    """Also beyond the 32 bits that the array counts in."""
    images, text = program_of("resnet_tiny"), program_of("lstm_tiny")
    reads = [
        reads_before(images, inputs(images, 1), tile, Share(3, 1, 1)) for tile in computing(images)
    ]
    assert reads == [3 * count for count in (64, 16, 1, 4)]
    for tile in computing(text):
        assert reads_before(text, inputs(text, 2, 6), tile, Share(3, 1, 1)) == 18
    many = Share((1 << 32) // 64 + 1, 1, 1)
    assert reads_before(images, inputs(images, 1), computing(images)[0], many) == 64
    assert reads_before(images, inputs(images, 1), computing(images)[0], ALL) == 0


def test_moments_of_jobs_are_those_of_the_job_that_has_the_input() -> None:
    made = [
        Moments(
            TINY, SyncClock(1000 * job, 100, job), np.arange(4 * count).reshape(count, 2, 2),
            states={1: [[10 * n, 10 * n + 1] for n in range(count)]},
        )
        for job, count in enumerate((2, 1, 3))
    ]  # fmt: skip
    joined = JoinedMoments([(len(each.outputs), each) for each in made])
    for number, (job, inside) in enumerate([(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)]):
        assert joined.of_output((number, 1, 0)) == made[job].of_output((inside, 1, 0))
        assert joined.of_output((number, 1, 0)).job == job
        assert joined.of_state(1, number, 1) == made[job].of_state(1, inside, 1)
    assert str(joined.of_output((2, 0, 1))) == "at 1.100 ns (sync clock 1 of job 1)"
    with pytest.raises(IndexError):
        joined.of_output((6, 0, 0))


def test_runs_one_after_another_without_what_follows_their_ends() -> None:
    def events(start: int, end: int, spans: list[tuple[int, int]]) -> Events:
        starts, ends = (np.array(each, np.int64) for each in zip(*spans, strict=True))
        return Events({4: (Activity(starts, ends),) * len(UNITS)}, start, end)

    first = events(100, 200, [(110, 120), (190, 230), (240, 250)])
    second = events(50, 90, [(50, 60)])
    found = pipeline.joined([first, second])
    assert (found.start_ps, found.end_ps, found.jobs) == (0, 140, 2)
    assert found.activities[4][0].starts.tolist() == [10, 90, 100]
    assert found.activities[4][0].ends.tolist() == [20, 100, 110]
    assert found.shares()[4]["array"] == 30 / 140


def test_a_tile_with_a_vector_too_many_in_one_job_keeps_no_shape() -> None:
    """Though another job has one too few."""

    def trace(*shape: int) -> TileTrace:
        return TileTrace(np.zeros(shape, np.int8), np.zeros((2, 3, 4), np.int8))

    found = parts._trace([trace(2, 3, 4), trace(1, 3, 4)])
    assert found.results.shape == (3, 3, 4) and found.sent.shape == (4, 3, 4)
    assert parts._trace([trace(7, 4), trace(5, 4)]).results.shape == (12, 4)


def test_progress_of_jobs_is_added_up(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    assert Step.of_all(folders) is None
    Step({"images": 2}, "3 us").save(folders[0])
    Step({"images": 1, "pixels": 7}, "1 us").save(folders[2])
    assert Step.of_all(folders) == Step({"images": 3, "pixels": 7}, "in 3 jobs")
    assert Step.of_all(folders[:1]) == Step({"images": 2}, "3 us")


def test_a_period_is_the_mean_of_images_and_the_median_of_steps() -> None:
    report = SimpleNamespace(gaps=[10, 10, 40])
    assert period_of(program_of("resnet_tiny"), report) == 20
    assert period_of(program_of("lstm_tiny"), report) == 10
    assert period_of(program_of("lstm_tiny"), SimpleNamespace(gaps=[])) is None


def test_several_sequences_are_neighboring_pieces_of_a_text() -> None:
    network = Network.find("lstm_tiny")
    one, two = data.inputs(network, 8), data.inputs(network, 4, sequences=2)
    assert np.array_equal(two.x, one.x.reshape(2, 4, -1)) and two.count == 8
    assert np.array_equal(two.following, one.following.reshape(2, 4))
    program = program_of("lstm_tiny")
    assert np.array_equal(program.vectors(two.x), two.x)
    assert np.array_equal(program.vectors(two.x[0]), two.x[:1])
    sentence = r"^sequences: got 2 for network conv_32x16, which takes vectors: expected a network"
    with pytest.raises(UserError, match=sentence):
        data.inputs(Network.find("conv_32x16"), 4, sequences=2)
