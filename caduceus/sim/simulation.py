"""A program on the whole chip in a simulator: build, run, comparison of every value with golden."""

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from caduceus.devices.settings import Devices
from caduceus.golden.machine import TileTrace
from caduceus.sim import job as files
from caduceus.sim import pipeline, recording, runner
from caduceus.sim.chip_harness import CHIP_ARGUMENTS, write_harness
from caduceus.sim.cocotb_results import BenchResults
from caduceus.sim.comparison import by_input, results_per_input
from caduceus.sim.deploy import chip_of, deployed
from caduceus.sim.harness_files import HARNESS_SOURCES
from caduceus.sim.inputs import count, one_sequence
from caduceus.sim.job import Job, SimulationReport, half_periods
from caduceus.sim.moments import Moments, SyncClock
from caduceus.sim.pipeline import Events
from caduceus.sim.progress import watch
from caduceus.sim.recording import Recorded
from caduceus.sim.result import Result, figures
from caduceus.sim.run_files import empty, only_run, working_files
from caduceus.spec import pcm_state, program_file
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.extras import demand_extra
from caduceus.spec.gdpu import LstmState
from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing
from caduceus.spec.shipped import build_folder


def sources(chip: Chip, design: Path, build: Path | None = None) -> list[Path]:
    """Write the chip and its harness to `design`, unless they exist; returns the files.

    Raises:
        UserError, OSError: the files cannot be written.
    """
    from caduceus.hdl.fabric.chip_sources import write_sources  # Amaranth takes half a second.

    design.mkdir(parents=True, exist_ok=True)
    return [
        *write_sources(design, chip, record=True, build=build),
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
            pcm_state.save(self.state, job / files.STATE)
            for index, tile in enumerate(computing(program)):
                image = job / files.STATES / f"state_{tile.tile}.hex"
                pcm_state.write_hex(self.state, index, image)
            np.save(job / files.INPUTS, self._inputs)

    def simulate(self, *, capture: bool = False) -> Result:
        """Build the chip if need be, and run what `prepare` wrote.

        Raises:
            UserError: the build or the simulation failed, or an output file is missing.
        """
        from caduceus.sim.schedule import schedule  # Imports cocotb.

        started = time.monotonic()
        inputs = schedule(self.program, self.chip, self._inputs)
        with working_files(self.place):
            design = sources(self.chip, self.place / "design", self._build)
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
        with working_files(self.job):
            result = self._result(SimulationReport.load(self.job), ran, capture)
        return result.with_figures(wall_seconds=time.monotonic() - started)

    def _result(self, report: SimulationReport, ran: BenchResults, capture: bool) -> Result:
        program, chip, job = self.program, self.chip, self.job
        outputs = np.load(job / files.OUTPUTS)
        state = None
        if program.slices:
            state = LstmState(np.load(job / files.HIDDEN), np.load(job / files.CELL))
        end_ps = report.start_ps + round(report.cycles["sync"] * 1e6 / chip.clocks.sync_mhz)
        activities = pipeline.read(program, job / files.RECORD, end_ps)
        events = Events(activities, report.start_ps, end_ps)
        recorded = recording.all_tiles(job / files.RECORD, program) if capture else {}
        clock = SyncClock(report.sync_origin_ps, 2 * half_periods(chip)[0])
        states = {outputs.shape[1] - 1: report.state_clocks} if program.slices else {}
        moments = Moments(chip, clock, np.load(job / files.CLOCKS), recorded, states=states)
        result = Result(
            program,
            figures(self._deployed, "sim", self.devices, count(program, self._inputs)),
            outputs,
            self._tiles(recorded, len(outputs), outputs.shape[1]),
            state,
            events,
            moments,
        )
        shares = events.shares()
        return result.with_figures(
            simulator=self._simulator,
            simulator_version=runner.tool_version(self._simulator),
            values_compared=report.values_compared,
            mismatches=report.mismatches,
            values_by_layer=report.values_by_layer,
            mismatches_by_layer=report.mismatches_by_layer,
            first_mismatch=report.first_mismatch,
            first_mismatches=report.first_mismatches,
            mvms=sum(report.mvms.values()),
            cycles=report.cycles,
            simulated_us=report.cycles["sync"] / chip.clocks.sync_mhz,
            **timing(program, chip, report),
            bottleneck=events.bottleneck(program),
            shares={
                f"{pipeline.label(tile)} tile {tile.tile}": shares[tile.tile]
                for tile in computing(program)
            },
            khz=report.cycles["sync"] / report.simulate_seconds / 1e3,
            build_seconds=ran.build_seconds,
            simulate_seconds=report.simulate_seconds,
            golden_inputs_per_second=report.golden_inputs / report.golden_seconds,
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


def timing(program: Program, chip: Chip, report: SimulationReport) -> dict[str, float | None]:
    """Figures from the RTL's clock counts, at the description's clock rates; keys as `Figures`."""
    nanoseconds = 1e3 / chip.clocks.sync_mhz

    def middle(clocks: list[int]) -> float | None:
        return median(clocks) * nanoseconds if clocks else None

    period = report.period and report.period * nanoseconds
    most = max(map(results_per_input, computing(program)))
    return {
        "latency_ns": middle(report.latency),
        "latency_with_input_ns": middle(report.latency_with_input),
        "latency_of_state_ns": middle(report.latency_of_state),
        "latency_of_states_ns": middle(report.latency_of_states),
        "period_ns": period,
        "cycles_per_input": report.period,
        "inputs_per_second": 1e9 / period if period else None,
        "mvm_rate_per_tile": most * 1e9 / period if period else None,
    }
