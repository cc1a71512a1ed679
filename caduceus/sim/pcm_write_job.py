"""An array that is programmed in RTL: what is run, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caduceus.sim.job_file import JobFile
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import TileConfig

VARIABLE = "CADUCEUS_JOB"
"""Environment variable that names the job's folder to the simulation."""
STATE, TARGETS, VECTORS, RESULTS = "state.pcm", "targets.npy", "vectors.npy", "results.npz"
"""Files of the job: the tile as it was made; targets int64 [diagonals, lines]; vectors int8
[n, rows]; and what the tile said of every line, the fields of `PcmWritten`, [diagonals, lines]."""
FINAL = "final"
"""Folder of the state that the array is left in."""
DIAGONALS = "diagonals"
"""What the progress tells of."""
PLUSARGS = (f"+pcm_final={FINAL}",)


def products_file(mode: ReadMode) -> str:
    """What the RTL sent for the vectors once all was programmed, int8 [n, columns]."""
    return f"products-{mode}.npy"


def products_config(chip: Chip, mode: ReadMode) -> TileConfig:
    """How the vectors are multiplied: all rows and columns, counts scaled into INT8."""
    constants = np.zeros((chip.array.columns, 5), np.float16)
    # Gains of 1; a random product is mostly below half of what a converter can count.
    constants[:, :2] = 1
    constants[:, 3] = 0.5
    return TileConfig(mode, chip.array.rows, chip.array.columns, constants.view(np.uint16))


@dataclass(frozen=True)
class PcmWriteJob(JobFile, name="job.json"):
    """What to run.

    Attributes:
        chip: name or path of the description.
        devices: of a cell in use.
        clock_half_periods_ps: of `sync` and `mvm`.
    """

    chip: str
    devices: int
    clock_half_periods_ps: Sequence[int]


@dataclass(frozen=True)
class PcmWriteReport(JobFile, name="report.json"):
    """What came of it.

    Attributes:
        pulses, reads: programming pulses and verify reads, as the tile counted them.
        busy_cycles: `sync` cycles in which the array was being programmed.
        cycles: of `sync`, all of the host's register accesses included.
        simulate_seconds: wall-clock time of the simulation, without its building.
    """

    pulses: int
    reads: int
    busy_cycles: int
    cycles: int
    simulate_seconds: float
