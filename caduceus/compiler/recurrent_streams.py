"""The streams of a recurrent network: gates down the columns, the hidden state back up.

The slices of a group send their hidden states along the row below the GDPU to one tile, the
group's root. From there all go the same tree: to the tiles that need them as rows of the next
step, and to those that need them now, the dense layer's or the host. So they keep one order on
every link of the tree, which `compiler.deadlock` relies on (our choice: the published chip took
the hidden state off chip).
"""

from collections import defaultdict
from collections.abc import Collection, Hashable
from itertools import pairwise

from caduceus.compiler.recurrent_plan import Plan
from caduceus.compiler.route import distance, pruned
from caduceus.compiler.routed_streams import Kept, RoutedStreams
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.gdpu import GATES
from caduceus.spec.program import HostStream


class Streams(RoutedStreams):
    """Every tile's routes, the streams of results and hidden states, and the host's streams.

    Attributes:
        hidden: for each slice the streams `first`, `stream` and `last` of `caduceus.spec.program`.

    Raises:
        UserError: the links of the chip do not lead where they would have to.
    """

    def __init__(self, plan: Plan, chip: Chip) -> None:
        super().__init__(chip)
        self._plan = plan
        self.hidden: list[tuple[int, int, int]] = []
        for column in range(len(plan.units)):
            self._route_gates(column)
        for group in range(len(plan.groups)):
            self._route_hidden(group)
        self._route_inputs()
        for block in range(len(plan.outputs)):
            self._route_dense(block)

    def _route_gates(self, column: int) -> None:
        """Partial sums down a column, and the gates to the slice below it."""
        chain = self._plan.chain("gates", column)
        length = len(GATES) * len(self._plan.units[column])
        for tile, following in pairwise(chain):
            self.partial_sum(tile, following, length)
        end = chain[-1]
        self.result(end, (end, fabric.GDPU), ("partial sum", end), length)

    def _route_hidden(self, number: int) -> None:
        """Hidden states of a group of slices: to its root, and from there along one tree."""
        plan, group = self._plan, self._plan.groups[number]
        row = self.chip.grid.rows // 2 * self.chip.grid.columns
        root = plan.roots[number]
        later = [
            tile
            for tile, block in plan.tiles.items()
            if block.layer == "gates" and block.slices == group
        ]
        now = [
            (tile, fabric.INPUT)
            for tile, block in plan.tiles.items()
            if block.layer == "dense" and block.slices == group
        ]
        name = "hidden", number
        ways = {
            slice_: self.router.tree(row + slice_, [(root, fabric.INPUT)], name) for slice_ in group
        }
        passed = {tile for way in ways.values() for tile in way} - {root}
        if not plan.outputs:
            now = [(self._host_output(root, name, passed), fabric.HOST)]
        # The nearest tiles first, so that the way to the others goes on from them.
        later.sort(key=lambda tile: distance(self.chip, root, tile)[::-1])
        ends = [(tile, fabric.INPUT) for tile in later]
        tree = self.router.tree(root, [*ends, *now], name, passed)
        parts = self._parts()
        for slice_ in group:
            streams = []
            for wanted in (ends, [*ends, *now], now):
                stream = self.router.stream()
                streams.append(stream)
                sinks = {tile: set(names) for tile, names in ways[slice_].items()}
                sinks[root] = set()
                for tile, names in pruned(tree, root, wanted, self.chip).items():
                    sinks.setdefault(tile, set()).update(names)
                length = len(plan.units[slice_])
                kept = {
                    tile: Kept(0, length, part)
                    for tile, part in parts[slice_].items()
                    if fabric.INPUT in sinks.get(tile, ())
                }
                self.add(stream, sinks, length, kept)
            self.hidden.append(tuple(streams))
            if not plan.outputs:
                port = fabric.host_tiles(self.chip, "outputs").index(now[0][0])
                units = plan.units[slice_]
                self.outputs.append(HostStream(port, streams[1], units.start, len(units)))

    def _parts(self) -> dict[int, dict[int, int]]:
        """By slice and tile: which part of the tile's input the slice's hidden state is."""
        found: dict[int, dict[int, int]] = defaultdict(dict)
        for tile, block in self._plan.tiles.items():
            for index, slice_ in enumerate(block.slices):
                found[slice_][tile] = index + bool(block.inputs)
        return found

    def _host_output(self, tile: int, group: Hashable, avoid: Collection[int] = ()) -> int:
        """The tile at the host's outputs that is best reached; of those in use, the least so."""
        edges = fabric.host_tiles(self.chip, "outputs")
        costs = [
            (self.load("outputs", port), cost, edges[port])
            for port, cost in self.ports("outputs", tile, group, avoid)
        ]
        return min(costs)[2]

    def _route_inputs(self) -> None:
        """Row blocks of the input: a packet for every host input that tiles are reached from."""
        for inputs in dict.fromkeys(block.inputs for block in self._plan.tiles.values()):
            if not inputs:
                continue
            packets = defaultdict(list)
            for tile, block in self._plan.tiles.items():
                if block.inputs == inputs:
                    port = self._nearest(tile)
                    # Where hidden states come to the same tiles, one packet to several of them
                    # could hold what those wait for, while they hold what it waits for.
                    apart = tile if block.slices else None
                    packets[port, apart].append((tile, fabric.INPUT))
            for (port, _), ends in sorted(packets.items(), key=lambda each: each[1]):
                self.from_host(port, ends, inputs)

    def _nearest(self, tile: int) -> int:
        """Port of the host that `tile` is best reached from."""
        return min((cost, port) for port, cost in self.ports("inputs", tile))[1]

    def _route_dense(self, block: int) -> None:
        """Partial sums of a column block of the dense layer, and its result to the host."""
        chain = self._plan.chain("dense", block)
        columns = self._plan.outputs[block]
        for tile, following in pairwise(chain):
            self.partial_sum(tile, following, len(columns))
        edge = self._host_output(chain[-1], "outputs")
        port = fabric.host_tiles(self.chip, "outputs").index(edge)
        self.to_host(chain[-1], port, columns)
