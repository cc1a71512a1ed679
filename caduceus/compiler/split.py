"""A matrix too large for one array, cut into blocks that fit."""

from dataclasses import dataclass

from caduceus.spec import fabric
from caduceus.spec.blocks import cut
from caduceus.spec.chip import Chip


@dataclass(frozen=True)
class Split:
    """Blocks of a matrix: every row block times every column block is one tile's.

    Attributes:
        rows, columns: ranges of the matrix, in order; together they cover it exactly once.
    """

    rows: tuple[range, ...]
    columns: tuple[range, ...]


def split(rows: int, columns: int, chip: Chip) -> Split:
    """The fewest equal blocks that fit the array of `chip`, as published.

    Where the size does not divide, the last block is smaller. A block's input is one packet, and so
    is its result, hence no block is larger than a packet either (our choice).
    """
    most = fabric.PAYLOAD_MAX
    return Split(cut(rows, min(chip.array.rows, most)), cut(columns, min(chip.array.columns, most)))
