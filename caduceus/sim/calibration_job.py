"""Job and outcome of calibrating a tile in RTL."""

from collections.abc import Sequence
from dataclasses import dataclass

from caduceus.sim.job_file import JobFile
from caduceus.spec.formats import ReadMode

VARIABLE = "CADUCEUS_JOB"
"""Environment variable with the path of the job folder."""
STATE, VECTORS = "state.pcm", "vectors.npy"
"""Job files: devices and converters of one tile, and int8 [n, rows]."""


def constants_file(mode: ReadMode) -> str:
    """The column constants for ideal converters, uint16 [columns, 5]."""
    return f"constants-{mode}.npy"


def results_file(mode: ReadMode, calibrated: bool) -> str:
    """RTL results of the vectors, int8 [n, columns]."""
    return f"results-{mode}-{'after' if calibrated else 'before'}.npy"


@dataclass(frozen=True)
class CalibrationJob(JobFile, name="job.json"):
    """The job; both read modes run.

    Attributes:
        chip: name or path of the description.
        clock_half_periods_ps: of `sync` and `mvm`.
    """

    chip: str
    clock_half_periods_ps: Sequence[int]


@dataclass(frozen=True)
class CalibrationReport(JobFile, name="report.json"):
    """Outcome of the job.

    Attributes:
        values_compared, mismatches: over gains, offsets and constants, RTL against golden model,
            and the results of the vectors.
        first_mismatch: place, expected and got; empty if there is none.
        cycles: by read mode, rising edges of `sync` and `mvm` during the calibration, register
            accesses included.
        reads: by read mode, MVMs of the calibration.
        simulate_seconds: wall-clock time of the simulation, without the build.
    """

    values_compared: int
    mismatches: int
    first_mismatch: str
    cycles: dict[str, dict[str, int]]
    reads: dict[str, int]
    simulate_seconds: float
