"""The pooling unit: windows of a map of results become one result each."""

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import formats
from caduceus.spec.feature_map import Pooling


def pool(pooling: Pooling, maps: NDArray[np.int8]) -> NDArray[np.int8]:
    """Pooled maps.

    Args:
        pooling: kind and size of the windows, and the map's size.
        maps: int8 [n, pooling.height, pooling.width, channels].

    Returns:
        int8 [n, pooling.down, pooling.across, channels].
    """
    size = pooling.size
    kept = maps[:, : pooling.down * size, : pooling.across * size]
    # Row by row of a window, because a step through memory costs more than an operation.
    if pooling.kind == "max":
        tall = kept[:, ::size]
        for row in range(1, size):
            tall = np.maximum(tall, kept[:, row::size])
        found = tall[:, :, ::size]
        for column in range(1, size):
            found = np.maximum(found, tall[:, :, column::size])
        return found.copy()
    shape = (len(maps), pooling.down, size, pooling.across, size, maps.shape[-1])
    total = kept.reshape(shape).sum(axis=(2, 4), dtype=np.int32)
    # To nearest, ties to even: half a step less one, and that one only if the kept part is odd.
    shift = pooling.shift
    if shift:
        total += (1 << shift - 1) - 1 + (total >> shift & 1)
        total >>= shift
    return total.clip(-formats.INT8_MAX, formats.INT8_MAX).astype(np.int8)
