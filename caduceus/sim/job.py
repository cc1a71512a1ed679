"""A program through a whole chip in RTL: job files and report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caduceus.sim.job_file import JobFile
from caduceus.spec.chip import Chip

VARIABLE = "CADUCEUS_SIM_JOB"
"""Environment variable with the path of the job folder."""
STATES, RECORD = Path("states"), Path("record")
"""Subfolders of the job folder: PCM states for the arrays to load, and the tiles' recordings (see
`caduceus.sim.recording`)."""
PLUSARGS = (
    f"+pcm_state={STATES}", f"+pcm_reads={STATES}", "+streams=streams", f"+record={RECORD}",
)  # fmt: skip
CHIP, PROGRAM, STATE, INPUTS = "chip.yaml", "program.bin", "state.pcm", "inputs.npy"
"""Files of the job. The devices are there for a process of its own alone. Inputs are int8 [n,
input_pixels, input_length], or, of a program with GDPU slices, [n, steps, input_length]."""
PLAYED = "played.pickle"
"""File beside the reports: what was played, see `sim.schedule.Schedule.save`."""


@dataclass(frozen=True)
class Job(JobFile, name="job.json"):
    """The job.

    Attributes:
        clock_half_periods_ps: of `sync` and `mvm`.
        simulator, verilation, threads, waves: as of `sim.simulation.Simulation`.
        first, count, job: see `sim.schedule.Share`.
    """

    clock_half_periods_ps: Sequence[int]
    simulator: str
    verilation: str
    threads: int
    waves: bool
    first: int
    count: int
    job: int | None


@dataclass(frozen=True)
class SimulationReport(JobFile, name="report.json"):
    """Outcome of a job's simulation.

    Attributes:
        cycles: rising edges of `sync` and `mvm` from the first input on. Of a sequence: both
            passes, reading and loading states included.
        mvms, busy, stalled: MVMs, and busy and stalled cycles, by tile number.
        start_ps: simulated time of the first beat, approximate.
        load_seconds: wall-clock time of loading the program.
        simulate_seconds: wall-clock time from the first input on; simulate_cpu_seconds: processor
            time of all threads in it.
        peak_mib: peak memory of the simulation, Python included.
    """

    cycles: dict[str, int]
    mvms: dict[str, int]
    busy: dict[str, int]
    stalled: dict[str, int]
    start_ps: int
    load_seconds: float
    simulate_seconds: float
    simulate_cpu_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class ComparisonReport(JobFile, name="comparison.json"):
    """Outcome of a job's comparison with the golden model.

    Attributes:
        values_compared, mismatches: values of all tiles, of the chip's outputs, and of GDPU states.
        values_by_layer, mismatches_by_layer: the same by layer, in the order in which layers
            compute; then those of the chip outputs and of the GDPU states.
        first_mismatch: place, expected and got; empty if there is none.
        first_mismatches: the first of each layer that has one, see `sim.result.Figures`.
        golden_seconds: wall-clock time of the golden model for the same inputs, with capture,
            beside the simulation.
        golden_inputs: number of inputs in this time.
    """

    values_compared: int
    mismatches: int
    values_by_layer: dict[str, int]
    mismatches_by_layer: dict[str, int]
    first_mismatch: str
    first_mismatches: list[dict[str, Any]]
    golden_seconds: float
    golden_inputs: int


def peak_mib() -> float:
    """Peak memory of this process, in MiB.

    From the kernel's figure for the process; `getrusage` would include the parent process.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def half_periods(chip: Chip) -> tuple[int, int]:
    """Half a clock period of `sync` and of `mvm`, in ps."""
    return round(5e5 / chip.clocks.sync_mhz), round(5e5 / chip.clocks.mvm_mhz)
