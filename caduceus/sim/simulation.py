"""A program on the whole chip in a simulator: build, run, comparison of every value with golden."""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from caduceus.devices.settings import Devices
from caduceus.golden.machine import Machine, TileTrace
from caduceus.sim import job as files
from caduceus.sim import pipeline, recording, runner
from caduceus.sim.beside import Check, beside
from caduceus.sim.chip_harness import CHIP_ARGUMENTS, write_harness
from caduceus.sim.cocotb_results import BenchResults
from caduceus.sim.comparison import by_input, compare, compared, results_per_input, scoreboard
from caduceus.sim.deploy import chip_of, deployed
from caduceus.sim.harness_files import HARNESS_SOURCES
from caduceus.sim.inputs import count, one_sequence
from caduceus.sim.job import Job, SimulationReport, half_periods
from caduceus.sim.kept_design import kept
from caduceus.sim.pipeline import Events
from caduceus.sim.progress import watch
from caduceus.sim.recording import Recorded
from caduceus.sim.result import Result, figures
from caduceus.sim.run_files import empty, only_run, working_files
from caduceus.sim.schedule import Schedule, Timing, schedule
from caduceus.spec import pcm_state, program_file
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.extras import demand_extra
from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing
from caduceus.spec.shipped import build_folder


def sources(chip: Chip, design: Path, build: Path | None = None) -> list[Path]:
    """Write the chip and its harness to `design`, unless they are there; returns the files.

    Raises:
        UserError, OSError: the files cannot be written.
    """
    design.mkdir(parents=True, exist_ok=True)

    def make() -> list[Path]:
        from caduceus.hdl.fabric.chip_sources import write_sources  # Imports Amaranth.

        return write_sources(design, chip, record=True, build=build)

    return [
        *kept(design, chip, "caduceus.hdl.fabric.chip_sources", make),
        *HARNESS_SOURCES,
        write_harness(design / "chip_harness.sv", chip),
    ]


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
            console: for the progress; none if None.
        """
        demand_extra("sim")
        runner.tool_version(simulator)
        self.devices = Devices.given(devices)
        self.chip = chip_of(program, chip)
        self._deployed = deployed(program, self.chip, self.devices)
        self.program, self.state = self._deployed.program, self._deployed.state
        self._simulator, self._waves = simulator, waves
        self._console = console or Console(quiet=True)
        self._build = build
        self.place = build_folder(build) / "sim" / f"{self.chip.name}-chip-{simulator}"
        self.job = self.place / "run"
        self._inputs: NDArray[np.int8] | None = None
        self.waves: Path | None = None

    def run(self, x: NDArray[np.int8], *, capture: bool = False) -> Result:
        """Run inputs, and compare every tile's values, outputs and states with the golden model.

        Args:
            x: int8 [n, input_pixels, input_length]; of a program with GDPU slices [1, steps,
                input_length].
            capture: whether to keep all computed and sent values of every tile.

        Raises:
            UserError: inputs do not fit, or the build or the simulation failed.
        """
        x = one_sequence(self.program, x)
        with only_run(self.place, self._console):
            self.prepare(x)
            return self.simulate(capture=capture)

    def prepare(self, x: NDArray[np.int8]) -> None:
        """Write the job's files: chip, program, devices, inputs; removes those of an earlier job.

        Raises:
            UserError: the files cannot be written.
        """
        job, program, chip = self.job, self.program, self.chip
        self._inputs = one_sequence(program, x)
        with working_files(self.place):
            empty(job)
            for folder in (files.STATES, files.RECORD):
                (job / folder).mkdir()
            Job(half_periods(chip)).save(job)
            # JSON is YAML.
            (job / files.CHIP).write_text(chip.model_dump_json(), encoding="utf-8")
            program_file.save(program, job / files.PROGRAM)
            for index, tile in enumerate(computing(program)):
                image = job / files.STATES / f"state_{tile.tile}.hex"
                pcm_state.write_hex(self.state, index, image)
            np.save(job / files.INPUTS, self._inputs)

    def simulate(self, *, capture: bool = False) -> Result:
        """Build the chip if need be, and run what `prepare` wrote.

        Raises:
            UserError: the build or the simulation failed, or an output file is missing.
        """
        started = time.monotonic()
        inputs = schedule(self.program, self.chip, self._inputs)
        # Before there is another thread: a design is made in forks of this process.
        with working_files(self.place):
            design = sources(self.chip, self.place / "design", self._build)
        with beside(partial(self._golden_seconds, inputs)) as golden_seconds:
            with watch(self.job, self._console, inputs.counted):
                ran = runner.run_bench(
                    name=f"sim-{self.chip.name}-{self._simulator}",
                    sources=design,
                    top="chip_harness",
                    test_module="caduceus.sim.entry",
                    simulator=self._simulator,
                    build_dir=self.place / "build",
                    run_dir=self.job,
                    extra_env={files.VARIABLE: str(self.job)},
                    plusargs=files.PLUSARGS,
                    build_args=CHIP_ARGUMENTS if self._simulator == "verilator" else (),
                    waves=self._waves,
                )
            if not ran.ok:
                raise UserError(f"the simulation failed: {ran.sentence}")
            self.waves = ran.waves
            seconds = golden_seconds()
        with working_files(self.job):
            result = self._result(SimulationReport.load(self.job), ran, inputs, capture)
        return result.with_figures(
            golden_inputs_per_second=inputs.golden_inputs / seconds,
            wall_seconds=time.monotonic() - started,
        )

    def _golden_seconds(self, inputs: Schedule, check: Check) -> float:
        """Compute the expected values; the wall-clock time that it took.

        Then import what draws the picture: the simulator is still at work, and this process is not.
        """
        started = time.monotonic()
        inputs.expect(Machine(self.program, self.chip, self.state), check)
        seconds = time.monotonic() - started
        pipeline.prepare_to_draw()
        return seconds

    def _result(
        self, report: SimulationReport, ran: BenchResults, inputs: Schedule, capture: bool
    ) -> Result:
        """Compare what the simulation recorded with the expected values."""
        program, chip, record = self.program, self.chip, self.job / files.RECORD
        inputs.restore(self.job / files.PLAYED)
        score = scoreboard()
        try:
            recorded = recording.all_tiles(record, program)
        except ValueError as error:
            raise UserError(f"cannot read a recording of the simulation: {error}") from None
        for which, expected, got in inputs.observed(recorded):
            compare(program, expected, got, score, which)
        end_ps = report.start_ps + round(report.cycles["sync"] * 1e6 / chip.clocks.sync_mhz)
        events = Events(pipeline.read(program, record, end_ps), report.start_ps, end_ps)
        outputs, moments = inputs.outputs, inputs.moments(recorded)
        result = Result(
            program,
            figures(self._deployed, "sim", self.devices, count(program, self._inputs)),
            outputs,
            self._tiles(recorded, len(outputs), outputs.shape[1]) if capture else {},
            inputs.state,
            events,
            moments if capture else replace(moments, tiles={}),
        )
        shares = events.shares()
        return result.with_figures(
            simulator=self._simulator,
            simulator_version=runner.tool_version(self._simulator),
            **compared(score),
            mvms=sum(report.mvms.values()),
            cycles=report.cycles,
            simulated_us=report.cycles["sync"] / chip.clocks.sync_mhz,
            **timing(program, chip, inputs.timing()),
            bottleneck=events.bottleneck(program),
            shares={
                f"{pipeline.label(tile)} tile {tile.tile}": shares[tile.tile]
                for tile in computing(program)
            },
            khz=report.cycles["sync"] / report.simulate_seconds / 1e3,
            build_seconds=ran.build_seconds,
            load_seconds=report.load_seconds,
            simulate_seconds=report.simulate_seconds,
            peak_mib=report.peak_mib,
        )

    def _tiles(
        self, found: Mapping[int, Recorded], inputs: int, steps: int
    ) -> Mapping[int, TileTrace]:
        """Tile values by input; of a sequence, those of the first pass."""
        if self.program.slices:
            return {
                tile: TileTrace(each.results[:steps][np.newaxis], each.sent[:steps][np.newaxis])
                for tile, each in found.items()
            }
        return by_input(found, inputs)


def timing(program: Program, chip: Chip, measured: Timing) -> dict[str, float | None]:
    """Figures from the RTL's clock counts, at the description's clock rates; keys as `Figures`."""
    nanoseconds = 1e3 / chip.clocks.sync_mhz

    def middle(clocks: list[int]) -> float | None:
        return median(clocks) * nanoseconds if clocks else None

    period = measured.period and measured.period * nanoseconds
    most = max(map(results_per_input, computing(program)))
    return {
        "latency_ns": middle(measured.latency),
        "latency_with_input_ns": middle(measured.latency_with_input),
        "latency_of_state_ns": middle(measured.latency_of_state),
        "latency_of_states_ns": middle(measured.latency_of_states),
        "period_ns": period,
        "cycles_per_input": measured.period,
        "inputs_per_second": 1e9 / period if period else None,
        "mvm_rate_per_tile": most * 1e9 / period if period else None,
    }
