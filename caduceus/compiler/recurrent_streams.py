"""The streams of a recurrent network: gates down the columns, the hidden state back up.

The slices of a group send their hidden states along the row below the GDPU to one tile, the
group's root. From there all go the same tree: to the tiles that need them as rows of the next
step, and to those that need them now, the dense layer's or the host. So they keep one order on
every link of the tree, which `compiler.deadlock` relies on (our choice: the published chip took
the hidden state off chip).
"""

from collections import defaultdict
from collections.abc import Collection, Hashable

from caduceus.compiler.recurrent_plan import Plan
from caduceus.compiler.route import Router
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.gdpu import GATES
from caduceus.spec.program import HostStream, Route

Sinks = dict[int, set[str]]


class Streams:
    """Every tile's routes, the streams of results and hidden states, and the host's streams.

    Attributes:
        routes: by tile.
        results: stream of each computing tile's results.
        hidden: for each slice the streams `first`, `stream` and `last` of `caduceus.spec.program`.
        inputs, outputs: the host's.

    Raises:
        UserError: the links of the chip do not lead where they would have to.
    """

    def __init__(self, plan: Plan, chip: Chip) -> None:
        self._plan, self._chip = plan, chip
        self._router = Router(chip)
        self.routes: dict[int, list[Route]] = defaultdict(list)
        self.results: dict[int, int] = {}
        self.hidden: list[tuple[int, int, int]] = []
        self.inputs: list[HostStream] = []
        self.outputs: list[HostStream] = []
        for column in range(len(plan.units)):
            self._route_gates(column)
        for group in range(len(plan.groups)):
            self._route_hidden(group)
        self._route_inputs()
        for block in range(len(plan.outputs)):
            self._route_dense(block)

    def _add(self, sinks: Sinks, stream: int, length: int, part: dict[int, int]) -> None:
        """Routes of a stream; `part` says which part of a tile's input it is, where not 0."""
        order = fabric.sinks(self._chip)
        for tile, names in sinks.items():
            names = tuple(sorted(names, key=order.index))
            number = part.get(tile, 0) if fabric.INPUT in names else 0
            self.routes[tile].append(Route(stream, names, 0, length, number))

    def _route_gates(self, column: int) -> None:
        """Partial sums down a column, and the gates to the slice below it."""
        chain = self._plan.chain("gates", column)
        length = len(GATES) * len(self._plan.units[column])
        for tile, following in zip(chain, [*chain[1:], None], strict=True):
            stream = self.results[tile] = self._router.stream()
            end = (tile, fabric.GDPU) if following is None else (following, fabric.RX)
            sinks = self._router.tree(tile, [end], ("partial sum", tile))
            size = 1 if following is None else self._chip.link.value_bytes
            self._add(sinks, stream, length * size, {})

    def _route_hidden(self, number: int) -> None:
        """Hidden states of a group of slices: to its root, and from there along one tree."""
        plan, group = self._plan, self._plan.groups[number]
        row = self._chip.grid.rows // 2 * self._chip.grid.columns
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
            slice_: self._router.tree(row + slice_, [(root, fabric.INPUT)], name)
            for slice_ in group
        }
        passed = {tile for way in ways.values() for tile in way} - {root}
        if not plan.outputs:
            now = [(self._host_output(root, name, passed), fabric.HOST)]
        # The nearest tiles first, so that the way to the others goes on from them.
        later.sort(key=lambda tile: self._distance(root, tile))
        ends = [(tile, fabric.INPUT) for tile in later]
        tree = self._router.tree(root, [*ends, *now], name, passed)
        parts = self._parts()
        for slice_ in group:
            streams = []
            for wanted in (ends, [*ends, *now], now):
                stream = self._router.stream()
                streams.append(stream)
                sinks = {tile: set(names) for tile, names in ways[slice_].items()}
                sinks[root] = set()
                for tile, names in self._pruned(tree, root, wanted).items():
                    sinks.setdefault(tile, set()).update(names)
                self._add(sinks, stream, len(plan.units[slice_]), parts[slice_])
            self.hidden.append(tuple(streams))
            if not plan.outputs:
                port = fabric.host_tiles(self._chip, "outputs").index(now[0][0])
                units = plan.units[slice_]
                self.outputs.append(HostStream(port, streams[1], units.start, len(units)))

    def _parts(self) -> dict[int, dict[int, int]]:
        """By slice and tile: which part of the tile's input the slice's hidden state is."""
        found: dict[int, dict[int, int]] = defaultdict(dict)
        for tile, block in self._plan.tiles.items():
            for index, slice_ in enumerate(block.slices):
                found[slice_][tile] = index + bool(block.inputs)
        return found

    def _distance(self, one: int, other: int) -> tuple[int, int]:
        columns = self._chip.grid.columns
        rows = abs(one // columns - other // columns)
        return abs(one % columns - other % columns), rows

    def _pruned(self, tree: Sinks, root: int, wanted: list[tuple[int, str]]) -> Sinks:
        """The part of a tree that leads to the ends `wanted`."""
        directions = {d.name: d for d in fabric.directions(self._chip)}
        found: Sinks = {}

        def visit(tile: int) -> bool:
            names = set()
            for name in tree[tile]:
                if name in directions:
                    if visit(fabric.neighbour(self._chip, tile, directions[name])):
                        names.add(name)
                elif (tile, name) in wanted:
                    names.add(name)
            if names:
                found[tile] = names
            return bool(names)

        visit(root)
        return found

    def _host_output(self, tile: int, group: Hashable, avoid: Collection[int] = ()) -> int:
        """The tile at the host's outputs that is best reached; of those in use, the least so.

        Raises:
            UserError: none can be reached.
        """
        costs = []
        for port, edge in enumerate(fabric.host_tiles(self._chip, "outputs")):
            cost = self._router.cost(tile, edge, group, avoid)
            if cost is not None:
                costs.append((sum(used.port == port for used in self.outputs), cost, edge))
        if not costs:
            raise UserError(
                f"chip {self._chip.name} has no links between tile {tile} and the host's outputs: "
                "allowed is an adjacency that connects them"
            )
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
            for (port, _), destinations in sorted(packets.items(), key=lambda each: each[1]):
                stream = self._router.stream()
                source = fabric.host_tiles(self._chip, "inputs")[port]
                sinks = self._router.tree(source, destinations, ("inputs", port))
                self._add(sinks, stream, len(inputs), {})
                self.inputs.append(HostStream(port, stream, inputs.start, len(inputs)))

    def _nearest(self, tile: int) -> int:
        """Port of the host that `tile` is best reached from."""
        costs = []
        for port, edge in enumerate(fabric.host_tiles(self._chip, "inputs")):
            cost = self._router.cost(edge, tile, ("inputs", port))
            if cost is not None:
                costs.append((cost, port))
        if not costs:
            raise UserError(
                f"chip {self._chip.name} has no links between the host's inputs and tile {tile}: "
                "allowed is an adjacency that connects them"
            )
        return min(costs)[1]

    def _route_dense(self, block: int) -> None:
        """Partial sums of a column block of the dense layer, and its result to the host."""
        chain = self._plan.chain("dense", block)
        columns = self._plan.outputs[block]
        for tile, following in zip(chain, [*chain[1:], None], strict=True):
            stream = self.results[tile] = self._router.stream()
            if following is not None:
                sinks = self._router.tree(tile, [(following, fabric.RX)], ("partial sum", tile))
                self._add(sinks, stream, len(columns) * self._chip.link.value_bytes, {})
                continue
            edge = self._host_output(tile, "outputs")
            port = fabric.host_tiles(self._chip, "outputs").index(edge)
            sinks = self._router.tree(tile, [(edge, fabric.HOST)], "outputs")
            self._add(sinks, stream, len(columns), {})
            self.outputs.append(HostStream(port, stream, columns.start, len(columns)))
