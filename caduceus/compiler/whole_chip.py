"""A layer that is larger than one array, compiled to run on many tiles of a chip at once.

Row blocks add up along a chain of tiles: each adds its predecessor's result to its own (RX), as
published. Partial sums are INT8, or binary16 where the chip has it (`link.partial_sums`). Every
link of a chain has the scale of the layer's output, so RX is added as it is; bias and ReLU come at
the chain's end (our choice).
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from itertools import product

import numpy as np

from caduceus.compiler import deadlock
from caduceus.compiler.assemble import tile_programs
from caduceus.compiler.content import Content, Place, Scaling, content, layer_matrix
from caduceus.compiler.place import placements
from caduceus.compiler.routed_streams import RoutedStreams
from caduceus.compiler.split import Split, split
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network
from caduceus.spec.program import Block, Program, chip_digest

At = tuple[int, int]
"""Row block and column block."""


@dataclass(frozen=True)
class Plan:
    """Where the blocks of a layer go.

    Attributes:
        split: the blocks' rows and columns of the matrix.
        tiles: the tile of every block (row block, column block).
    """

    split: Split
    tiles: dict[At, int]


def compile_layer(network: Network, chip: Chip, read_mode: ReadMode, scaling: Scaling) -> Program:
    """Map the one layer of `network` to the tiles of `chip`.

    Args:
        network: one layer whose rows are its whole input.
        chip: the chip description.
        read_mode: of every tile.
        scaling: how weights become codes.

    Raises:
        UserError: the network does not fit the chip, a constant does not fit binary16, or the
            program could deadlock in every placement.
    """
    layer = network.graph.nodes[0]
    parts = split(network.graph.input.size, layer.outputs, chip)
    blocks = f"{len(parts.rows)}x{len(parts.columns)}"
    if (tiles := len(parts.rows) * len(parts.columns)) > chip.tiles:
        raise UserError(
            f"network {network.name}: layer {layer.name} takes {tiles} tiles of {chip.array.rows}x"
            f"{chip.array.columns} ({blocks} blocks): chip {chip.name} has {chip.tiles}"
        )
    contents = _contents(network, parts, chip, read_mode, scaling)
    refusal = None
    for tiles, edge in placements(len(parts.rows), len(parts.columns), chip):
        where = Plan(parts, tiles)
        streams = _Streams(where, chip, edge)
        program = _program(network, contents, chip, read_mode, where, streams)
        try:
            deadlock.check(program, chip)
        except deadlock.Deadlock as error:
            refusal = refusal or error
        else:
            return program
    raise UserError(
        f"network {network.name} in {blocks} blocks on chip {chip.name}: no placement is safe: in "
        f"the first, {refusal}"
    )


def _program(
    network: Network,
    contents: dict[At, Content],
    chip: Chip,
    read_mode: ReadMode,
    where: Plan,
    streams: "_Streams",
) -> Program:
    tiles = {tile: contents[at] for at, tile in where.tiles.items()}
    name = network.graph.nodes[0].name
    blocks = {tile: Block(name, *at) for at, tile in where.tiles.items()}
    return Program(
        chip=chip.name,
        chip_digest=chip_digest(chip),
        network=network.name,
        read_mode=read_mode,
        tiles=tile_programs(tiles, streams.routes, streams.results, blocks),
        inputs=tuple(streams.inputs),
        outputs=tuple(streams.outputs),
        input_length=where.split.rows[-1].stop,
        output_length=where.split.columns[-1].stop,
    )


def _contents(
    network: Network, parts: Split, chip: Chip, read_mode: ReadMode, scaling: Scaling
) -> dict[At, Content]:
    """Configuration and codes of every block's tile, wherever it is."""
    layer = network.graph.nodes[0]
    matrix = layer_matrix(network, layer, network.graph.input.scale, scaling)
    ends = len(parts.rows) - 1
    return {
        (k, j): content(
            matrix,
            Place(np.array(parts.columns[j]), [parts.rows[k]], k == 0, k == ends),
            chip,
            read_mode,
            relu_2=layer.relu,
        )
        for k, j in product(range(len(parts.rows)), range(len(parts.columns)))
    }


class _Streams(RoutedStreams):
    """Streams of a plan: every tile's routes, the stream of its results, and the host's streams."""

    def __init__(self, where: Plan, chip: Chip, edge: Collection[int]) -> None:
        super().__init__(chip)
        self._where = where
        inputs = fabric.host_tiles(chip, "inputs")
        # Inputs from another edge would cross what the placement keeps apart.
        self._entrances = [port for port, tile in enumerate(inputs) if tile in edge] or None
        for k in range(len(where.split.rows)):
            self._route_input(k)
        for j in range(len(where.split.columns)):
            self._route_chain(j)
        for j in range(len(where.split.columns)):
            self._route_output(j)

    def _nearest(self, side: str, tile: int, among: Collection[int] | None = None) -> int:
        """Port of the host that `tile` is best reached from (`inputs`) or reaches (`outputs`)."""
        costs = [
            (cost, self.load(side, port), port)
            for port, cost in self.ports(side, tile, among=among)
        ]
        return min(costs)[2]

    def _route_input(self, k: int) -> None:
        """Row block k of the input: a packet for every host input that tiles are reached from."""
        by_port = defaultdict(list)
        for (row_block, _), tile in self._where.tiles.items():
            if row_block == k:
                port = self._nearest("inputs", tile, self._entrances)
                by_port[port].append((tile, fabric.INPUT))
        for port, ends in sorted(by_port.items()):
            self.from_host(port, ends, self._where.split.rows[k])

    def _route_chain(self, j: int) -> None:
        """Partial sums of column block j, from tile to tile."""
        columns = self._where.split.columns[j]
        for k in range(len(self._where.split.rows) - 1):
            tile, following = (self._where.tiles[block, j] for block in (k, k + 1))
            self.partial_sum(tile, following, len(columns))

    def _route_output(self, j: int) -> None:
        """The result of column block j, to the host.

        Results may share links with each other, because the host takes whatever comes.
        """
        tile = self._where.tiles[len(self._where.split.rows) - 1, j]
        self.to_host(tile, self._nearest("outputs", tile), self._where.split.columns[j])
