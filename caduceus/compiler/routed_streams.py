"""The streams of a program, as they get their routes, whatever the network is."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

from caduceus.compiler.route import End, Router, Tree
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.program import HostStream, Route


class Kept(NamedTuple):
    """The slice of a payload that a tile keeps, and which part of its input vector it is."""

    start: int
    length: int
    part: int = 0


def entries(
    chip: Chip, stream: int, tree: Tree, kept: Mapping[int, Kept], otherwise: Kept
) -> Iterator[tuple[int, Route]]:
    """A stream's entry in the table of every tile of its tree.

    Args:
        chip: the chip description.
        stream: the number.
        tree: the stream's sinks by tile.
        kept: what tiles keep of its payload.
        otherwise: what all other tiles keep.
    """
    order = fabric.sinks(chip)
    for tile, sinks in tree.items():
        names = tuple(sorted(sinks, key=order.index))
        yield tile, Route(stream, names, *kept.get(tile, otherwise))


class RoutedStreams:
    """Streams routed one after another.

    Attributes:
        chip: the chip description.
        router: what finds their ways.
        routes: by tile, the entries of its table.
        results: by computing tile, the stream of its results.
        inputs, outputs: the host's.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip, self.router = chip, Router(chip)
        self.routes: dict[int, list[Route]] = defaultdict(list)
        self.results: dict[int, int] = {}
        self.inputs: list[HostStream] = []
        self.outputs: list[HostStream] = []

    def add(
        self, stream: int, tree: Tree, length: int = 0, kept: Mapping[int, Kept] | None = None
    ) -> None:
        """Enter a stream's routes; tiles that are not in `kept` keep `length` bytes."""
        for tile, route in entries(self.chip, stream, tree, kept or {}, Kept(0, length)):
            self.routes[tile].append(route)

    def result(self, tile: int, end: End, group: Hashable, length: int) -> int:
        """Route the results of a tile, packets of `length` bytes, to one end; gives the stream."""
        stream = self.results[tile] = self.router.stream()
        self.add(stream, self.router.tree(tile, [end], group), length)
        return stream

    def partial_sum(self, tile: int, following: int, columns: int) -> None:
        """Route the results of a tile to the RX of the tile that adds them to its own."""
        length = columns * self.chip.link.value_bytes
        self.result(tile, (following, fabric.RX), ("partial sum", tile), length)

    def from_host(self, port: int, ends: Sequence[End], values: range) -> None:
        """Route values of the input vector from a port of the host."""
        stream = self.router.stream()
        source = fabric.host_tiles(self.chip, "inputs")[port]
        self.add(stream, self.router.tree(source, ends, ("inputs", port)), len(values))
        self.inputs.append(HostStream(port, stream, values.start, len(values)))

    def to_host(self, tile: int, port: int, values: range) -> None:
        """Route the results of a tile, which are values of the output vector, to a port."""
        edge = fabric.host_tiles(self.chip, "outputs")[port]
        stream = self.result(tile, (edge, fabric.HOST), "outputs", len(values))
        self.outputs.append(HostStream(port, stream, values.start, len(values)))

    def load(self, side: str, port: int) -> int:
        """Streams so far at a port of the host; `side` is `inputs` or `outputs`."""
        return sum(used.port == port for used in getattr(self, side))

    def ports(
        self,
        side: str,
        tile: int,
        group: Hashable = "outputs",
        avoid: Collection[int] = (),
        among: Collection[int] | None = None,
    ) -> list[tuple[int, float]]:
        """Ports of the host from which a tile is reached, or that it reaches, with the costs.

        Args:
            side: `inputs` or `outputs`.
            tile: the tile.
            group: of the stream to an output; one from an input is of that input's group.
            avoid: tiles not to pass.
            among: ports to look at; None for all.

        Raises:
            UserError: there is none.
        """
        found = []
        for port, edge in enumerate(fabric.host_tiles(self.chip, side)):
            if among is not None and port not in among:
                continue
            if side == "inputs":
                cost = self.router.cost(edge, tile, ("inputs", port), avoid)
            else:
                cost = self.router.cost(tile, edge, group, avoid)
            if cost is not None:
                found.append((port, cost))
        if not found:
            raise UserError(
                f"chip {self.chip.name} has no links between tile {tile} and the host's {side}: "
                "expected an adjacency that connects them"
            )
        return found
