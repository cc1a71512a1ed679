"""Which tile holds which block of a convolutional network.

Chains follow each other on a snake through the grid, so that neighbours in a chain are on linked
tiles and layers near those that they feed. Several snakes are offered, because the routes of one
may share no link where those of another must.
"""

from collections.abc import Iterator, Sequence
from itertools import product

from caduceus.spec.chip import Chip
from caduceus.spec.program import Block


def placements(chains: Sequence[Sequence[Block]], chip: Chip) -> Iterator[dict[Block, int]]:
    """Tiles of all blocks, in one way after another; as many tiles as blocks must be there.

    First those in which a chain that does not fit the rest of a line begins a new line, if there is
    room for that, then those without gaps. Each along the rows and along the columns, and mirrored.
    (The published network also has each long layer in one row.)
    """
    grid = chip.grid
    blocks = [block for chain in chains for block in chain]
    for gaps, turned in product((True, False), (False, True)):
        lines, length = (grid.columns, grid.rows) if turned else (grid.rows, grid.columns)
        places = _with_gaps(chains, lines, length) if gaps else list(range(len(blocks)))
        if places is None:
            continue
        for upside_down, mirrored in product((False, True), repeat=2):
            found = {}
            for block, place in zip(blocks, places, strict=True):
                line, position = divmod(place, length)
                # Every other line is walked backwards.
                position = position if (line % 2 == 0) != mirrored else length - 1 - position
                line = lines - 1 - line if upside_down else line
                row, column = (position, line) if turned else (line, position)
                found[block] = row * grid.columns + column
            yield found


def _with_gaps(chains: Sequence[Sequence[Block]], lines: int, length: int) -> list[int] | None:
    """Places on the snake that break no chain that fits a line; None if there is no room.

    The rest of a line stays free.
    """
    found: list[int] = []
    at = 0
    for chain in chains:
        left = length - at % length
        if left < len(chain) <= length:
            at += left
        found += range(at, at + len(chain))
        at += len(chain)
    return found if at <= lines * length else None
