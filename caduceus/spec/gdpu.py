"""The GDPU's formats: LSTM gates, their constants, and the table of the hyperbolic tangent.

Published: gates in the order I, A, F, O; sigmoid(x) = 1/2 + 1/2 tanh(x/2) with a scale and an
offset per gate; tanh in 18 bins between 17 thresholds, each with a slope and an offset. The table's
contents and its results at infinities are our choice. `tools/tanh_table.py` made the table; its
error is at most 0.0027317 (a third of an INT8 step of 1/127).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GATES = ("i", "a", "f", "o")
"""Input, activation (the candidate), forget, output: the order of a unit's pre-activations."""

HALF, ONE, ZERO = 0x3800, 0x3C00, 0x0000
GATE_SCALE = (HALF, ONE, HALF, HALF)
"""binary16, by gate: multiplies the gate's tanh ..."""
GATE_OFFSET = (HALF, ZERO, HALF, HALF)
"""... and is added to it."""

BINS = 18
"""Bins of the table. A value's bin is the number of thresholds less than or equal to it."""

# Printed by tools/tanh_table.py, binary16. The outermost bins use +0 in place of the value, so that
# infinities give +-1; a NaN stays a NaN. tanh(-x) is -tanh(x), except at 0, which gives the offset
# of the first bin above it.
THRESHOLDS = (
    0xC2AD, 0xC07A, 0xBED9, 0xBD68, 0xBC46, 0xBA99, 0xB8C4, 0xB5A5, 0x0000,
    0x35A6, 0x38C5, 0x3A9A, 0x3C47, 0x3D69, 0x3EDA, 0x407B, 0x42AE,
)  # fmt: skip
SLOPES = (
    0x0000, 0x24A7, 0x2CF3, 0x318D, 0x34D5, 0x374F, 0x3905, 0x3A6D, 0x3BAF,
    0x3BAF, 0x3A6D, 0x3905, 0x374F, 0x34D5, 0x318D, 0x2CF3, 0x24A7, 0x0000,
)  # fmt: skip
OFFSETS = (
    0xBC00, 0xBB84, 0xBA75, 0xB924, 0xB780, 0xB4DB, 0xB135, 0xAB70, 0x996F,
    0x196F, 0x2B70, 0x3135, 0x34DB, 0x3780, 0x3924, 0x3A75, 0x3B84, 0x3C00,
)  # fmt: skip
TANH_ERROR = 0.0027317
"""Largest error of the table, evaluated in binary16, over all inputs."""


@dataclass(frozen=True)
class LstmState:
    """The LSTM state of a chip's GDPU slices between two steps, slice after slice.

    Attributes:
        hidden: int8 [n, units of all slices].
        cell: binary16 bits, uint16 [n, units of all slices].
    """

    hidden: NDArray[np.int8]
    cell: NDArray[np.uint16]
