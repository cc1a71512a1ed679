"""What every tile of a chip is told, from its contents and its streams."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spec.program import Route, TileConfig, TileProgram

Content = tuple[TileConfig, NDArray[np.uint8]]
"""Configuration and device codes of a tile."""


def tile_programs(
    contents: Mapping[int, Content],
    routes: Mapping[int, list[Route]],
    results: Mapping[int, int],
) -> tuple[TileProgram, ...]:
    """Programs of all tiles that have routes, in order.

    Args:
        contents: of the computing tiles.
        routes: of every tile that does something.
        results: stream of each computing tile's results.
    """
    return tuple(
        TileProgram(
            tile,
            tuple(sorted(routes[tile], key=lambda route: route.stream)),
            *contents.get(tile, (None, None)),
            results.get(tile),
        )
        for tile in sorted(routes)
    )
