"""Where the streams of a program go: each followed by the routes, from its source to all its ends.

No arithmetic: the compiler takes from here which links streams share, the golden model and a host
take who gets which part of which packet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

from spec import fabric
from spec.chip import Chip
from spec.errors import UserError
from spec.fabric import GDPU, HOST, INPUT, RX, TX
from spec.gdpu import GATES
from spec.program import ChipProgram, Route, SliceProgram, TileProgram
from spec.program_codes import computing

Node = tuple[str, int]
"""What computes: ("tile", number) or ("slice", number)."""
End = tuple[Node, str, int]
"""Where something is delivered: who gets it, at which sink, and which part or turn it is."""
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
        """What computes it; None for the host's."""
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


@dataclass(frozen=True)
class Part:
    """A part of a stream's payload: bytes `start` up to, not including, `end`.

    Attributes:
        before: it is the payload of the step before: a hidden state that comes back.
    """

    stream: Stream
    start: int
    end: int
    before: bool = False


@dataclass(frozen=True)
class Trace:
    """Where everything comes from and goes to.

    Attributes:
        streams: in the order of their numbers; of a slice, the one that it sends between the first
            and the last step, which goes wherever the other two go.
        kept: by end, what it gets.
        outputs: stream of each of the program's outputs.
    """

    streams: tuple[Stream, ...]
    kept: dict[End, Part]
    outputs: tuple[Stream, ...]


def trace(program: ChipProgram, chip: Chip) -> Trace:
    """Follow every stream of a program.

    Raises:
        UserError: a stream has no route, or none that leads on; it comes to a tile twice, or where
            nobody takes it; two are delivered to the same end, or none is; a length or a kind of
            value is not the one expected there.
    """
    tables = _tables(program)
    tiles = {tile.tile: tile for tile in program.tiles}
    found: list[Stream] = []
    kept: dict[End, Part] = {}
    left: dict[tuple[int, int], Stream] = {}
    for source in sources(program, chip):
        stream = follow(source, tables, chip)
        found.append(stream)
        for end, part in _parts(stream, tiles, tables, chip).items():
            _keep(kept, end, part)
        for tile in stream.ends(HOST):
            _leave(left, tile, stream)
    for each in program.slices:
        found.append(_hidden(each, tiles, tables, chip, kept, left))
    outputs = _outputs(program, chip, left)
    for tile in computing(program):
        _demand_inputs(tile, kept)
    for each in program.slices:
        _demand_gates(each, kept)
    for (kind, number), _, _ in kept:
        if kind == "slice" and number not in {each.slice for each in program.slices}:
            raise UserError(f"slice {number}: gates come, and the program has no such slice")
    return Trace(tuple(sorted(found, key=lambda stream: stream.number)), kept, outputs)


def demand_one_source(program: ChipProgram, chip: Chip) -> None:
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
        _demand(
            number not in taken,
            f"stream {number} comes from {taken.get(number)} and {source}", "one source",
        )  # fmt: skip
        taken[number] = source


def order(program: ChipProgram, traced: Trace) -> tuple[Node, ...]:
    """What computes, each after that whose results of the same vector it gets.

    Raises:
        UserError: tiles wait for each other.
    """
    needs: dict[Node, set[Node]] = {("tile", tile.tile): set() for tile in computing(program)}
    needs |= {("slice", each.slice): set() for each in program.slices}
    for (node, _, _), part in traced.kept.items():
        if part.stream.node is not None and not part.before:
            needs[node].add(part.stream.node)
    try:
        return tuple(TopologicalSorter(needs).static_order())
    except CycleError as error:
        # The library lists the loop from a node to itself, each before the one that needs it.
        loop: list[Node] = error.args[1]
        streams = {("tile", tile.tile): tile.tx_stream for tile in computing(program)}
        streams |= {("slice", each.slice): each.stream for each in program.slices}
        chain = ", ".join(f"{kind} {n} (stream {streams[kind, n]})" for kind, n in loop[:-1])
        waits = "wait for each other's" if len(loop) > 2 else "waits for its own"
        raise UserError(f"{chain} {waits} results: allowed is a program without loops") from None


