"""The gather unit: input vectors of a tile from the feature maps sent to it."""

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.feature_map import Window


def vectors(window: Window, rows: int, maps: NDArray[np.int8]) -> NDArray[np.int8]:
    """A tile's rows of every im2col vector.

    Args:
        window: what the tile gathers.
        rows: length of its vectors.
        maps: int8 [n, window.height, window.width, window.channels].

    Returns:
        int8 [n * window.results, rows], map after map, results row by row.
    """
    border = (window.padding, window.padding)
    padded = np.pad(maps, ((0, 0), border, border, (0, 0)))
    down, stride = window.result_rows, window.stride
    columns = np.array(window.columns) * stride
    # Columns at equal distances are cut out by a slice: far faster than by index.
    step = int(columns[1] - columns[0]) if len(columns) > 1 else 1
    even = bool((np.diff(columns) == step).all())
    found = np.empty((len(maps), down, len(columns), rows), dtype=np.int8)
    for segment in window.segments(rows):
        high = padded[:, segment.y : segment.y + (down - 1) * stride + 1 : stride]
        first, last = segment.x + columns[0], segment.x + columns[-1]
        wide = high[:, :, first : last + 1 : step] if even else high[:, :, segment.x + columns]
        values = wide[..., segment.channel : segment.channel + segment.length]
        found[..., segment.row : segment.row + segment.length] = values
    return found.reshape(-1, rows)
