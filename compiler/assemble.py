"""What every tile of a chip is told, from its contents and its streams."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spec.program import Block, Route, TileConfig, TileProgram

Content = tuple[TileConfig, NDArray[np.uint8]]
"""Configuration and device codes of a tile."""


def tile_programs(
    contents: Mapping[int, Content],
    routes: Mapping[int, list[Route]],
    results: Mapping[int, int],
    blocks: Mapping[int, Block] | None = None,
) -> tuple[TileProgram, ...]:
    """Programs of all tiles that have routes, in order.

    Args:
        contents: of the computing tiles.
        routes: of every tile that does something.
        results: stream of each computing tile's results.
        blocks: what of the network they hold, where that is to be told.
    """
    return tuple(
        TileProgram(
            tile,
            tuple(sorted(routes[tile], key=lambda route: route.stream)),
            *contents.get(tile, (None, None)),
            results.get(tile),
            (blocks or {}).get(tile),
        )
        for tile in sorted(routes)
    )