def sources(program: ChipProgram, chip: Chip) -> tuple[Stream, ...]:
    """The streams of the host and of tiles as their sources declare them, not followed yet.

    Raises:
        UserError: the host has no such port, or a computing tile no stream.
    """
    ports = len(chip.host.inputs)
    found = []
    for sent in program.inputs:
        _demand(
            0 <= sent.port < ports, f"stream {sent.stream} enters at host input {sent.port}",
            f"0 to {ports - 1}",
        )  # fmt: skip
        found.append(Stream(sent.stream, sent.port, None, sent.length, None, start=sent.start))
    for tile in computing(program):
        _demand(tile.tx_stream is not None, f"tile {tile.tile} has no tx_stream", "one")
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
                f"tile {tile}: stream {stream.number} comes twice by its routes: allowed is once"
            )
        seen.add(tile)
        route = tables.get(tile, {}).get(stream.number)
        if route is None:
            raise UserError(
                f"tile {tile}: stream {stream.number} comes, and has no route there: allowed are "
                f"{sorted(tables.get(tile, ()))}"
            )
        if not route.sinks:
            raise UserError(
                f"tile {tile}: stream {stream.number} has no sinks: allowed is at least one"
            )
        hops.append(Hop(entered, tile, route.sinks))
        for sink in route.sinks:
            if sink not in directions:
                continue
            other = fabric.neighbour(chip, tile, directions[sink])
            if other is None:
                raise UserError(
                    f"tile {tile}: stream {stream.number} leaves by {sink}: allowed is a link of "
                    f"chip {chip.name}"
                )
            waiting.append((channel(tile, sink), other))
    return replace(stream, hops=tuple(hops))


def _demand(condition: bool, what: str, allowed: str) -> None:
    if not condition:
        raise UserError(f"program: {what}: allowed is {allowed}")


def _tables(program: ChipProgram) -> dict[int, dict[int, Route]]:
    tables: dict[int, dict[int, Route]] = {}
    for tile in program.tiles:
        _demand(tile.tile not in tables, f"two programs for tile {tile.tile}", "one a tile")
        table = tables[tile.tile] = {}
        for route in tile.routes:
            if route.stream in table:
                raise UserError(
                    f"tile {tile.tile}: stream {route.stream} has several routes: allowed is one"
                )
            table[route.stream] = route
    return tables


def _enters(stream: Stream, chip: Chip, sides: tuple[str, ...] | None) -> list[int]:
    """Tiles at which a stream enters the fabric."""
    if stream.slice is not None:
        tiles = fabric.gdpu_tiles(chip, stream.slice)
        return [tiles[side] for side in sides]
    if stream.port is not None:
        return [fabric.host_tiles(chip, "inputs")[stream.port]]
    return [stream.producer]


def _parts(
    stream: Stream,
    tiles: Mapping[int, TileProgram],
    tables: Tables,
    chip: Chip,
    before: bool = False,
) -> dict[End, Part]:
    """What every end of a stream keeps of it."""
    found: dict[End, Part] = {}
    for hop in stream.hops:
        route = tables[hop.tile][stream.number]
        if GDPU in hop.sinks:
            number = fabric.gdpu_slice(chip, hop.tile)
            if number is None:
                raise UserError(
                    f"tile {hop.tile}: stream {stream.number} goes to 'gdpu': allowed on tiles "
                    "that are linked with a GDPU slice"
                )
            found[("slice", number), GDPU, 0] = Part(stream, 0, stream.length, before)
        for sink in (INPUT, RX):
            if sink in hop.sinks:
                turn = _check_end(stream, route, sink, tiles[hop.tile])
                end = ("tile", hop.tile), sink, turn
                found[end] = Part(stream, route.start, route.start + route.length, before)
    return found


