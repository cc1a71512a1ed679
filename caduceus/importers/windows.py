"""Any window as a square one with the same padding on all sides: the rest is zeros.

The chip gathers squares, with one stride and one padding. A kernel of another form lies in a larger
square: at (padding - top, padding - left), with a padding of at least its own. Where a result is
one pixel, any stride will do. (Our choice; compared with onnxruntime, without a difference.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caduceus.importers.rewrite import demand_size
from caduceus.importers.steps import Matrix
from caduceus.spec.feature_map_check import KERNEL_MAX


@dataclass(frozen=True)
class Square:
    """A window of the chip: kernel size, stride and padding."""

    kernel: int
    stride: int
    padding: int


def square(matrix: Matrix) -> Square | None:
    """The smallest square window that holds a convolution's; None if there is none."""
    down, across = matrix.stride
    _, _, *extent = matrix.weight.shape
    _, *size = matrix.inputs[0].shape
    _, *wanted = matrix.shape
    before, after = matrix.pads[:2], matrix.pads[2:]
    if wanted == [1, 1]:
        strides = [max(size) + 2 * KERNEL_MAX]  # a single window never moves
    elif wanted[0] == 1 or down == across:
        strides = [across]
    elif wanted[1] == 1:
        strides = [down]
    else:
        return None
    if strides[0] > KERNEL_MAX:
        strides = [KERNEL_MAX]
    (stride,) = strides
    found = None
    for padding in range(max(*before, *after), KERNEL_MAX):
        least = max(padding - before[axis] + extent[axis] for axis in range(2))
        least = max(least, padding + 1)
        # Kernel sizes that give each axis its number of results.
        low = max(size[a] + 2 * padding - stride * wanted[a] + 1 for a in range(2))
        high = min(size[a] + 2 * padding - stride * (wanted[a] - 1) for a in range(2))
        kernel = max(least, low)
        if kernel <= min(high, KERNEL_MAX) and (found is None or kernel < found.kernel):
            found = Square(kernel, stride, padding)
        if found and padding >= found.kernel:
            break
    return found if found is None or wanted != [1, 1] else _still(found, size)


def _still(found: Square, size: list[int]) -> Square:
    """The same window with the smallest stride that keeps it where it is."""
    room = max(size) + 2 * found.padding - found.kernel
    return Square(found.kernel, max(1, room + 1), found.padding)


def placed(matrix: Matrix, into: Square) -> NDArray[np.float64]:
    """The kernel among the zeros of a square one: [outputs, channels, kernel, kernel]."""
    outputs, channels, height, width = matrix.weight.shape
    demand_size(matrix, outputs, channels, into.kernel, into.kernel)
    full = np.zeros((outputs, channels, into.kernel, into.kernel))
    top, left = into.padding - matrix.pads[0], into.padding - matrix.pads[1]
    full[:, :, top : top + height, left : left + width] = matrix.weight
    return full
