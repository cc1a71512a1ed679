"""A convolutional network compiled to run end to end on the tiles of a chip.

Pixels stream from layer to layer: what leaves a layer's last tile goes to all tiles of the next
one, which gather their rows of every im2col vector from it. (Published is one layer at a time, with
everything between the layers off the chip.)
"""

from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from compiler import image_flow, quantise
from compiler.assemble import Content, tile_programs
from compiler.circuits import Crowded, Demand, Tree, route
from compiler.image_place import placements
from compiler.image_plan import Feed, LayerPlan, NetworkPlan
from spec import fabric, formats, program_check
from spec.chip import Chip
from spec.errors import UserError
from spec.formats import ReadMode
from spec.image_check import check_images
from spec.network import Network, Weights
from spec.program import Block, ChipProgram, HostStream, Route, TileConfig, chip_digest


def compile_images(
    network: Network,
    weights: Mapping[str, Weights],
    chip: Chip,
    read_mode: ReadMode,
    replicas: Mapping[str, int] | None = None,
) -> ChipProgram:
    """Map all layers of `network` to tiles of `chip`.

    Args:
        network: the network; it takes images, and gives its last layer's output.
        weights: by layer.
        chip: the chip description.
        read_mode: of every tile.
        replicas: by layer, how many chains of tiles take its results in turn.

    Raises:
        UserError: a layer cannot be run so, the network does not fit the chip, a constant does not
            fit binary16, no routes are found, or a buffer is too small.
    """
    plan = NetworkPlan(network, chip, replicas or {})
    if plan.tiles > chip.tiles:
        raise UserError(
            f"network {network.name} takes {plan.tiles} tiles of {chip.array.rows}x"
            f"{chip.array.columns}: chip {chip.name} allows {chip.tiles}"
        )
    contents = _contents(plan, weights, read_mode)
    chains = [chain for layer in plan.layers.values() for chain in layer.chains()]
    refusal: UserError | None = None
    for tiles in placements(chains, chip):
        try:
            program = _Mapping(plan, tiles, chip).program(contents, read_mode)
        except Crowded as error:
            refusal = refusal or error
            continue
        program_check.check(program, chip)
        image_flow.check(program, chip)
        return program
    raise UserError(
        f"network {network.name} on chip {chip.name}: no placement that was tried has routes: in "
        f"the first, {refusal}"
    )


def _contents(
    plan: NetworkPlan, weights: Mapping[str, Weights], read_mode: ReadMode
) -> dict[Block, Content]:
    """What every block's tile is told, wherever it is."""
    scales = {None: plan.network.input.scale}
    scales |= {layer.name: layer.output_scale for layer in plan.network.layers}
    found = {}
    for layer in plan.layers.values():
        parameters = weights[layer.layer.name]
        largest = quantise.largest_weight(parameters.weight)
        cells = quantise.cell_codes(parameters.weight, layer.layer.gmax, largest)
        codes = quantise.device_codes(cells)
        steps = quantise.Steps(
            layer.layer.name, layer.layer.gmax, largest, scales[layer.source],
            layer.layer.output_scale,
        )  # fmt: skip
        for chain in layer.chains():
            for block in chain:
                rows, columns = layer.rows[block.rows], layer.columns[block.columns]
                config = _config(plan, layer, block, parameters, steps, scales, read_mode)
                found[block] = config, codes[rows.start : rows.stop, columns.start : columns.stop]
    return found


def _config(
    plan: NetworkPlan,
    layer: LayerPlan,
    block: Block,
    parameters: Weights,
    steps: quantise.Steps,
    scales: Mapping[str | None, float],
    read_mode: ReadMode,
) -> TileConfig:
    columns = layer.columns[block.columns]
    last = block.rows == len(layer.rows) - 1
    bias = parameters.bias[columns.start : columns.stop]
    binary16 = plan.chip.link.partial_sums == "binary16"
    residuals = plan.residuals(block)
    rx_scale = formats.FP16_ONE
    if residuals:
        ratio = np.array(scales[layer.layer.residual] / layer.layer.output_scale)
        rx_scale = int(quantise.binary16(ratio, f"layer {layer.layer.name}: residual's scale"))
    config = TileConfig(
        read_mode=read_mode,
        rows=len(layer.rows[block.rows]),
        columns=len(columns),
        constants=quantise.column_constants(steps, bias if last else 0 * bias, plan.chip),
        relu_2=layer.layer.relu and last,
        rx_enable=block.rows > 0 or bool(residuals),
        rx_scale=rx_scale,
        rx_binary16=binary16 and block.rows > 0,
        tx_binary16=binary16 and not last,
        parts=plan.parts(block),
        window=plan.window(block),
        pooling=plan.pooling(block),
        rx_parts=max(1, len(residuals)),
    )
    check_images(config, plan.chip, f"network {plan.network.name}: layer {layer.layer.name}")
    return config


