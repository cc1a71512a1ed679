"""A tile that is calibrated in RTL: what is run, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from caduceus.sim.job_file import JobFile
from caduceus.spec.formats import ReadMode

VARIABLE = "CADUCEUS_JOB"
"""Environment variable that names the job's folder to the simulation."""
STATE, VECTORS = "state.pcm", "vectors.npy"
"""Files of the job: devices and converters of one tile, and int8 [n, rows]."""


def constants_file(mode: ReadMode) -> str:
    """The column constants for ideal converters, uint16 [columns, 5]."""
    return f"constants-{mode}.npy"


def results_file(mode: ReadMode, calibrated: bool) -> str:
    """What the RTL sent for the vectors, int8 [n, columns]."""
    return f"results-{mode}-{'after' if calibrated else 'before'}.npy"


@dataclass(frozen=True)
class CalibrationJob(JobFile, name="job.json"):
    """What to run, in both read modes.

    Attributes:
        chip: name or path of the description.
        clock_half_periods_ps: of `sync` and `mvm`.
    """

    chip: str
    clock_half_periods_ps: Sequence[int]


@dataclass(frozen=True)
class CalibrationReport(JobFile, name="report.json"):
    """What came of it.

    Attributes:
        values_compared, mismatches: gains, offsets and constants that RTL and golden model led to,
            and results of the vectors.
        first_mismatch: where, expected and got; empty if there is none.
        cycles: by read mode, rising edges of `sync` and `mvm` that the calibration took, with all
            register accesses.
        reads: by read mode, MVMs that it took.
        simulate_seconds: wall-clock time of the simulation, without its building.
    """

    values_compared: int
    mismatches: int
    first_mismatch: str
    cycles: dict[str, dict[str, int]]
    reads: dict[str, int]
    simulate_seconds: float
