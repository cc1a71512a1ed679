"""`caduceus sim` for a network on the whole chip: all tiles in RTL, every output against golden."""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from caduceus.deploy import DeviceRequest, deployed, ideal
from caduceus.paths import BUILD
from caduceus.progress import watch
from data import Inputs
from spec import pcm_state, program_image
from spec.chip import Chip
from spec.errors import UserError
from spec.files import write_whole
from spec.pcm_state import PcmState
from spec.program import Program
from spec.program_codes import computing, device_codes
from tb import runner
from tb.chip_harness import CHIP_ARGUMENTS, HARNESS_SOURCES, write_harness
from tb.chip_job import PLUSARGS, VARIABLE, ChipJob, ChipOutcome
from tb.image_job import RECORD
from tb.results import Results
from tb.tile_host import half_periods


@dataclass(frozen=True)
class ChipRun:
    """A program on a chip in a simulator.

    Attributes:
        description: name or path of the chip description, as the simulation finds it.
        x: int8 [n, program.input_length].
        place: folder of everything that the run makes.
        state: devices of the computing tiles; None for those that the program asks for.
        record: whether tiles are built with a recorder of all that they do.
    """

    chip: Chip
    description: str
    program: Program
    x: NDArray[np.int8]
    simulator: str
    place: Path
    waves: bool = False
    record: bool = True
    state: PcmState | None = None

    @property
    def job(self) -> Path:
        """Working folder of the simulation."""
        return self.place / "run"


def sources(run: ChipRun) -> list[Path]:
    """Write the chip and what stands around it, unless they are there; the files.

    Raises:
        UserError: they cannot be written.
    """
    from hdl.chip_sources import write_sources  # Amaranth takes half a second.

    design = run.place / "design"
    design.mkdir(parents=True, exist_ok=True)
    return [
        *write_sources(design, run.chip, record=run.record),
        *HARNESS_SOURCES,
        write_harness(design / "chip_harness.sv", run.chip),
    ]


def prepare(run: ChipRun) -> None:
    """Write the job's files: program, devices, inputs; what an earlier job left goes.

    Raises:
        UserError: they cannot be written.
    """
    chip, job = run.chip, run.job
    shutil.rmtree(job, ignore_errors=True)
    for folder in (Path("states"), RECORD):
        (job / folder).mkdir(parents=True)
    ChipJob(run.description, half_periods(chip)).save(job)
    program_image.save(run.program, job / "program.bin")
    state = run.state or pcm_state.ideal(chip, device_codes(run.program, chip))
    pcm_state.save(state, job / "state.pcm")
    for index, tile in enumerate(computing(run.program)):
        pcm_state.write_image(state, index, job / "states" / f"state_{tile.tile}.hex")
    np.save(job / "inputs.npy", run.x)


def simulate(
    run: ChipRun,
    console: Console,
    module: str,
    counted: Mapping[str, int],
    plusargs: Sequence[str] = PLUSARGS,
) -> Results:
    """Build the chip if need be, and run what `prepare` wrote; the outcome is in `run.job`.

    Args:
        run: what to run.
        console: where progress goes.
        module: with the cocotb test that runs it.
        counted: what progress is shown of, and how much there is.
        plusargs: of the simulation.

    Raises:
        UserError: the build or the simulation failed.
    """
    files = sources(run)
    with watch(run.job, console, counted):
        results = runner.run_bench(
            name=f"sim-{run.chip.name}-{run.simulator}",
            sources=files,
            top="chip_harness",
            test_module=module,
            simulator=run.simulator,
            build_dir=run.place / "build",
            run_dir=run.job,
            extra_env={VARIABLE: str(run.job)},
            plusargs=plusargs,
            build_args=CHIP_ARGUMENTS if run.simulator == "verilator" else (),
            waves=run.waves,
        )
    if not results.ok:
        raise UserError(f"the simulation failed: {results.report}")
    return results


def execute(
    run: ChipRun,
    console: Console,
    module: str,
    counted: Mapping[str, int],
    plusargs: Sequence[str] = PLUSARGS,
) -> Results:
    """`prepare`, then `simulate`; arguments and errors as theirs."""
    prepare(run)
    return simulate(run, console, module, counted, plusargs)


