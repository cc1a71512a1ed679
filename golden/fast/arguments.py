"""What the compiled loops of a tile are given, prepared once for a configuration."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Analog(NamedTuple):
    """Modulator, crossbar and converters of a tile; columns are filled up to full vectors.

    Attributes:
        windows: [windows, 3], of each: which pulses drive it (0: positive ones, or both; 1:
            negative ones), which weights are connected, and its `Steer`.
        weights: int16 [polarities, columns / 16 * pairs of rows * 32], charge per slot, of 16
            columns after another: of every two rows in turn, two by two.
        gains: [2, columns], of P and N, in counts per unit of charge.
        offsets: int32 [2, columns], of P and N, in 2**-fraction count.
        noise: int32 [columns], in 2**-fraction count per unit of a sample.
        fraction: bits.
        slots: longest pulse.
        limit: counts at which one conversion saturates.
        most: counts at which a counter saturates.
    """

    windows: NDArray[np.int64]
    weights: NDArray[np.int16]
    gains: NDArray[np.float64]
    offsets: NDArray[np.int32]
    noise: NDArray[np.int32]
    fraction: int
    slots: int
    limit: int
    most: int


class Noise(NamedTuple):
    """Read noise of a tile: what of Philox4x32-10 does not depend on the read.

    Attributes:
        there: whether any column has noise.
        first: what the first round makes of the tile: xor with the read index gives its first word.
        keys: [rounds, 2, 4], flat: both words of the key, from the fourth round on, four times.
        tables: [4, draws], window by window, of every four draws the second and the third
            exchanged. [0] gives the third word after the second round. [1] to [3] are parts of the
            first, third and fourth word after the third round; the second is a product anyway.
        bytes: int8 [8, 2, 32], of 16 magnitudes each: low and high bytes, twice, as the difference
            (xor) from the 16 before.
        levels: int32 [256], the sample's summand by byte.
    """

    there: bool
    first: np.uint64
    keys: NDArray[np.uint64]
    tables: NDArray[np.uint64]
    bytes: NDArray[np.int8]
    levels: NDArray[np.int32]


class Digital(NamedTuple):
    """An LDPU.

    Attributes:
        constants: [5, columns], values in the order of `formats.COLUMN_CONSTANTS`.
        exact: whether every count is a binary16 number.
        bounded: whether, with INT8 alone for RX values and results, no value can be too large for
            binary16, nor NaN.
        relu_1: whether there is a ReLU before the RX addition.
        relu_2: whether there is one after it.
        rx_scale: value of the factor of RX.
        most: largest magnitude of an INT8 value.
    """

    constants: NDArray[np.float64]
    exact: bool
    bounded: bool
    relu_1: bool
    relu_2: bool
    rx_scale: float
    most: int
