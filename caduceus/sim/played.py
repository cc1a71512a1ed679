"""What the chip player recorded of a run; needs no simulator."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caduceus.sim.moments import SyncClock

LOOK_EVERY_CLOCKS = 2_000
"""Clocks of `sync` between two progress checks."""
PATIENCE = 20
"""Checks without a new beat before the chip counts as hung."""


@dataclass(frozen=True)
class Played:
    """Outputs of input vectors, and their clocks.

    Attributes:
        outputs: int8 [vectors, output_length].
        began: clock in which the chip took its first beat.
        fed: clock in which it took the last beat of the first vector.
        answered: for every GDPU slice, the clock in which it was last awake.
        clocks: clock in which each output value left, int64 [vectors, output_length].
        cycles: clocks of `sync` and `mvm` of the run.
        seconds: wall-clock time.
        clock: converts these clock numbers to simulated time.
    """

    outputs: NDArray[np.int8]
    began: int
    fed: int
    answered: list[int]
    clocks: NDArray[np.int64]
    cycles: dict[str, int]
    seconds: float
    clock: SyncClock

    @property
    def ends(self) -> list[int]:
        """For every vector, the clock in which its last output beat left."""
        return self.clocks.max(axis=1).tolist()
