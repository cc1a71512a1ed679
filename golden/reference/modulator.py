"""The input modulator: INT8 activations to pulses on the rows, one integration window at a time."""

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import formats
from caduceus.spec.formats import Phase, Steer


def signed_pulses(x: NDArray[np.int8], phase: Phase) -> NDArray[np.int8]:
    """Pulse lengths in slots of one window.

    Takes and returns int8 [n, rows]. Positive is a pulse on the row's `add` drive, negative one on
    its `sub` drive. A window that is steered by sign subtracts for negative inputs; one that is
    steered to a counter drives inputs of one sign only, and all of them add. -128 is read as -127.
    """
    highest = formats.INT8_MAX if phase.drive_positive else 0
    lowest = -formats.INT8_MAX if phase.drive_negative else 0
    pulses = np.minimum(np.maximum(x, np.int8(lowest)), np.int8(highest))  # faster than `clip`
    return pulses if phase.steer == Steer.BY_SIGN else np.abs(pulses)
