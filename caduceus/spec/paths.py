"""A stream of a program and its path: from its source by the routes to all its ends.

What tiles do with packets is in `caduceus.spec.streams`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.fabric import TX
from caduceus.spec.program import Program, Route, SliceProgram
from caduceus.spec.program_codes import computing

Node = tuple[str, int]
"""What computes: ("tile", number) or ("slice", number)."""
Tables = Mapping[int, Mapping[int, Route]]
"""Route tables: by tile and stream."""


def channel(tile: int, port: str) -> str:
    """Name of a port of a tile that packets leave through."""
    return f"tile {tile} {port}"


@dataclass(frozen=True)
class Hop:
    """A stream at a tile.

    Attributes:
        entered: the channel that it comes through: a link's, `host input p` or `tile t tx`.
        tile: the tile; sinks: where it goes on to there.
    """

    entered: str
    tile: int
    sinks: tuple[str, ...]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels it goes on through."""
        return tuple(channel(self.tile, sink) for sink in self.sinks)


@dataclass(frozen=True)
class Stream:
    """A stream of a program; it carries one packet per vector.

    Attributes:
        number: the preamble.
        port: host input that it comes from, or None.
        producer: tile whose results it carries, or None.
        length: bytes in a packet.
        values: what a tile's results are, int8 or binary16; None for the host's, which may be both.
        hops: from the source on, nearer tiles first; empty as long as it is not followed.
        slice: GDPU slice whose hidden state it carries, or None.
        before: tiles that make it part of their input of the next step.
        start: where a packet of the host begins in the program's input vector; 0 for results.
    """

    number: int
    port: int | None
    producer: int | None
    length: int
    values: str | None
    hops: tuple[Hop, ...] = ()
    slice: int | None = None
    before: frozenset[int] = frozenset()
    start: int = 0

    @property
    def node(self) -> Node | None:
        """Tile or slice that computes it; None for the host's."""
        if self.slice is not None:
            return "slice", self.slice
        return None if self.producer is None else ("tile", self.producer)

    @property
    def source(self) -> str:
        """Name of the channel that it begins in."""
        if self.slice is not None:
            return f"slice {self.slice} {TX}"
        if self.port is not None:
            return f"host input {self.port}"
        return channel(self.producer, TX)

    def ends(self, sink: str) -> tuple[int, ...]:
        """Tiles where it is delivered to `sink`."""
        return tuple(hop.tile for hop in self.hops if sink in hop.sinks)


def sources(program: Program, chip: Chip) -> tuple[Stream, ...]:
    """The streams of the host and of tiles as their sources declare them, not followed yet.

    Raises:
        UserError: a host port is out of range, or a computing tile has no stream.
    """
    ports = len(chip.host.inputs)
    found = []
    for sent in program.inputs:
        demand(
            0 <= sent.port < ports, f"stream {sent.stream} enters at host input {sent.port}",
            f"0 to {ports - 1}",
        )  # fmt: skip
        found.append(Stream(sent.stream, sent.port, None, sent.length, None, start=sent.start))
    for tile in computing(program):
        demand(tile.tx_stream is not None, f"tile {tile.tile} has no tx_stream", "one")
        values = "binary16" if tile.config.tx_binary16 else "int8"
        found.append(Stream(tile.tx_stream, None, tile.tile, tile.config.tx_bytes, values))
    return tuple(found)


def hidden_state(program: SliceProgram, number: int) -> Stream:
    """A stream of a slice as it is declared, not followed yet."""
    return Stream(number, None, None, program.config.units, "int8", slice=program.slice)


def follow(
    stream: Stream, tables: Tables, chip: Chip, sides: tuple[str, ...] | None = None
) -> Stream:
    """The stream with its hops.

    Args:
        stream: as its source declares it.
        tables: routes of all tiles.
        chip: the chip description.
        sides: of a slice that it leaves by.

    Raises:
        UserError: a tile has no route for it, gets it twice, or has no link where it goes.
    """
    directions = {direction.name: direction for direction in fabric.directions(chip)}
    waiting = [(stream.source, tile) for tile in _enters(stream, chip, sides)]
    seen: set[int] = set()
    hops = []
    for entered, tile in waiting:
        if tile in seen:
            raise UserError(
                f"tile {tile}: stream {stream.number} arrives twice by its routes: expected once"
            )
        seen.add(tile)
        route = tables.get(tile, {}).get(stream.number)
        if route is None:
            raise UserError(
                f"tile {tile}: stream {stream.number} arrives and has no route there: expected "
                f"{sorted(tables.get(tile, ()))}"
            )
        if not route.sinks:
            raise UserError(
                f"tile {tile}: stream {stream.number} has no sinks: expected at least one"
            )
        hops.append(Hop(entered, tile, route.sinks))
        for sink in route.sinks:
            if sink not in directions:
                continue
            other = fabric.neighbour(chip, tile, directions[sink])
            if other is None:
                raise UserError(
                    f"tile {tile}: stream {stream.number} leaves by {sink}: expected a link of "
                    f"chip {chip.name}"
                )
            waiting.append((channel(tile, sink), other))
    return replace(stream, hops=tuple(hops))


def demand_one_source(program: Program, chip: Chip) -> None:
    """Demand that no two sources use one number, for an analysis that names streams by it.

    A chip can do otherwise: a number is looked up at each tile, and two streams that do not meet
    may share one.

    Raises:
        UserError: two do; or a source is not on the chip.
    """
    taken: dict[int, str] = {}
    whole = [(stream.number, stream.source) for stream in sources(program, chip)]
    hidden = [
        (number, f"slice {each.slice} {TX}")
        for each in program.slices
        for number in (each.first, each.last, each.stream)
    ]
    for number, source in (*whole, *hidden):
        demand(
            number not in taken,
            f"stream {number} comes from {taken.get(number)} and {source}", "one source",
        )  # fmt: skip
        taken[number] = source


def demand(condition: bool, what: str, expected: str) -> None:
    """Refuse a program unless the condition holds; the sentence says what is wrong."""
    if not condition:
        raise UserError(f"program: {what}: expected {expected}")


def _enters(stream: Stream, chip: Chip, sides: tuple[str, ...] | None) -> list[int]:
    """Tiles at which a stream enters the fabric."""
    if stream.slice is not None:
        tiles = fabric.gdpu_tiles(chip, stream.slice)
        return [tiles[side] for side in sides]
    if stream.port is not None:
        return [fabric.host_tiles(chip, "inputs")[stream.port]]
    return [stream.producer]
