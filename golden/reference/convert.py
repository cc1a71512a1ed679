"""Conversions between integers and binary16 bits at the edges of the LDPU's datapath.

Each is a table of every value there is: a look-up is several times faster than a conversion.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import formats


def from_uint12(counts: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """binary16 bits of ADC counts (0 to 4095); above 2048 they round to nearest, ties to even."""
    return _of_counts().take(counts)


def from_int8(x: NDArray[np.int8]) -> NDArray[np.uint16]:
    """binary16 bits of INT8 values; always exact."""
    return _of_int8().take(np.asarray(x, dtype=np.int8).view(np.uint8))


def to_int8(bits: NDArray[np.uint16]) -> NDArray[np.int8]:
    """INT8 nearest to binary16 `bits`, ties to even.

    Saturates at +-127, infinities too; NaN gives 0 (our choice).
    """
    return _to_int8().take(bits)


@cache
def _of_counts() -> NDArray[np.uint16]:
    return np.arange(formats.COUNT_MAX + 1).astype(np.float16).view(np.uint16)


@cache
def _of_int8() -> NDArray[np.uint16]:
    """Indexed by the value's two's complement bits."""
    every = np.arange(1 << formats.ACTIVATION_BITS, dtype=np.uint8)
    return every.view(np.int8).astype(np.float16).view(np.uint16)


@cache
def _to_int8() -> NDArray[np.int8]:
    every = np.arange(1 << formats.FP16_BITS, dtype=np.uint16).view(np.float16)
    value = np.where(np.isnan(every), 0, every).astype(np.float32)
    return np.rint(value.clip(-formats.INT8_MAX, formats.INT8_MAX)).astype(np.int8)
