"""Conversions between integers and binary16 bits at the edges of the LDPU's datapath."""

import numpy as np
from numpy.typing import NDArray

from spec import formats


def from_uint12(counts: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """binary16 bits of ADC counts (0 to 4095); above 2048 they round to nearest, ties to even."""
    return np.asarray(counts).astype(np.float16).view(np.uint16)


def from_int8(x: NDArray[np.int8]) -> NDArray[np.uint16]:
    """binary16 bits of INT8 values; always exact."""
    return np.asarray(x).astype(np.float16).view(np.uint16)


def to_int8(bits: NDArray[np.uint16]) -> NDArray[np.int8]:
    """INT8 nearest to binary16 `bits`, ties to even.

    Saturates at +-127, infinities too; NaN gives 0 (our choice).
    """
    value = np.asarray(bits).view(np.float16).astype(np.float32)
    value[np.isnan(value)] = 0
    return np.rint(np.clip(value, -formats.INT8_MAX, formats.INT8_MAX)).astype(np.int8)
