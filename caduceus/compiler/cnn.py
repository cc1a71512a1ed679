"""A convolutional network compiled to run end to end on the tiles of a chip.

Pixels stream from layer to layer: results of a layer's last tile go to all tiles of the next layer,
which gather their rows of every im2col vector from them. (The original chip ran one layer at a
time, with everything between the layers off the chip.)
"""

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from caduceus.compiler import cnn_flow, quantise
from caduceus.compiler.assemble import tile_programs
from caduceus.compiler.cnn_place import placements
from caduceus.compiler.cnn_plan import Feed, LayerPlan, NetworkPlan
from caduceus.compiler.content import Content, Matrix, Place, Scaling, content, layer_matrix
from caduceus.compiler.route import Crowded, Demand, distance
from caduceus.compiler.routed_streams import Kept, RoutedStreams
from caduceus.spec import fabric, formats
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.feature_map_check import check_feature_maps
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network
from caduceus.spec.program import Block, HostStream, Program, chip_digest


def compile_cnn(
    network: Network,
    chip: Chip,
    read_mode: ReadMode,
    scaling: Scaling,
    replicas: Mapping[str, int] | None = None,
) -> Program:
    """Map all layers of `network` to tiles of `chip`.

    Args:
        network: the network; it takes images, and gives its last layer's output.
        chip: the chip description.
        read_mode: of every tile.
        scaling: how weights become codes.
        replicas: by layer, how many chains of tiles make its results in turn.

    Raises:
        UserError: the chip cannot run a layer, the network does not fit the chip, a constant does
            not fit binary16, no routes are found, or a buffer is too small.
    """
    plan = NetworkPlan(network.graph, chip, replicas or {})
    if plan.tiles > chip.tiles:
        raise UserError(
            f"network {network.name} takes {plan.tiles} tiles of {chip.array.rows}x"
            f"{chip.array.columns} for {len(plan.layers)} layers, at least one each: chip "
            f"{chip.name} has {chip.tiles}"
        )
    plan.check_buffers()
    contents = _contents(plan, matrices(network, scaling), read_mode)
    chains = [chain for layer in plan.layers.values() for chain in layer.chains()]
    refusal: UserError | None = None
    for tiles in placements(chains, chip):
        try:
            program = _Mapping(plan, tiles, chip).program(contents, read_mode)
        except Crowded as error:
            refusal = refusal or error
            continue
        cnn_flow.check(program, chip)
        return program
    raise UserError(
        f"network {network.name} on chip {chip.name}: no routes found in any placement: in the "
        f"first, {refusal}"
    )


def matrices(network: Network, scaling: Scaling) -> dict[str, Matrix]:
    """The matrix of every layer, by its name."""
    graph = network.graph
    return {
        layer.name: layer_matrix(network, layer, graph.scales[source], scaling)
        for layer, source in zip(graph.nodes, graph.inputs, strict=True)
    }


def _contents(
    plan: NetworkPlan, matrices: Mapping[str, Matrix], read_mode: ReadMode
) -> dict[Block, Content]:
    """Configuration and codes of every block's tile, wherever it is."""
    return {
        block: _content(plan, planned, block, matrices[name], read_mode)
        for name, planned in plan.layers.items()
        for chain in planned.chains()
        for block in chain
    }


def _content(
    plan: NetworkPlan, planned: LayerPlan, block: Block, matrix: Matrix, read_mode: ReadMode
) -> Content:
    layer = planned.layer
    place = Place(
        np.array(planned.columns[block.columns]), [planned.rows[block.rows]],
        block.rows == 0, block.rows == len(planned.rows) - 1,
    )  # fmt: skip
    residuals = plan.residuals(block)
    rx_scale = formats.FP16_ONE
    if residuals:
        ratio = np.array(plan.graph.scales[layer.residual] / layer.output_scale)
        what = f"{matrix.where}: scale of residual {layer.residual} by output_scale"
        rx_scale = int(quantise.binary16(ratio, what))
    found = content(
        matrix,
        place,
        plan.chip,
        read_mode,
        relu_2=layer.relu,
        rx_enable=bool(residuals),
        rx_scale=rx_scale,
        parts=plan.parts(block),
        window=plan.window(block),
        pooling=plan.pooling(block),
        rx_parts=max(1, len(residuals)),
    )
    check_feature_maps(found[0], plan.chip, f"network {plan.graph.name}: layer {layer.name}")
    return found