def timing(chip: Chip, outcome: ChipOutcome) -> dict[str, float | None]:
    """What the RTL's clocks say, at the description's clock rates.

    `latency_ns`: from the last input value of the first vector to its last output value;
    `latency_with_input_ns`: from its first input value. `mvm_rate_per_tile`: MVMs a second of a
    tile when vectors come back to back; None for a single vector.
    """
    nanoseconds = 1e3 / chip.clocks.sync_mhz
    vectors, span = len(outcome.ends) - 1, outcome.ends[-1] - outcome.ends[0]
    return {
        "latency_ns": (outcome.ends[0] - outcome.fed) * nanoseconds,
        "latency_with_input_ns": (outcome.ends[0] - outcome.began) * nanoseconds,
        "mvm_rate_per_tile": vectors / (span * nanoseconds * 1e-9) if span else None,
    }


def run_network(
    program: Program,
    given: Inputs,
    chip: Chip,
    description: str,
    simulator: str,
    waves: bool,
    output: Path,
    console: Console,
    devices: DeviceRequest | None = None,
) -> bool:
    """Build, run, compare, report; returns whether every output was equal.

    Raises:
        UserError: a build or simulation failed, or the result cannot be written.
    """
    started = time.monotonic()
    devices = devices or ideal()
    inputs, read_mode = given.count, program.read_mode
    x = program.vectors(given.x).reshape(inputs, -1)
    program, state = deployed(program, chip, devices)
    tiles = computing(program)
    console.print(
        f"{program.network} on chip {chip.name}, {len(tiles)} of {chip.tiles} tiles, {simulator}, "
        f"{read_mode} reads, {devices}, {inputs} input vectors",
        highlight=False,
        soft_wrap=True,
    )
    place = BUILD / "sim" / f"{chip.name}-chip-{simulator}"
    run = ChipRun(chip, description, program, x, simulator, place, waves, state=state)
    results = execute(run, console, "tb.run_chip", {program.network: inputs})
    outcome = ChipOutcome.load(run.job)
    report = {
        "network": program.network,
        "chip": chip.name,
        "simulator": simulator,
        "simulator_version": runner.tool_version(simulator),
        "read_mode": str(read_mode),
        "devices": str(devices),
        "inputs": inputs,
        "tiles": len(tiles),
        "values_compared": outcome.values_compared,
        "mismatches": outcome.mismatches,
        "first_mismatch": outcome.first_mismatch,
        "mvms": sum(outcome.mvms.values()),
        "cycles": outcome.cycles,
        "simulated_us": outcome.cycles["sync"] / chip.clocks.sync_mhz,
        **timing(chip, outcome),
        "khz": outcome.cycles["sync"] / outcome.simulate_seconds / 1e3,
        "build_seconds": results.build_seconds,
        "simulate_seconds": outcome.simulate_seconds,
        "peak_mib": outcome.peak_mib,
        "wall_seconds": time.monotonic() - started,
    }
    write_whole(output, json.dumps(report, indent=2) + "\n", "result")
    _show(report, output, console)
    if results.waves:
        console.print(f"waves: {results.waves}", highlight=False, soft_wrap=True)
    return outcome.mismatches == 0


def _show(report: dict, path: Path, console: Console) -> None:
    if report["mismatches"]:
        console.print(f"MISMATCH: {report['first_mismatch']}", style="bold red", soft_wrap=True)
    rate = report["mvm_rate_per_tile"]
    sustained = f", {rate / 1e6:.3f} M MVM/s a tile back to back" if rate else ""
    console.print(
        f"{report['inputs']} vectors, {report['mvms']} MVMs, {report['values_compared']} INT8 "
        f"outputs compared, {report['mismatches']} mismatches\n"
        f"latency {report['latency_ns']:.1f} ns ({report['latency_with_input_ns']:.1f} ns with the "
        f"input's transfer){sustained}\n"
        f"{report['cycles']['sync']} sync and {report['cycles']['mvm']} mvm cycles in "
        f"{report['simulate_seconds']:.1f} s: {report['khz']:.1f} kHz\n"
        f"{path}",
        highlight=False,
        soft_wrap=True,
    )
