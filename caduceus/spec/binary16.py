"""Real numbers as binary16 bits: the constants of the compiler and of a calibrating host."""

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.errors import UserError


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
            f"{what}: got {worst:.4g}, expected {tiny:.3g} to "
            f"{float(np.finfo(np.float16).max):.0f} in magnitude, as binary16"
        )
    return rounded.view(np.uint16)