def _check_end(stream: Stream, route: Route, sink: str, tile: TileProgram) -> int:
    """Demand that a tile takes what comes to INPUT or RX; which part or turn it is."""
    where, config = f"tile {tile.tile}: stream {stream.number}", tile.config
    if config is None or (sink == RX and not config.rx_enable):
        takes = "a config" if sink == INPUT else "rx_enable"
        raise UserError(f"{where} goes to '{sink}': allowed on a tile with {takes} only")
    lengths = [part.length for part in config.input_parts]
    turn = route.part
    if sink == RX:
        lengths = [config.rx_bytes] * config.rx_parts
        turn = route.part if config.rx_parts > 1 else 0
    if not 0 <= turn < len(lengths):
        raise UserError(f"{where}: part = {turn}: allowed for '{sink}' is 0 to {len(lengths) - 1}")
    wants = "binary16" if sink == RX and config.rx_binary16 else "int8"
    if stream.values not in (None, wants):
        raise UserError(f"{where} has {stream.values}: allowed for '{sink}' is {wants}")
    if route.length != lengths[turn]:
        raise UserError(
            f"{where}: length = {route.length}: allowed for '{sink}' is its vector's, "
            f"{lengths[turn]}"
        )
    if route.start < 0 or route.start + route.length > stream.length:
        raise UserError(
            f"{where}: start + length = {route.start + route.length}: allowed is the packet's "
            f"length, {stream.length}"
        )
    return turn


def _keep(kept: dict[End, Part], end: End, part: Part) -> None:
    """Note that the end keeps a part of the packet."""
    if end in kept:
        (kind, place), sink, number = end
        where = f"part {number} of '{sink}'" if number else f"'{sink}'"
        raise UserError(
            f"{kind} {place}: streams {kept[end].stream.number} and {part.stream.number} both go "
            f"to {where}: allowed is one packet a vector"
        )
    kept[end] = part


def _leave(left: dict[tuple[int, int], Stream], tile: int, stream: Stream) -> None:
    """Note that the packet leaves for the host."""
    if (tile, stream.number) in left:
        raise UserError(
            f"tile {tile}: two packets of stream {stream.number} leave for the host: allowed is "
            "one a vector"
        )
    left[tile, stream.number] = stream


def _hidden(
    program: SliceProgram,
    tiles: Mapping[int, TileProgram],
    tables: Tables,
    chip: Chip,
    kept: dict[End, Part],
    left: dict[tuple[int, int], Stream],
) -> Stream:
    """Note the ends of a slice's packets; the stream that goes to all of them.

    The ends of `first` get the state of the step before, those of `last` that of the same step, and
    what a step sends in between goes to both.
    """
    whole, first, last = (
        follow(hidden_state(program, number), tables, chip, program.sides)
        for number in (program.stream, program.first, program.last)
    )
    where = f"slice {program.slice}"
    if first.ends(HOST):
        raise UserError(
            f"{where}: stream {first.number} leaves for the host: allowed is the state after a "
            "step, not the one before the first"
        )
    _check_ways(program, whole, first, last)
    # All three are looked at: tiles may keep other parts of the one in between.
    wanted = _parts(whole, tiles, tables, chip)
    for part_of, before in ((first, True), (last, False)):
        for end, part in _parts(part_of, tiles, tables, chip, before).items():
            same = wanted.get(end)
            if same is None or (same.start, same.end) != (part.start, part.end):
                (_, tile), sink, number = end
                raise UserError(
                    f"{where}: tile {tile} keeps bytes {part.start} to {part.end} of stream "
                    f"{part_of.number} as part {number} of '{sink}': allowed is what it keeps of "
                    f"stream {whole.number}"
                )
            _keep(kept, end, replace(part, stream=whole))
    for tile in last.ends(HOST):
        _leave(left, tile, whole)
    return replace(whole, before=frozenset(first.ends(INPUT)))


