"""Which tile holds which part of a recurrent network.

As published: each GDPU slice has a column of tiles above it, through which the partial sums of its
units' gates run: first the input's row blocks, then the hidden state's. The dense layer is below.
Where the rows of input and hidden state fit one array together, they share it (our choice).
"""

from dataclasses import dataclass

from caduceus.compiler.lower import Recurrent, recurrent
from caduceus.compiler.split import split
from caduceus.spec.blocks import cut
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.fabric import PARTS, PAYLOAD_MAX
from caduceus.spec.graph import Graph

GROUPS_MAX = 2
"""Row blocks of the hidden state: one goes west along the GDPU, the other east."""


@dataclass(frozen=True)
class MatrixBlock:
    """A tile's block: some rows of the network's matrices, for some of their columns.

    Attributes:
        layer: `gates` or `dense`.
        inputs: the part of the input vector that it multiplies; empty if none.
        slices: GDPU slices whose hidden units it multiplies; empty if none.
        columns: for `gates` the GDPU slice whose gates it computes, for `dense` the number of the
            column block.
        last: it is the last of its chain of partial sums.
    """

    layer: str
    inputs: range
    slices: range
    columns: int
    last: bool


@dataclass(frozen=True)
class Plan:
    """Where a recurrent network goes.

    Attributes:
        units: hidden units of each GDPU slice.
        groups: slices whose hidden units make up an input vector together: row blocks of the
            hidden state.
        inputs: row blocks of the input; empty where it shares tiles with the hidden state.
        outputs: column blocks of the dense layer.
        tiles: block of every computing tile.
        roots: for each group, the tile where its slices' hidden states come together.
    """

    units: tuple[range, ...]
    groups: tuple[range, ...]
    inputs: tuple[range, ...]
    outputs: tuple[range, ...]
    tiles: dict[int, MatrixBlock]
    roots: tuple[int, ...]

    def chain(self, layer: str, columns: int) -> list[int]:
        """Tiles of a chain of partial sums, in its order."""
        return [
            tile
            for tile, block in self.tiles.items()
            if (block.layer, block.columns) == (layer, columns)
        ]


def padded(length: int, chip: Chip) -> int:
    """Rows that a part of an input vector takes: parts start at a multiple of a beat's bytes."""
    units = chip.link.units
    return -(-length // units) * units


def plan(graph: Graph, chip: Chip) -> Plan:
    """Cut the matrices of a recurrent graph into blocks, and give each a tile.

    Raises:
        UserError: the graph is no LSTM with or without a dense layer, or there are not enough
            slices, or not enough tiles where they are needed.
    """
    network = recurrent(graph)
    hidden, size, grid = network.lstm.hidden, network.size, chip.grid
    rows = min(chip.array.rows, PAYLOAD_MAX)
    # A slice's hidden state is one part of an input vector, so a tile must have rows for all of it.
    each = min(chip.gdpu.units, rows)
    most = chip.gdpu.slices * each
    if hidden > most:
        raise UserError(
            f"network {network.name}: layer {network.lstm.name}: hidden: got {hidden}, expected at "
            f"most {most} on chip {chip.name} ({chip.gdpu.slices} GDPU slices of {each})"
        )
    units = cut(hidden, each)
    place = padded(len(units[0]), chip)
    groups = cut(len(units), min(rows // place, PARTS))
    shared = (
        len(groups) == 1 and padded(size, chip) + place * len(units) <= rows and len(units) < PARTS
    )
    inputs = () if shared else split(size, 1, chip).rows
    outputs = split(1, network.dense.outputs, chip).columns if network.dense else ()

    tiles: dict[int, MatrixBlock] = {}
    row = grid.rows // 2  # of the tiles below the GDPU
    length = len(inputs) + len(groups)
    _demand_tiles(network, chip, length, len(groups), len(outputs))
    for column in range(len(units)):
        for step in range(length):
            at = step - len(inputs)
            block = MatrixBlock(
                "gates",
                inputs[step] if at < 0 else range(size) if shared else range(0),
                groups[at] if at >= 0 else range(0),
                column,
                step == length - 1,
            )
            tiles[(row - length + step) * grid.columns + column] = block
    # Of two groups one goes west and the other one east, so that their ways do not meet.
    first = row * grid.columns
    roots = (first, first + len(units) - 1)[-len(groups) :]
    for number, group in enumerate(groups):
        for block in range(len(outputs)):
            tile = roots[number] + block * grid.columns
            tiles[tile] = MatrixBlock("dense", range(0), group, block, number == len(groups) - 1)
    return Plan(units, groups, inputs, outputs, tiles, roots)


def _demand_tiles(network: Recurrent, chip: Chip, above: int, groups: int, below: int) -> None:
    """Demand tiles for the blocks of every column, above and below the GDPU.

    Raises:
        UserError: there are not enough, or too many row blocks of the hidden state.
    """
    row = chip.grid.rows // 2  # of the tiles below the GDPU
    where = f"network {network.name}: layer {network.lstm.name}"
    if above > row:
        raise UserError(
            f"{where}: takes {above} tiles above every GDPU slice: chip {chip.name} has {row} "
            "(half of its rows)"
        )
    if groups > GROUPS_MAX:
        raise UserError(
            f"{where}: hidden state takes {groups} row blocks of {chip.array.rows} rows on chip "
            f"{chip.name}: expected at most {GROUPS_MAX}"
        )
    if below > chip.grid.rows - row:
        raise UserError(
            f"network {network.name}: layer {network.dense.name}: takes {below} tiles below a GDPU "
            f"slice: chip {chip.name} has {chip.grid.rows - row} (half of its rows)"
        )
