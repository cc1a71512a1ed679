"""What the streams of a program do: every stream followed from its source to its ends."""

from dataclasses import dataclass, replace

from spec import fabric
from spec.chip import Chip
from spec.errors import UserError
from spec.gdpu import GATES
from spec.program import Program, Route, SliceProgram, TileProgram


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
    """A stream of a program.

    Attributes:
        number: the preamble.
        port: host input that it comes from, or None.
        producer: tile whose results it carries, or None.
        slice: GDPU slice whose hidden state it carries, or None.
        length: bytes in a packet.
        values: what a tile's results are, int8 or binary16; None for the host's, which may be both.
        hops: from the source on; a tile that it enters twice the same way is followed once.
        before: tiles that make it part of their input of the next step.
    """

    number: int
    port: int | None
    producer: int | None
    length: int
    values: str | None
    hops: tuple[Hop, ...]
    slice: int | None = None
    before: frozenset[int] = frozenset()

    def ends(self, sink: str) -> tuple[int, ...]:
        """Tiles where it is delivered to `sink`."""
        return tuple(hop.tile for hop in self.hops if sink in hop.sinks)


def trace(program: Program, chip: Chip) -> tuple[Stream, ...]:
    """Every stream of `program`, in the order of their numbers, with all that must hold of them.

    Raises:
        UserError: a stream has two sources, no route or no link where it goes, or ends at a tile or
            at the host with another length, or not once, where it is expected.
    """
    tiles = {tile.tile: tile for tile in program.tiles}
    _demand(len(tiles) == len(program.tiles), "two programs for one tile", "one a tile")
    found: dict[int, Stream] = {}
    taken: dict[int, str] = {}  # numbers, and where their streams come from

    def follow(stream: Stream) -> Stream:
        source = source_name(stream)
        _demand(
            stream.number not in taken,
            f"stream {stream.number} comes from {taken.get(stream.number)} and {source}",
            "one source",
        )
        taken[stream.number] = source
        found[stream.number] = replace(stream, hops=_follow(stream, program, tiles, chip))
        return found[stream.number]

    for stream in _sources(program, chip):
        follow(stream)
    for each in program.slices:
        parts = [follow(_hidden(each, number)) for number in (each.first, each.last)]
        whole = follow(_hidden(each, each.stream))
        _check_hidden(each, tiles, whole, *parts)
        before = frozenset(parts[0].ends(fabric.INPUT))
        for part in parts:  # of the whole: they wait for nothing that it does not
            del found[part.number]
        found[whole.number] = replace(whole, before=before)
    streams = tuple(found[number] for number in sorted(found))
    for tile in program.tiles:
        _check_tile(tile, streams)
    _check_gates(program, chip, streams)
    _check_outputs(program, chip, streams)
    return streams


def _demand(condition: bool, what: str, allowed: str) -> None:
    if not condition:
        raise UserError(f"program: {what}: allowed is {allowed}")


def _sources(program: Program, chip: Chip) -> list[Stream]:
    """The streams as their sources declare them, without hops."""
    edges = fabric.host_tiles(chip, "inputs")
    found = []
    for host in program.inputs:
        _demand(
            0 <= host.port < len(edges), f"stream {host.stream} enters at host input {host.port}",
            f"0 to {len(edges) - 1}",
        )  # fmt: skip
        found.append(Stream(host.stream, host.port, None, host.length, None, ()))
    for tile in program.tiles:
        if tile.config is not None:
            _demand(tile.tx_stream is not None, f"tile {tile.tile} has no tx_stream", "one")
            values = "binary16" if tile.config.tx_binary16 else "int8"
            length = tile.config.tx_bytes
            found.append(Stream(tile.tx_stream, None, tile.tile, length, values, ()))
    return found


def _hidden(program: SliceProgram, number: int) -> Stream:
    """A stream of a slice, without hops."""
    units = program.config.units
    return Stream(number, None, None, units, "int8", (), slice=program.slice)


