"""A program on the whole chip in a simulator: its files, its build, its run."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from sim import runner
from sim.chip_harness import CHIP_ARGUMENTS, write_harness
from sim.chip_job import PLUSARGS, VARIABLE, ChipJob, ChipOutcome
from sim.harness_files import STREAM_SOURCES
from sim.image_job import RECORD
from sim.progress import watch
from sim.results import Results
from sim.tile_host import half_periods
from spec import pcm_state, program_image
from spec.chip import Chip
from spec.errors import UserError
from spec.pcm_state import PcmState
from spec.program import ChipProgram
from spec.program_codes import computing, device_codes


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
    program: ChipProgram
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
        *STREAM_SOURCES,
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