class _Mapping:
    """A placement with its streams."""

    def __init__(self, plan: NetworkPlan, tiles: Mapping[Block, int], chip: Chip) -> None:
        self._plan, self._tiles, self._chip = plan, tiles, chip
        # Ends of every stream: by its source, tiles with their sink and the bytes they keep.
        self._feeds: dict[Block | None, list[tuple[int, str, Feed]]] = defaultdict(list)
        for block, tile in tiles.items():
            for feed in plan.feeds(block):
                self._feeds[feed.block].append((tile, fabric.INPUT, feed))
            for feed in plan.residuals(block):
                self._feeds[feed.block].append((tile, fabric.RX, feed))
        self._chain_sums()

    def _chain_sums(self) -> None:
        """Partial sums from tile to tile."""
        for layer in self._plan.layers.values():
            for chain in layer.chains():
                for block, after in pairwise(chain):
                    width = len(layer.columns[block.columns]) * self._chip.link.value_bytes
                    feed = Feed(block, 0, 0, width)
                    self._feeds[block].append((self._tiles[after], fabric.RX, feed))

    def _port(self, side: str, tile: int) -> int:
        """The host's stream nearest to a tile, in tiles of the grid."""
        edges = fabric.host_tiles(self._chip, side)
        return min(
            range(len(edges)), key=lambda port: (sum(distance(self._chip, edges[port], tile)), port)
        )

    def program(self, contents: Mapping[Block, Content], read_mode: ReadMode) -> Program:
        """The program of this placement.

        Raises:
            Crowded: its routes must share links.
            UserError: there are more streams than there are numbers.
        """
        plan, chip = self._plan, self._chip
        outputs, length = self._outputs(), plan.last.layer.outputs
        first = min(tile for tile, _, _ in self._feeds[None])
        entrance = self._port("inputs", first)
        numbers, streams = self._routed(entrance)
        height, width, channels = plan.layers[plan.graph.nodes[0].name].geometry.input
        down, across, _ = plan.last.geometry.pooled
        programs = tile_programs(
            {self._tiles[block]: content for block, content in contents.items()},
            streams.routes,
            {self._tiles[block]: numbers[block] for block in contents},
            {tile: block for block, tile in self._tiles.items()},
        )
        return Program(
            chip=chip.name,
            chip_digest=chip_digest(chip),
            network=plan.graph.name,
            read_mode=read_mode,
            tiles=programs,
            inputs=(HostStream(entrance, numbers[None], 0, channels),),
            outputs=tuple(
                HostStream(port, numbers[block], columns.start, len(columns))
                for block, port, columns in outputs
            ),
            input_length=channels,
            output_length=length,
            input_pixels=height * width,
            output_pixels=down * across,
        )

    def _outputs(self) -> list[tuple[Block, int, range]]:
        """Blocks whose results leave the chip, each with the host's port and its channels.

        Raises:
            UserError: the host has too few ports, or the last layer has replicas.
        """
        plan, chip, last = self._plan, self._chip, self._plan.last
        found = []
        exits = fabric.host_tiles(chip, "outputs")
        free = list(range(len(exits)))
        if len(last.columns) > len(exits):
            raise UserError(
                f"network {plan.graph.name}: layer {last.layer.name}: outputs: got "
                f"{last.layer.outputs}, which take {len(last.columns)} tiles side by side, "
                f"expected at most {len(exits)} tiles for the last layer, the host outputs of "
                f"chip {chip.name}"
            )
        if last.replicas > 1:
            raise UserError(
                f"network {plan.graph.name}: layer {last.layer.name}: replicas: got "
                f"{last.replicas}, expected 1 for the last layer"
            )
        for block, columns in plan.senders(last.layer.name)[0]:
            tile = self._tiles[block]
            port = min(free, key=lambda p: sum(distance(chip, exits[p], tile)))
            free.remove(port)
            self._feeds[block].append((exits[port], fabric.HOST, Feed(block, 0, 0, len(columns))))
            found.append((block, port, columns))
        return found

    def _routed(self, entrance: int) -> tuple[dict[Block | None, int], RoutedStreams]:
        """Numbers of the streams by their source, and their routes.

        Raises:
            Crowded: the routes must share links.
            UserError: there are more streams than there are numbers.
        """
        chip, sources = self._chip, list(self._feeds)
        demands = [
            Demand(
                fabric.host_tiles(chip, "inputs")[entrance] if source is None
                else self._tiles[source],
                tuple((tile, sink) for tile, sink, _ in self._feeds[source]),
            )
            for source in sources
        ]  # fmt: skip
        streams = RoutedStreams(chip)
        numbers = {source: streams.router.stream() for source in sources}
        for source, tree in zip(sources, streams.router.apart(demands), strict=True):
            kept = {
                tile: Kept(feed.start, feed.length, feed.part)
                for tile, sink, feed in self._feeds[source]
                if sink != fabric.HOST
            }
            streams.add(numbers[source], tree, kept=kept)
        return numbers, streams