def source_name(stream: Stream) -> str:
    """Name of the channel that a stream begins in."""
    if stream.slice is not None:
        return f"slice {stream.slice} {fabric.TX}"
    if stream.port is not None:
        return f"host input {stream.port}"
    return channel(stream.producer, fabric.TX)


def _enters(stream: Stream, program: Program, chip: Chip) -> list[int]:
    """Tiles at which a stream enters the fabric."""
    if stream.slice is not None:
        sides = fabric.gdpu_tiles(chip, stream.slice)
        mine = next(each for each in program.slices if each.slice == stream.slice)
        return [sides[side] for side in mine.sides]
    if stream.port is not None:
        return [fabric.host_tiles(chip, "inputs")[stream.port]]
    return [stream.producer]


def _follow(
    stream: Stream, program: Program, tiles: dict[int, TileProgram], chip: Chip
) -> tuple[Hop, ...]:
    """The hops of a stream, from its source on, nearer tiles first."""
    directions = {direction.name: direction for direction in fabric.directions(chip)}
    source = source_name(stream)
    waiting = [(source, tile) for tile in _enters(stream, program, chip)]
    seen, hops = set(), []
    for entered, tile in waiting:
        route = _route(stream.number, tiles.get(tile), tile)
        hops.append(Hop(entered, tile, route.sinks))
        for sink in route.sinks:
            if sink not in directions:
                continue
            leaving = channel(tile, sink)
            other = fabric.neighbour(chip, tile, directions[sink])
            _demand(
                other is not None, f"stream {stream.number} leaves tile {tile} by {sink}",
                f"a link of chip {chip.name}",
            )  # fmt: skip
            if leaving not in seen:
                seen.add(leaving)
                waiting.append((leaving, other))
    return tuple(hops)


def _route(stream: int, tile: TileProgram | None, number: int) -> Route:
    found = [route for route in tile.routes if route.stream == stream] if tile else []
    _demand(
        len(found) == 1 and len(found[0].sinks) > 0,
        f"stream {stream} reaches tile {number}, which has {len(found)} routes for it",
        "one, with at least one sink",
    )
    return found[0]


def _check_tile(tile: TileProgram, streams: tuple[Stream, ...]) -> None:
    """A computing tile gets exactly the vectors it needs, a forwarding one none."""
    config = tile.config
    rx = (config.rx_bytes,) * config.rx_parts if config and config.rx_enable else ()
    for sink, lengths in (
        (fabric.INPUT, tuple(part.length for part in config.input_parts) if config else ()),
        (fabric.RX, rx),
    ):
        ends = [stream for stream in streams for end in stream.ends(sink) if end == tile.tile]
        wanted = len(lengths)
        _demand(
            len(ends) == wanted, f"tile {tile.tile} {sink} gets {len(ends)} streams", str(wanted)
        )
        numbers = sorted(_route(stream.number, tile, tile.tile).part for stream in ends)
        _demand(
            (sink == fabric.RX and wanted < 2) or numbers == list(range(wanted)),
            f"tile {tile.tile} {sink} gets parts {numbers}", f"each of 0 to {wanted - 1} once",
        )  # fmt: skip
        for stream in ends:
            wants = "binary16" if sink == fabric.RX and config.rx_binary16 else "int8"
            _demand(
                stream.values in (None, wants),
                f"tile {tile.tile} {sink} takes {wants} and gets stream {stream.number} of "
                f"{stream.values}",
                wants,
            )
            route = _route(stream.number, tile, tile.tile)
            length = lengths[route.part if sink == fabric.INPUT else 0]
            _demand(
                route.length == length,
                f"tile {tile.tile} {sink} keeps {route.length} values of stream {stream.number}",
                f"its vector's length, {length}",
            )
            _demand(
                route.start >= 0 and route.start + route.length <= stream.length,
                f"tile {tile.tile} {sink} keeps {route.length} values from {route.start} on of "
                f"stream {stream.number}",
                f"a part of its {stream.length}",
            )


