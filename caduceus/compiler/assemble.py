"""Programs of a chip's tiles, from their contents and their streams."""

from collections.abc import Mapping

from caduceus.compiler.content import Content
from caduceus.spec.program import Block, Route, TileProgram


def tile_programs(
    contents: Mapping[int, Content],
    routes: Mapping[int, list[Route]],
    results: Mapping[int, int],
    blocks: Mapping[int, Block],
) -> tuple[TileProgram, ...]:
    """Programs of all tiles that have routes, in order.

    Args:
        contents: of the computing tiles.
        routes: of every tile that does something.
        results: stream of each computing tile's results.
        blocks: what of the network they hold.
    """
    return tuple(
        TileProgram(
            tile,
            tuple(sorted(routes[tile], key=lambda route: route.stream)),
            *contents.get(tile, (None, None)),
            results.get(tile),
            blocks.get(tile),
        )
        for tile in sorted(routes)
    )