class _Mapping:
    """A placement with its streams."""

    def __init__(self, plan: NetworkPlan, tiles: Mapping[Block, int], chip: Chip) -> None:
        self._plan, self._tiles, self._chip = plan, tiles, chip
        # What every stream goes to: by its source, tiles with their sink and what they keep.
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
            range(len(edges)), key=lambda port: (_apart(self._chip, edges[port], tile), port)
        )

    def program(self, contents: Mapping[Block, Content], read_mode: ReadMode) -> ChipProgram:
        """The program of this placement.

        Raises:
            Crowded: its routes must share links.
            UserError: there are more streams than there are numbers.
        """
        plan, chip = self._plan, self._chip
        last = plan.last
        outputs, length = [], last.layer.outputs
        exits = fabric.host_tiles(chip, "outputs")
        free = list(range(len(exits)))
        if len(last.columns) > len(exits):
            raise UserError(
                f"network {plan.network.name}: layer {last.layer.name}: its {length} outputs take "
                f"{len(last.columns)} tiles side by side: allowed for the last layer are as many "
                f"as chip {chip.name} has host outputs, {len(exits)}"
            )
        if last.replicas > 1:
            raise UserError(
                f"network {plan.network.name}: layer {last.layer.name}: {last.replicas} replicas: "
                "allowed for the last layer is 1"
            )
        for block, columns in plan.senders(last.layer.name)[0]:
            tile = self._tiles[block]
            port = min(free, key=lambda p: _apart(chip, exits[p], tile))
            free.remove(port)
            self._feeds[block].append((exits[port], fabric.HOST, Feed(block, 0, 0, len(columns))))
            outputs.append((block, port, columns))
        first = min(tile for tile, _, _ in self._feeds[None])
        entrance = self._port("inputs", first)
        sources = list(self._feeds)
        if len(sources) > fabric.STREAMS:
            raise UserError(
                f"network {plan.network.name} needs {len(sources)} streams: allowed are "
                f"{fabric.STREAMS}"
            )
        demands = [
            Demand(
                fabric.host_tiles(chip, "inputs")[entrance] if source is None
                else self._tiles[source],
                tuple((tile, sink) for tile, sink, _ in self._feeds[source]),
            )
            for source in sources
        ]  # fmt: skip
        trees = route(demands, chip)
        numbers = {source: number for number, source in enumerate(sources)}
        routes = self._routes(sources, trees, plan)
        height, width, channels = plan.layers[plan.network.layers[0].name].geometry.input
        down, across, _ = last.geometry.pooled
        programs = tile_programs(
            {self._tiles[block]: content for block, content in contents.items()},
            routes,
            {self._tiles[block]: numbers[block] for block in contents},
            {tile: block for block, tile in self._tiles.items()},
        )
        return ChipProgram(
            chip=chip.name,
            chip_digest=chip_digest(chip),
            network=plan.network.name,
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

    def _routes(
        self, sources: list[Block | None], trees: list[Tree], plan: NetworkPlan
    ) -> dict[int, list[Route]]:
        """Entries of every tile's route table."""
        order = fabric.sinks(self._chip)
        routes: dict[int, list[Route]] = defaultdict(list)
        for number, (source, tree) in enumerate(zip(sources, trees, strict=True)):
            kept = {tile: feed for tile, sink, feed in self._feeds[source] if sink != fabric.HOST}
            for tile, sinks in tree.items():
                feed = kept.get(tile, Feed(source, 0, 0, 0))
                names = tuple(sorted(sinks, key=order.index))
                routes[tile].append(Route(number, names, feed.start, feed.length, feed.part))
        return routes


def _apart(chip: Chip, one: int, other: int) -> int:
    """Rows and columns between two tiles."""
    (r, c), (row, column) = (divmod(tile, chip.grid.columns) for tile in (one, other))
    return abs(row - r) + abs(column - c)