def _check_ways(program: SliceProgram, whole: Stream, first: Stream, last: Stream) -> None:
    """What a slice sends at a sequence's ends goes ways that a step's packets go, too."""
    ways = {hop.tile: set(hop.sinks) for hop in whole.hops}
    together: dict[int, set[str]] = {tile: set() for tile in ways}
    for part in (first, last):
        for hop in part.hops:
            other = sorted(set(hop.sinks) - ways.get(hop.tile, set()))
            if other:
                raise UserError(
                    f"slice {program.slice}: stream {part.number} goes to {', '.join(other)} at "
                    f"tile {hop.tile}: allowed is only where stream {whole.number} goes, too"
                )
            together[hop.tile] |= set(hop.sinks)
    for tile, sinks in ways.items():
        other = sorted(sinks - together[tile])
        if other:
            raise UserError(
                f"slice {program.slice}: stream {whole.number} goes to {', '.join(other)} at tile "
                f"{tile}: allowed is only where stream {first.number} or {last.number} goes, too"
            )
    for sink in (INPUT, RX, GDPU, HOST):
        twice = sorted(set(first.ends(sink)) & set(last.ends(sink)))
        if twice:
            raise UserError(
                f"slice {program.slice}: streams {first.number} and {last.number} both go to "
                f"'{sink}' of tile {twice[0]}: allowed is one of them"
            )


def _outputs(
    program: ChipProgram, chip: Chip, left: Mapping[tuple[int, int], Stream]
) -> tuple[Stream, ...]:
    """Streams of the program's outputs; each packet that leaves is one of them."""
    exits = fabric.host_tiles(chip, "outputs")
    taken: set[tuple[int, int]] = set()
    found = []
    for output in program.outputs:
        _demand(
            0 <= output.port < len(exits), f"stream {output.stream} leaves at host output "
            f"{output.port}", f"0 to {len(exits) - 1}",
        )  # fmt: skip
        tile = exits[output.port]
        stream = left.get((tile, output.stream))
        if stream is None:
            leaving = sorted(number for place, number in left if place == tile)
            raise UserError(
                f"tile {tile}: stream {output.stream} of the program's outputs does not leave "
                f"there: allowed are {leaving}"
            )
        if (tile, output.stream) in taken:
            raise UserError(
                f"tile {tile}: stream {output.stream} is an output twice: allowed is once"
            )
        taken.add((tile, output.stream))
        if stream.length != output.length:
            raise UserError(
                f"tile {tile}: stream {output.stream}: length = {output.length} of the output: "
                f"allowed is the packet's, {stream.length}"
            )
        found.append(stream)
    for tile, number in left:
        if (tile, number) not in taken:
            allowed = sorted(stream for place, stream in taken if place == tile)
            raise UserError(
                f"tile {tile}: stream {number} leaves for the host, and is none of the program's "
                f"outputs: allowed are {allowed}"
            )
    return tuple(found)


def _demand_inputs(tile: TileProgram, kept: Mapping[End, Part]) -> None:
    node = "tile", tile.tile
    for part in range(len(tile.config.input_parts)):
        if (node, INPUT, part) not in kept:
            where = f"part {part} of 'input'" if tile.config.parts else "'input'"
            raise UserError(f"tile {tile.tile}: no stream goes to {where}: allowed is one")
    for part in range(tile.config.rx_parts if tile.config.rx_enable else 0):
        if (node, RX, part) not in kept:
            where = f"part {part} of 'rx'" if tile.config.rx_parts > 1 else "'rx'"
            raise UserError(f"tile {tile.tile}: no stream goes to {where}: allowed is one")


def _demand_gates(program: SliceProgram, kept: Mapping[End, Part]) -> None:
    gates = kept.get((("slice", program.slice), GDPU, 0))
    if gates is None:
        raise UserError(f"slice {program.slice}: no stream goes to it: allowed is one")
    wanted = len(GATES) * program.config.units
    stream = gates.stream
    where = f"slice {program.slice}: stream {stream.number}"
    if stream.values not in (None, "int8"):
        raise UserError(f"{where} has {stream.values}: allowed for 'gdpu' is int8")
    if stream.length != wanted:
        raise UserError(
            f"{where} has {stream.length} bytes: allowed is four for each of its "
            f"{program.config.units} units, {wanted}"
        )
