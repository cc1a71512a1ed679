"""A program through a whole chip in RTL: job files and report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from caduceus.sim.job_file import JobFile
from caduceus.spec.chip import Chip

VARIABLE = "CADUCEUS_SIM_JOB"
"""Environment variable with the path of the job folder."""
STATES, RECORD = Path("states"), Path("record")
"""Subfolders of the job folder: PCM states for the arrays to load, and the tiles' recordings (see
`caduceus.sim.recording`)."""
PLUSARGS = (f"+pcm_state={STATES}", "+streams=streams", f"+record={RECORD}")
CHIP, PROGRAM, INPUTS = "chip.yaml", "program.bin", "inputs.npy"
"""Files of the job. Inputs are int8 [n, input_pixels, input_length], or, of a program with GDPU
slices, [1, steps, input_length]."""
PLAYED = "played.pickle"
"""File beside the report: what was played, see `sim.schedule.Schedule.save`."""


@dataclass(frozen=True)
class Job(JobFile, name="job.json"):
    """The job.

    Attributes:
        clock_half_periods_ps: of `sync` and `mvm`.
    """

    clock_half_periods_ps: Sequence[int]


@dataclass(frozen=True)
class SimulationReport(JobFile, name="report.json"):
    """Outcome of a job.

    Attributes:
        cycles: rising edges of `sync` and `mvm` from the first input on. Of a sequence: both
            passes, reading and loading states included.
        mvms, busy, stalled: MVMs, and busy and stalled cycles, by tile number.
        start_ps: simulated time of the first beat, approximate.
        load_seconds: wall-clock time of loading the program.
        simulate_seconds: wall-clock time from the first input on.
        peak_mib: peak memory of the simulation, Python included.
    """

    cycles: dict[str, int]
    mvms: dict[str, int]
    busy: dict[str, int]
    stalled: dict[str, int]
    start_ps: int
    load_seconds: float
    simulate_seconds: float
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
