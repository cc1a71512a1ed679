"""Real weights to conductance codes, and real scales to binary16 column constants."""

import numpy as np
from numpy.typing import NDArray

from spec import formats
from spec.errors import UserError


def cell_codes(weight: NDArray[np.float32], gmax: int) -> NDArray[np.int16]:
    """Signed cell codes, the largest weight at `gmax`: G = W * Gmax / Wmax per core, as published.

    Args:
        weight: [rows, columns].
        gmax: 1 to `formats.CELL_MAX`.
    """
    largest = float(np.abs(weight).max())
    if largest == 0:
        return np.zeros(weight.shape, dtype=np.int16)
    return np.rint(weight.astype(np.float64) * (gmax / largest)).astype(np.int16)


def device_codes(cells: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Codes of the four devices of every cell, uint8 [rows, columns, 4].

    The first device of a polarity is filled before the second, so that at most one of the two is
    neither at its largest code nor at 0 (published for two-device programming).
    """
    devices = []
    for polarity in (np.maximum(cells, 0), np.maximum(-cells, 0)):
        first = np.minimum(polarity, formats.DEVICE_MAX)
        devices += [first, polarity - first]
    return np.stack(devices, axis=-1).astype(np.uint8)


def binary16(values: NDArray[np.float64], what: str) -> NDArray[np.uint16]:
    """Nearest binary16, as bits.

    Raises:
        UserError: a value is beyond the largest binary16, or not 0 and below the smallest normal.
    """
    with np.errstate(over="ignore"):
        rounded = np.asarray(values, dtype=np.float64).astype(np.float16)
    tiny = np.finfo(np.float16).tiny
    lost = (values != 0) & (np.abs(rounded) < tiny)
    bad = ~np.isfinite(rounded) | (lost if what.endswith("scale") else False)
    if bad.any():
        worst = np.asarray(values)[bad].flat[0]
        raise UserError(
            f"{what} = {worst:.4g}: allowed in binary16 is {tiny:.3g} to "
            f"{float(np.finfo(np.float16).max):.0f} in magnitude"
        )
    return rounded.view(np.uint16)
