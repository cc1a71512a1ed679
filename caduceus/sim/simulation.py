"""A program on the whole chip in a simulator: build, run, comparison of every value with golden."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, median

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.console import Console

from caduceus.devices.settings import Devices
from caduceus.golden.machine import Machine
from caduceus.sim import job as files
from caduceus.sim import pipeline, recording, runner
from caduceus.sim.beside import Check, beside
from caduceus.sim.chip_design import FLAT, HIERARCHICAL, PARALLEL, THREADS, default_threads
from caduceus.sim.chip_harness import write_harness
from caduceus.sim.comparison import compare, compared, results_per_input, scoreboard
from caduceus.sim.deploy import chip_of, deployed
from caduceus.sim.harness_files import HARNESS_SOURCES
from caduceus.sim.inputs import count, shaped
from caduceus.sim.job import ComparisonReport, Job, half_periods
from caduceus.sim.jobs import Pool, Ran, processes_here
from caduceus.sim.kept_design import kept_design
from caduceus.sim.parts import Part, joined, load
from caduceus.sim.progress import watch
from caduceus.sim.result import JobFigures, Result, figures
from caduceus.sim.run_files import empty, only_run, working_files
from caduceus.sim.schedule import Schedule, Timing, schedule
from caduceus.sim.share import Share, reads_before, shares, units_of
from caduceus.spec import pcm_state, program_file
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.extras import demand_extra
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing
from caduceus.spec.shipped import build_folder


def place_of(chip: Chip, simulator: str, build: Path | None = None) -> Path:
    """Folder of all files of runs of a chip in a simulator, in the folder of builds."""
    return build_folder(build) / "sim" / f"{chip.name}-chip-{simulator}"


@dataclass(frozen=True)
class Work:
    """What a job simulates: a program with its chip and the state of its devices."""

    program: Program
    chip: Chip
    state: PcmState


def simulated(
    work: Work,
    folder: Path,
    place: Path,
    build: Path | None,
    afterwards: Callable[[], None] | None = None,
) -> Ran:
    """Simulate the job in `folder`, and compare it; builds its chip first if need be.

    The golden model computes the same inputs beside the simulator.

    Args:
        work: of the job.
        folder: as `Simulation.prepare` makes it.
        place: folder of the build; jobs of one chip in one simulator share it.
        build: folder of builds; see `caduceus.spec.shipped.build_folder`.
        afterwards: called beside the simulator after the golden model.

    Raises:
        UserError: the build or the simulation failed.
    """
    job, chip = Job.load(folder), work.chip
    # Before golden's threads: a design is made in forks of this process. Of several jobs the first
    # one makes it, and the others wait.
    with only_run(place / "design", Console(quiet=True)), working_files(place):
        design = kept_design(
            place / "design", chip, job.simulator,
            record=True, verilation=job.verilation, build=build,
        )  # fmt: skip
        harness = write_harness(place / "design" / "chip_harness.sv", chip)
    with working_files(folder):
        inputs = schedule(work.program, chip, np.load(folder / files.INPUTS), Share.of(job))
    with beside(partial(_golden_seconds, work, inputs, afterwards)) as golden_seconds:
        ran = runner.run_bench(
            name=f"sim-{chip.name}-{job.simulator}",
            sources=[*design.sources, *HARNESS_SOURCES, harness],
            top="chip_harness",
            test_module="caduceus.sim.entry",
            simulator=job.simulator,
            build_dir=place
            / ("build" if job.verilation == PARALLEL else f"build-{job.verilation}"),
            run_dir=folder,
            extra_env={files.VARIABLE: str(folder)},
            plusargs=[*files.PLUSARGS, f"+{THREADS}={job.threads}"],
            build_args=design.arguments,
            engine=design.engine,
            waves=job.waves,
        )
        if not ran.ok:
            raise UserError(f"the simulation failed: {ran.sentence}")
        seconds = golden_seconds()
    with working_files(folder):
        _compared(work.program, inputs, folder, seconds).save(folder)
    return Ran(waves=ran.waves and str(ran.waves), build_seconds=ran.build_seconds)


def _golden_seconds(
    work: Work, inputs: Schedule, afterwards: Callable[[], None] | None, check: Check
) -> float:
    """Compute the expected values; the wall-clock time that it took."""
    started = time.monotonic()
    inputs.expect(Machine(work.program, work.chip, work.state), check)
    seconds = time.monotonic() - started
    if afterwards:
        afterwards()
    return seconds


def _compared(program: Program, inputs: Schedule, folder: Path, seconds: float) -> ComparisonReport:
    """Compare what a simulation left in `folder` with the values that golden took `seconds` for."""
    inputs.restore(folder / files.PLAYED)
    score = scoreboard()
    try:
        recorded = recording.all_tiles(folder / files.RECORD, program)
    except ValueError as error:
        raise UserError(f"cannot read a recording of the simulation: {error}") from None
    for which, expected, got in inputs.observed(recorded):
        compare(program, expected, got, score, which)
    return ComparisonReport(
        **compared(score), golden_seconds=seconds, golden_inputs=inputs.golden_inputs
    )


class Simulation:
    """A program on devices, run in RTL by a simulator; every value is compared with golden.

    >>> result = caduceus.Simulation(program, simulator="icarus").run(program.sample[:1])
    >>> print(result.figures.mismatches, result.cycles["sync"] > 0)
    0 True

    Attributes:
        program: with the host's corrections for the devices.
        chip, devices, state: the chip, its devices and their PCM state.
        place: folder of all files of a run; runs of one chip in one simulator share a build.
        job: working folder of the simulation, inside `place`.
        jobs: working folders of its processes: `job`, or several inside.
        waves: the FST file of each process, of a run with waves.

    Raises:
        UserError: the chip or the simulator is unknown, or program, chip and devices do not match.
    """

    def __init__(
        self,
        program: Program,
        devices: Devices | None = None,
        simulator: str = "verilator",
        build: Path | None = None,
        *,
        chip: Chip | None = None,
        waves: bool = False,
        threads: int | None = None,
        verilation: str | None = None,
        console: Console | None = None,
    ) -> None:
        """Prepare everything that does not depend on inputs.

        Args:
            program: from the compiler.
            devices: ideal ones if None.
            simulator: `verilator` or `icarus`.
            build: folder of builds; see `caduceus.spec.shipped.build_folder`.
            chip: the shipped chip that the program names if None.
            waves: whether to write every signal to an FST file.
            threads: number of threads that evaluate tiles, of all simulator processes together;
                with any number the same results; see `chip_design.default_threads` if None.
            verilation: how Verilator compiles the chip, see `caduceus.sim.chip_design`; if None,
                `parallel`, or `hierarchical` for waves.
            console: for the progress; none if None.
        """
        demand_extra("sim")
        runner.tool_version(simulator)
        self.devices = Devices.given(devices)
        self.chip = chip_of(program, chip)
        self._deployed = deployed(program, self.chip, self.devices)
        self.program, self.state = self._deployed.program, self._deployed.state
        self._simulator, self._waves = simulator, waves
        self._threads = threads or default_threads()
        self._verilation = verilation or (HIERARCHICAL if waves else PARALLEL)
        if waves and self._verilation == PARALLEL:
            raise UserError(
                f"waves need another verilation: got {PARALLEL}, expected {HIERARCHICAL} or {FLAT}"
            )
        self._console = console or Console(quiet=True)
        self._build = build
        self.place = place_of(self.chip, simulator, build)
        self.job = self.place / "run"
        self.jobs = [self.job]
        self._inputs: NDArray[np.int8] | None = None
        self._counted: Counter[str] = Counter()
        self.waves: list[Path] = []

    def run(
        self,
        x: ArrayLike,
        *,
        capture: bool = False,
        jobs: int = 1,
        pool: Pool = processes_here,
    ) -> Result:
        """Run inputs, and compare every tile's values, outputs and states with the golden model.

        Args:
            x: int8 [n, input_pixels, input_length]; of a program with GDPU slices [n, steps,
                input_length]. Or the user's own: floating-point numbers, uint8 images, or integers
                [n, steps] of an embedding, as `caduceus.host.real_values.to_int8` takes them.
            capture: whether to keep all computed and sent values of every tile.
            jobs: number of simulator processes that share the inputs, or the two runs of each
                sequence; at most one for each. Values, outputs and counts are those of one process;
                see `Figures` for times.
            pool: what runs them, if there are several: processes of this machine, or
                `caduceus.study.scheduled_jobs`.

        Raises:
            UserError: inputs do not fit, or the build or the simulation failed.
        """
        x = shaped(self.program, x)
        with only_run(self.place, self._console):
            self.prepare(x, jobs)
            return self.simulate(capture=capture, pool=pool)

    def prepare(self, x: ArrayLike, jobs: int = 1) -> None:
        """Write the jobs' files: chip, program, devices, inputs; removes those of earlier jobs.

        Raises:
            UserError: the files cannot be written.
        """
        program = self.program
        self._inputs = x = shaped(program, x)
        parts = shares(units_of(program, x), jobs)
        self.jobs = [self._folder(share) for share in parts]
        self._counted.clear()
        with working_files(self.place):
            empty(self.job)
            for share, folder in zip(parts, self.jobs, strict=True):
                mine = x if program.slices else x[share.first : share.first + share.count]
                self._write(folder, share, mine)
                self._counted.update(schedule(program, self.chip, mine, share).counted)

    def _folder(self, share: Share) -> Path:
        return self.job if share.job is None else self.job / f"job_{share.job}"

    def _write(self, job: Path, share: Share, x: NDArray[np.int8]) -> None:
        """Write the files of one job; what all share is linked to the first one's."""
        program, chip, first = self.program, self.chip, self.jobs[0]
        for folder in (files.STATES, files.RECORD):
            (job / folder).mkdir(parents=True)
        Job(
            clock_half_periods_ps=half_periods(chip),
            simulator=self._simulator,
            verilation=self._verilation,
            threads=max(1, self._threads // len(self.jobs)),
            waves=self._waves,
            first=share.first,
            count=share.count,
            job=share.job,
        ).save(job)
        np.save(job / files.INPUTS, x)
        for tile in computing(program):
            reads = reads_before(program, x, tile, share)
            (job / files.STATES / f"reads_{tile.tile}.txt").write_text(f"{reads}\n", "ascii")
        if job == first:
            # JSON is YAML.
            (job / files.CHIP).write_text(chip.model_dump_json(), encoding="utf-8")
            program_file.save(program, job / files.PROGRAM)
            write_states(program, self.state, job)
            if len(self.jobs) > 1:
                pcm_state.save(self.state, job / files.STATE)
            return
        images = (files.STATES / f"state_{tile.tile}.hex" for tile in computing(program))
        for name in (files.CHIP, files.PROGRAM, files.STATE, *images):
            (job / name).hardlink_to(first / name)

    def simulate(self, *, capture: bool = False, pool: Pool = processes_here) -> Result:
        """Build the chip if need be, and run what `prepare` wrote.

        Raises:
            UserError: the build or the simulation failed, or an output file is missing.
        """
        started = time.monotonic()
        with watch(self.jobs, self._console, self._counted):
            # The simulators are at work, and this process is not.
            ready = pipeline.prepare_to_draw
            if len(self.jobs) == 1:
                work = Work(self.program, self.chip, self.state)
                ran = [simulated(work, self.job, self.place, self._build, ready)]
            else:
                with beside(lambda _: ready()) as drawing:
                    pool(self.jobs, self.place, self._build)
                    drawing()
                ran = [Ran.load(folder) for folder in self.jobs]
        self.waves = [Path(each.waves) for each in ran if each.waves]
        with working_files(self.job):
            result = self._result(ran, capture)
        return result.with_figures(wall_seconds=time.monotonic() - started)

    def _result(self, ran: Sequence[Ran], capture: bool) -> Result:
        program, chip = self.program, self.chip
        parts = [load(program, chip, folder, capture) for folder in self.jobs]
        found = joined(program, parts)
        report, comparison, events = found.report, found.comparison, found.events
        result = Result(
            program,
            figures(self._deployed, "sim", self.devices, count(program, self._inputs)),
            found.outputs,
            found.tiles,
            found.state,
            events,
            found.moments,
        )
        active = events.shares()
        return result.with_figures(
            simulator=self._simulator,
            simulator_version=runner.tool_version(self._simulator),
            values_compared=comparison.values_compared,
            mismatches=comparison.mismatches,
            values_by_layer=comparison.values_by_layer,
            mismatches_by_layer=comparison.mismatches_by_layer,
            first_mismatch=comparison.first_mismatch,
            first_mismatches=comparison.first_mismatches,
            mvms=sum(report.mvms.values()),
            cycles=report.cycles,
            simulated_us=report.cycles["sync"] / chip.clocks.sync_mhz,
            **timing(program, chip, found.timing),
            bottleneck=events.bottleneck(program),
            shares={
                f"{pipeline.label(tile)} tile {tile.tile}": active[tile.tile]
                for tile in computing(program)
            },
            khz=report.cycles["sync"] / report.simulate_seconds / 1e3,
            build_seconds=max(each.build_seconds for each in ran),
            load_seconds=report.load_seconds,
            simulate_seconds=report.simulate_seconds,
            simulate_cpu_seconds=report.simulate_cpu_seconds,
            golden_inputs_per_second=comparison.golden_inputs / comparison.golden_seconds,
            peak_mib=report.peak_mib,
            jobs=self._shares(parts),
        )

    def _shares(self, parts: Sequence[Part]) -> list[JobFigures] | None:
        """Figures of each process, where there are several."""
        if len(parts) == 1:
            return None
        jobs = [Job.load(folder) for folder in self.jobs]
        return [
            JobFigures(
                job.first, job.count, part.report.cycles, part.report.simulate_seconds,
                part.report.peak_mib,
            )
            for job, part in zip(jobs, parts, strict=True)
        ]  # fmt: skip


def write_states(program: Program, state: PcmState, job: Path) -> None:
    """Write the devices of every computing tile for the arrays of a job to load.

    Raises:
        OSError: a file cannot be written.
    """
    for index, tile in enumerate(computing(program)):
        image = job / files.STATES / f"state_{tile.tile}.hex"
        pcm_state.write_hex(state, index, image)


def timing(program: Program, chip: Chip, measured: Timing) -> dict[str, float | None]:
    """Figures from the RTL's clock counts, at the description's clock rates; keys as `Figures`."""
    nanoseconds = 1e3 / chip.clocks.sync_mhz

    def middle(clocks: list[int]) -> float | None:
        return median(clocks) * nanoseconds if clocks else None

    clocks = period_of(program, measured)
    period = clocks and clocks * nanoseconds
    most = max(map(results_per_input, computing(program)))
    return {
        "latency_ns": middle(measured.latency),
        "latency_with_input_ns": middle(measured.latency_with_input),
        "latency_of_state_ns": middle(measured.latency_of_state),
        "latency_of_states_ns": middle(measured.latency_of_states),
        "period_ns": period,
        "cycles_per_input": clocks,
        "inputs_per_second": 1e9 / period if period else None,
        "mvm_rate_per_tile": most * 1e9 / period if period else None,
    }


def period_of(program: Program, measured: Timing) -> float | None:
    """Clocks from input to input: the mean, or of steps the median; None for a single input."""
    if not measured.gaps:
        return None
    return float(median(measured.gaps)) if program.slices else fmean(measured.gaps)
