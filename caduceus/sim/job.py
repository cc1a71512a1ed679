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
"""Files of the job. Inputs are int8 [n, input_pixels, input_length], or, of a program with GDPU
slices, [n, steps, input_length]."""
OUTPUTS, HIDDEN, CELL = "outputs.npy", "hidden.npy", "cell.npy"
"""Files beside the report: int8 [n, vectors, output_length]; int8, uint16 [n, units] at the end."""
CLOCKS = "clocks.npy"
"""Clock of `sync` in which each value of `OUTPUTS` left the chip, int64."""


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
    """Outcome of a job.

    Attributes:
        values_compared, mismatches: values of all tiles, of the chip's outputs, and of GDPU states.
        values_by_layer, mismatches_by_layer: the same by layer, in the order in which layers
            compute; then those of the chip outputs and of the GDPU states.
        first_mismatch: place, expected and got; empty if there is none.
        first_mismatches: the first of each layer that has one, see `sim.result.Figures`.
        cycles: rising edges of `sync` and `mvm` from the first input on. Of a sequence: both
            passes, reading and loading states included.
        latency, latency_with_input, latency_of_state, latency_of_states: see `sim.schedule.Timing`.
        gaps: clocks of `sync` from each input to the next, back to back.
        mvms, busy, stalled: MVMs, and busy and stalled cycles, by tile number.
        start_ps: simulated time of the first beat, approximate.
        sync_origin_ps: simulated time of the rising edge number 0 of `sync`.
        state_clocks: by sequence and GDPU slice, clock in which the final state was reached.
        simulate_seconds: wall-clock time from the first input on; simulate_cpu_seconds: processor
            time of all threads in it.
        golden_seconds: wall-clock time of the golden model for the same inputs, with capture.
        golden_inputs: number of inputs in this time.
        peak_mib: peak memory of the simulation, Python and golden model included.
    """

    values_compared: int
    mismatches: int
    values_by_layer: dict[str, int]
    mismatches_by_layer: dict[str, int]
    first_mismatch: str
    first_mismatches: list[dict[str, Any]]
    cycles: dict[str, int]
    latency: list[int]
    latency_with_input: list[int]
    latency_of_state: list[int]
    latency_of_states: list[int]
    gaps: list[int]
    mvms: dict[str, int]
    busy: dict[str, int]
    stalled: dict[str, int]
    start_ps: int
    sync_origin_ps: int
    state_clocks: list[list[int]]
    simulate_seconds: float
    simulate_cpu_seconds: float
    golden_seconds: float
    golden_inputs: int
    peak_mib: float


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
