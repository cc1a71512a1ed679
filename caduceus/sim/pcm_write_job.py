"""Job and outcome of a PCM write in RTL."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caduceus.sim.job_file import JobFile
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import TileConfig

VARIABLE = "CADUCEUS_JOB"
"""Environment variable with the path of the job folder."""
STATE, TARGETS, VECTORS, RESULTS = "state.pcm", "targets.npy", "vectors.npy", "results.npz"
"""Job files: the tile as made; targets int64 [diagonals, lines]; vectors int8 [n, rows]; and the
tile's report on every line, the fields of `PcmWritten`, [diagonals, lines]."""
FINAL = "final"
"""Folder of the array's final state."""
DIAGONALS = "diagonals"
"""Unit of the progress."""
PLUSARGS = (f"+pcm_final={FINAL}",)


def products_file(mode: ReadMode) -> str:
    """RTL results of the vectors after the PCM write, int8 [n, columns]."""
    return f"products-{mode}.npy"


def products_config(chip: Chip, mode: ReadMode) -> TileConfig:
    """Configuration of the MVMs: all rows and columns, counts scaled into INT8."""
    constants = np.zeros((chip.array.columns, 5), np.float16)
    # Gains of 1; a random product mostly stays below half of a converter's range.
    constants[:, :2] = 1
    constants[:, 3] = 0.5
    return TileConfig(mode, chip.array.rows, chip.array.columns, constants.view(np.uint16))


@dataclass(frozen=True)
class PcmWriteJob(JobFile, name="job.json"):
    """The job.

    Attributes:
        chip: name or path of the description.
        devices: in use per cell.
        clock_half_periods_ps: of `sync` and `mvm`.
    """

    chip: str
    devices: int
    clock_half_periods_ps: Sequence[int]


@dataclass(frozen=True)
class PcmWriteReport(JobFile, name="report.json"):
    """Outcome of the job.

    Attributes:
        pulses, reads: programming pulses and verify reads, from the tile's counters.
        busy_cycles: `sync` cycles of the PCM write.
        cycles: of `sync`, the host's register accesses included.
        simulate_seconds: wall-clock time of the simulation, without the build.
    """

    pulses: int
    reads: int
    busy_cycles: int
    cycles: int
    simulate_seconds: float
