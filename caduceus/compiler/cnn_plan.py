"""What the tiles of a convolutional network hold: matrices cut into blocks, blocks into chains.

Row blocks of a matrix add up along a chain of tiles, as published. The chain's first tile adds the
residual, so that each tile has one RX stream (our choice). The slowest layers may have several
chains with the same weights, called replicas, which make columns of the results in turn.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from caduceus.spec import fabric
from caduceus.spec.blocks import cut
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError, demand_range
from caduceus.spec.feature_map import Pooling, Window
from caduceus.spec.feature_map_check import EXTENT_MAX, KERNEL_MAX, POOL_MAX
from caduceus.spec.graph import Geometry, Graph, Layer, geometries
from caduceus.spec.program import Block, InputPart


@dataclass(frozen=True)
class LayerPlan:
    """A layer as it is on the chip.

    Attributes:
        layer, geometry: its description; a dense layer is a convolution as large as its input.
        source: layer whose output is its input; None for the image.
        rows, columns: ranges of its matrix; each pair of a row block and a column block is a tile.
        replicas: copies of all these tiles.
    """

    layer: Layer
    geometry: Geometry
    source: str | None
    rows: tuple[range, ...]
    columns: tuple[range, ...]
    replicas: int = 1

    @property
    def kernel(self) -> int:
        """Height and width of the kernel."""
        return self.geometry.input[0] if self.layer.op == "dense" else self.layer.kernel

    @property
    def pool(self) -> int:
        """Height and width of a pooling window, 1 without."""
        return self.layer.pool.size if self.layer.pool else 1

    @property
    def tiles(self) -> int:
        """Tiles that it takes."""
        return len(self.rows) * len(self.columns) * self.replicas

    def chains(self) -> list[list[Block]]:
        """Its chains, replica after replica, each from its first tile to its last."""
        return [
            [Block(self.layer.name, k, j, replica) for k in range(len(self.rows))]
            for replica in range(self.replicas)
            for j in range(len(self.columns))
        ]


@dataclass(frozen=True)
class Feed:
    """A packet that a tile receives per pixel, or per several pixels in turn.

    Attributes:
        block: last block of the chain that sends it; None for the image.
        part: number of the part, or of the turn.
        start, length: the bytes that the tile keeps.
    """

    block: Block | None
    part: int
    start: int
    length: int


class NetworkPlan:
    """All layers of a network, cut for a chip.

    Args:
        graph: the network's graph.
        chip: the chip description.
        replicas: by layer, how many chains make its results in turn; 1 for those not named.

    Raises:
        UserError: tiles cannot gather or pool for a layer, or not in that many replicas; a name in
            `replicas` is no layer's.
    """

    def __init__(self, graph: Graph, chip: Chip, replicas: Mapping[str, int]) -> None:
        self.graph, self.chip = graph, chip
        self.layers: dict[str, LayerPlan] = {}
        shapes = geometries(graph)
        for layer, geometry, source in zip(graph.nodes, shapes, graph.inputs, strict=True):
            self.layers[layer.name] = self._planned(
                layer, geometry, source, replicas.get(layer.name, 1)
            )
        used = {graph.nodes[-1].name, *graph.inputs}
        used |= {layer.residual for layer in graph.nodes}
        for name in self.layers:
            if name not in used:
                raise UserError(
                    f"network {graph.name}: layer {name}: no layer takes its output: expected one, "
                    "since it is not the last layer"
                )
        for layer in self.layers.values():
            for chain in layer.chains():
                self._check_residual(chain[0])
        unknown = sorted(set(replicas) - set(self.layers))
        if unknown:
            raise UserError(
                f"network {graph.name}: replicas: got layer {unknown[0]}, expected one of "
                f"{', '.join(self.layers)}"
            )

    def _planned(
        self, layer: Layer, geometry: Geometry, source: str | None, replicas: int
    ) -> LayerPlan:
        where = f"network {self.graph.name}: layer {layer.name}"
        array, most = self.chip.array, fabric.PAYLOAD_MAX
        planned = LayerPlan(
            layer,
            geometry,
            source,
            cut(geometry.rows, min(array.rows, most)),
            cut(layer.outputs, min(array.columns, most)),
            replicas,
        )
        height, width, channels = geometry.input
        extent = f"{where}: input height x width: got {height}x{width}"
        if layer.op == "dense" and height != width:
            raise UserError(f"{extent}, expected a square for a dense layer")
        if max(height, width) > EXTENT_MAX:
            raise UserError(f"{extent}, expected at most {EXTENT_MAX}x{EXTENT_MAX}")
        if layer.op == "dense" and height > KERNEL_MAX:
            raise UserError(
                f"{extent}, expected at most {KERNEL_MAX}x{KERNEL_MAX} for a dense layer"
            )
        if channels > most and source is None:
            raise UserError(
                f"{where}: input channels: got {channels}, expected at most {most}, the values of "
                "a packet"
            )
        for key in ("kernel", "stride"):
            demand_range(1, getattr(layer, key), KERNEL_MAX, where, key)
        if layer.padding >= layer.kernel:
            raise UserError(
                f"{where}: padding: got {layer.padding}, expected less than kernel ({layer.kernel})"
            )
        if layer.pool:
            self._check_pool(planned, where)
        if replicas > 1:
            across = geometry.output[1]
            if layer.residual:
                raise UserError(
                    f"{where}: replicas: got {replicas}, expected 1 for a layer with a residual"
                )
            if across % (planned.pool * replicas):
                raise UserError(
                    f"{where}: output width {across} is not a multiple of pool x replicas "
                    f"({planned.pool} x {replicas})"
                )
        return planned

    def _check_pool(self, planned: LayerPlan, where: str) -> None:
        """Demand that a layer's pooling windows are side by side, and not too large."""
        pool = planned.layer.pool
        if pool.stride != pool.size:
            raise UserError(
                f"{where}: pool.stride: got {pool.stride}, expected pool.size ({pool.size})"
            )
        most = POOL_MAX if pool.kind == "average" else KERNEL_MAX
        demand_range(1, pool.size, most, where, "pool.size")

    def check_buffers(self) -> None:
        """Demand that packets and pixels fit the tiles' buffers, and rows of pooling windows.

        Raises:
            UserError: they do not; the sentence names the layer and the buffer.
        """
        for plan in self.layers.values():
            where = f"network {self.graph.name}: layer {plan.layer.name}"
            if plan.layer.pool:
                self._check_pool_buffer(plan, where)
            for chain in plan.chains():
                for block in chain:
                    self._check_packets(block, where)

    def _check_pool_buffer(self, planned: LayerPlan, where: str) -> None:
        lanes, buffer = self.chip.ldpu.lanes, self.chip.buffers.pool
        across = planned.geometry.output[1] // (planned.pool * planned.replicas)
        values = across * -(-len(planned.columns[0]) // lanes) * lanes
        if values > buffer:
            raise UserError(
                f"{where}: a row of pooling windows keeps {values} values: got buffers.pool = "
                f"{buffer}, expected at least {values}"
            )

    def _check_packets(self, block: Block, where: str) -> None:
        """Demand that a tile can take the packets of its pixels, and keep a pixel."""
        plan = self.layers[block.layer]
        feeds, added = self.feeds(block), self.residuals(block)
        for what, count in (("input", len(feeds)), ("residual", len(added))):
            if count > fabric.PARTS:
                raise UserError(
                    f"{where}: {what}: got {count} packets from column blocks and replicas, "
                    f"expected at most {fabric.PARTS}"
                )
        longest, rows = max(feed.length for feed in feeds), self.chip.array.rows
        if len(feeds) > 1 and longest > rows:
            raise UserError(
                f"{where}: a packet of its input has {longest} channels: got array.rows = {rows}, "
                f"expected at least {longest}"
            )
        pixel = sum(feed.length for feed in feeds) // len(self.senders(plan.source))
        if pixel > self.chip.buffers.activation:
            raise UserError(
                f"{where}: a pixel of its input takes {pixel} bytes: got buffers.activation = "
                f"{self.chip.buffers.activation}, expected at least {pixel}"
            )

    def _check_residual(self, block: Block) -> None:
        """Demand that a tile keeps the same bytes of a stream that it gathers from and adds.

        Its route table has one entry per stream, which says what it keeps.
        """
        gathered = {feed.block: feed for feed in self.feeds(block)}
        for feed in self.residuals(block):
            if gathered.get(feed.block, feed) != feed:
                layer = self.layers[block.layer].layer
                raise UserError(
                    f"network {self.graph.name}: layer {layer.name}: residual: got "
                    f"{layer.residual}, which is its input as well, expected another layer: a tile "
                    "cannot gather from some of its channels and add others"
                )

    @property
    def tiles(self) -> int:
        """Tiles of all layers."""
        return sum(plan.tiles for plan in self.layers.values())

    @property
    def last(self) -> LayerPlan:
        """The layer whose output is the network's."""
        return self.layers[self.graph.nodes[-1].name]

    def senders(self, layer: str | None) -> list[list[tuple[Block | None, range]]]:
        """By replica, the blocks that send a layer's pixels, one per column block, with channels.

        The image (None) has one sender, None.
        """
        if layer is None:
            return [[(None, range(self.graph.input.channels))]]
        plan = self.layers[layer]
        end = len(plan.rows) - 1
        return [
            [(Block(layer, end, j, r), columns) for j, columns in enumerate(plan.columns)]
            for r in range(plan.replicas)
        ]

    def _kept(self, plan: LayerPlan, block: Block) -> range:
        """Channels of a pixel that a block's rows are made of."""
        channels = plan.geometry.input[2]
        rows = plan.rows[block.rows]
        first, last = rows.start // channels, (rows.stop - 1) // channels
        if first == last:
            return range(rows.start % channels, (rows.stop - 1) % channels + 1)
        return range(channels)

    def feeds(self, block: Block) -> list[Feed]:
        """Packets of pixels that a block's tile receives, in the order of their turns."""
        plan = self.layers[block.layer]
        kept, units = self._kept(plan, block), self.chip.link.units
        found: list[Feed] = []
        for packets in self.senders(plan.source):
            for sender, channels in packets:
                start = max(kept.start, channels.start) - channels.start
                stop = min(kept.stop, channels.stop) - channels.start
                if start < stop:
                    start -= start % units  # a slice begins with a beat
                    found.append(Feed(sender, len(found), start, stop - start))
        return found

    def residuals(self, block: Block) -> list[Feed]:
        """Packets that the first tile of a chain adds, in the order of their turns."""
        plan = self.layers[block.layer]
        if plan.layer.residual is None or block.rows:
            return []
        senders = self.senders(plan.layer.residual)
        length = len(plan.columns[block.columns])
        return [
            Feed(packets[block.columns][0], replica, 0, length)
            for replica, packets in enumerate(senders)
        ]

    def window(self, block: Block) -> Window:
        """The window that a block's tile gathers."""
        plan = self.layers[block.layer]
        height, width, channels = plan.geometry.input
        rows = plan.rows[block.rows]
        feeds = self.feeds(block)
        turns = len(self.senders(plan.source))
        mine = feeds[: len(feeds) // turns]
        # Where the first kept byte is among the pixel's channels.
        first = self._kept(plan, block).start
        ahead = first - next(
            channels.start + mine[0].start
            for sender, channels in self.senders(plan.source)[0]
            if sender == mine[0].block
        )
        position, channel = divmod(rows.start, channels)
        across = plan.geometry.output[1]
        period = plan.pool * plan.replicas
        several = plan.replicas > 1
        return Window(
            height=height,
            width=width,
            channels=sum(feed.length for feed in mine),
            kernel=plan.kernel,
            stride=plan.layer.stride,
            padding=plan.layer.padding,
            position=position,
            channel=channel - first + ahead,
            group=plan.pool if several else 1,
            groups=across // period if several else across,
            period=period if several else 1,
            first=block.replica * plan.pool,
            packets=len(mine),
        )

    def parts(self, block: Block) -> tuple[InputPart, ...]:
        """Packets that a block's tile receives in turn; empty if there is one."""
        feeds = self.feeds(block)
        return tuple(InputPart(0, feed.length) for feed in feeds) if len(feeds) > 1 else ()

    def pooling(self, block: Block) -> Pooling | None:
        """How the last tile of a chain pools."""
        plan = self.layers[block.layer]
        if plan.layer.pool is None or block.rows < len(plan.rows) - 1:
            return None
        height, width, _ = plan.geometry.output
        return Pooling(plan.layer.pool.kind, plan.pool, height, width // plan.replicas)
