"""Which tile holds which block.

The blocks of one column block are a chain along which partial sums travel, so neighbours in it are
placed on linked tiles. Both ways of placing them keep every tile's input on the way down its own
column, from a host input at the north edge (our choice). For hosts elsewhere there are the same
placements turned and mirrored.
"""

from collections.abc import Iterator
from itertools import product

from caduceus.spec.chip import Chip


def place(row_blocks: int, column_blocks: int, chip: Chip) -> dict[tuple[int, int], int]:
    """The tile of every block (row block, column block).

    Where the grid is large enough, row block k of column block j is in grid column k and row j.
    Otherwise the chains follow each other on a snake through the grid. It runs upwards and, on even
    rows, to the west: vertical links down, which the inputs take, and links to the east of every
    even row, which the results take, stay free of partial sums.

    There must be no more blocks than tiles.
    """
    blocks, grid = row_blocks * column_blocks, chip.grid
    order = [(k, j) for j in range(column_blocks) for k in range(row_blocks)]
    if row_blocks <= grid.columns and column_blocks <= grid.rows:
        return {(k, j): j * grid.columns + k for k, j in order}
    return dict(zip(order, _snake(blocks, chip), strict=False))


def placements(
    row_blocks: int, column_blocks: int, chip: Chip
) -> Iterator[tuple[dict[tuple[int, int], int], frozenset[int]]]:
    """`place`, and then its mirror images and those of the transposed grid.

    Each with the tiles at the edge where its inputs enter: the north edge in `place`.
    """
    grid = chip.grid
    for turned in (False, True):
        seen_by = grid.model_copy(
            update={"rows": grid.columns, "columns": grid.rows} if turned else {}
        )
        tiles = place(row_blocks, column_blocks, chip.model_copy(update={"grid": seen_by}))
        for upside_down, mirrored in product((False, True), repeat=2):
            found = {}
            for block, tile in tiles.items():
                row, column = divmod(tile, seen_by.columns)
                row = seen_by.rows - 1 - row if upside_down else row
                column = seen_by.columns - 1 - column if mirrored else column
                row, column = (column, row) if turned else (row, column)
                found[block] = row * grid.columns + column
            line = grid.columns if turned else grid.rows
            at = line - 1 if upside_down else 0
            edge = frozenset(
                tile
                for tile in range(chip.tiles)
                if divmod(tile, grid.columns)[1 if turned else 0] == at
            )
            yield found, edge


def _snake(tiles: int, chip: Chip) -> list[int]:
    """Tiles of as few rows as hold `tiles`, along the snake."""
    columns = chip.grid.columns
    found = []
    for row in reversed(range(-(-tiles // columns))):
        line = range(row * columns, (row + 1) * columns)
        found += line if row % 2 else reversed(line)
    return found