def _check_hidden(
    program: SliceProgram,
    tiles: dict[int, TileProgram],
    whole: Stream,
    first: Stream,
    last: Stream,
) -> None:
    """What a slice sends at a sequence's ends goes ways that a step's packets go, too."""
    ways = {(hop.entered, hop.tile): set(hop.sinks) for hop in whole.hops}
    together: dict[tuple[str, int], set[str]] = {key: set() for key in ways}
    for part in (first, last):
        for hop in part.hops:
            sinks = ways.get((hop.entered, hop.tile), set())
            _demand(
                set(hop.sinks) <= sinks,
                f"slice {program.slice}: stream {part.number} goes to {', '.join(hop.sinks)} at "
                f"tile {hop.tile}", f"only where stream {whole.number} goes, too",
            )  # fmt: skip
            together[hop.entered, hop.tile] |= set(hop.sinks)
            kept, wanted = (_slice(s.number, tiles[hop.tile]) for s in (part, whole))
            _demand(
                kept == wanted or not {fabric.INPUT, fabric.RX} & set(hop.sinks),
                f"slice {program.slice}: tile {hop.tile} keeps {kept} of stream {part.number} "
                "(start, length, part)", f"what it keeps of stream {whole.number}, {wanted}",
            )  # fmt: skip
    _demand(
        together == ways, f"slice {program.slice}: stream {whole.number} goes where neither "
        f"{first.number} nor {last.number} goes", "only where one of them goes",
    )  # fmt: skip
    for sink in (fabric.INPUT, fabric.RX, fabric.GDPU, fabric.HOST):
        twice = set(first.ends(sink)) & set(last.ends(sink))
        _demand(
            not twice, f"slice {program.slice}: streams {first.number} and {last.number} both go "
            f"to {sink} of tiles {sorted(twice)}", "one of them",
        )  # fmt: skip
    _demand(
        not first.ends(fabric.HOST), f"slice {program.slice}: stream {first.number} goes to the "
        "host", "the state after a step only",
    )  # fmt: skip


def _slice(stream: int, tile: TileProgram) -> tuple[int, int, int]:
    """What a tile keeps of a stream, and as which part."""
    route = _route(stream, tile, tile.tile)
    return route.start, route.length, route.part


def _check_gates(program: Program, chip: Chip, streams: tuple[Stream, ...]) -> None:
    """A slice gets one gate vector a step, of the length that it takes; no other gets any."""
    ends: dict[int, list[Stream]] = {each.slice: [] for each in program.slices}
    for stream in streams:
        for tile in stream.ends(fabric.GDPU):
            number = fabric.gdpu_slice(chip, tile)
            _demand(
                number in ends,
                f"stream {stream.number} goes to "
                + (f"slice {number}" if number is not None else f"no slice at tile {tile}"),
                f"the program's slices, {sorted(ends)}",
            )
            ends[number].append(stream)
    for each in program.slices:
        mine, wanted = ends[each.slice], len(GATES) * each.config.units
        _demand(len(mine) == 1, f"slice {each.slice} gets {len(mine)} streams", "1")
        _demand(
            mine[0].length == wanted and mine[0].values in (None, "int8"),
            f"slice {each.slice} gets {mine[0].length} bytes of {mine[0].values}",
            f"{wanted} int8",
        )


def _check_outputs(program: Program, chip: Chip, streams: tuple[Stream, ...]) -> None:
    """What leaves the chip is what the host expects: stream, port, length."""
    edges = fabric.host_tiles(chip, "outputs")
    leaving = [
        (stream.number, tile, stream.length)
        for stream in streams
        for tile in stream.ends(fabric.HOST)
    ]
    expected = []
    for host in program.outputs:
        _demand(
            0 <= host.port < len(edges), f"stream {host.stream} leaves at host output {host.port}",
            f"0 to {len(edges) - 1}",
        )  # fmt: skip
        expected.append((host.stream, edges[host.port], host.length))
    _demand(
        sorted(leaving) == sorted(expected),
        f"(stream, tile, length) of what goes to the host is {sorted(leaving)}",
        f"what the outputs say, {sorted(expected)}",
    )
