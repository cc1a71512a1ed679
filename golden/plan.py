"""Where every packet of a program goes: followed by the routes, from its source to all its ends."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType

from spec import fabric
from spec.chip import Chip
from spec.errors import UserError
from spec.fabric import GDPU, HOST, INPUT, RX
from spec.gdpu import GATES
from spec.program import Program, Route, SliceProgram, TileProgram
from spec.program_codes import computing

Node = tuple[str, int]
"""What computes: ("tile", number) or ("slice", number)."""
End = tuple[Node, str, int]
"""Where something is delivered: who gets it, for a tile its sink, and which part or turn it is."""


@dataclass(frozen=True)
class Source:
    """What sends one packet a vector: the host (`node` is None), a tile, or a GDPU slice.

    Attributes:
        node: whose results they are, or None.
        start: where the packet begins in the chip's input vector; 0 for results.
        length: of the payload, in bytes.
        stream: the preamble.
        enters: tiles whose link controllers the packet enters.
    """

    node: Node | None
    start: int
    length: int
    stream: int
    enters: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A part of a source's payload: bytes `start` up to, not including, `end`.

    Attributes:
        before: it is the payload of the step before: a hidden state that comes back.
    """

    source: Source
    start: int
    end: int
    before: bool = False


@dataclass(frozen=True)
class Plan:
    """Where everything comes from.

    Attributes:
        order: what computes, each after what it needs of the same vector.
        kept: by end, what it gets.
        outputs: source of each of the program's outputs.
    """

    order: tuple[Node, ...]
    kept: dict[End, Part]
    outputs: tuple[Source, ...]


def plan(program: Program, chip: Chip) -> Plan:
    """Follow every packet of a vector, and put what computes in order.

    Raises:
        UserError: a packet has no route, arrives where nobody takes it or twice, or does not
            arrive; tiles wait for each other.
    """
    tables = {tile.tile: {route.stream: route for route in tile.routes} for tile in program.tiles}
    rx_parts = {tile.tile: tile.config.rx_parts for tile in computing(program)}
    kept: dict[End, Part] = {}
    left: dict[tuple[int, int], Source] = {}
    for source in _sources(program, chip):
        _deliver(source, tables, chip, kept, left, before=False, rx_parts=rx_parts)
    for each in program.slices:
        _deliver_hidden(each, tables, chip, kept, left)
    outputs = _outputs(program, chip, left)
    for tile in computing(program):
        _demand_inputs(tile, kept)
    for each in program.slices:
        _demand_gates(each, kept)
    for (kind, number), _, _ in kept:
        if kind == "slice" and number not in {each.slice for each in program.slices}:
            raise UserError(f"slice {number}: gates come, and the program has no such slice")
    return Plan(_order(program, kept), kept, outputs)


def _sources(program: Program, chip: Chip) -> Iterator[Source]:
    entrances = fabric.host_tiles(chip, "inputs")
    for sent in program.inputs:
        yield Source(None, sent.start, sent.length, sent.stream, (entrances[sent.port],))
    for tile in computing(program):
        node = "tile", tile.tile
        yield Source(node, 0, tile.config.tx_bytes, tile.tx_stream, (tile.tile,))


def _deliver(
    source: Source,
    tables: dict[int, dict[int, Route]],
    chip: Chip,
    kept: dict[End, Part],
    left: dict[tuple[int, int], Source],
    before: bool,
    rx_parts: Mapping[int, int] = MappingProxyType({}),
) -> None:
    """Note every end of the packet; `rx_parts` are the tiles whose RX packets come in turn."""
    for tile, route in arrivals(source, tables, chip):
        if HOST in route.sinks:
            _leave(left, tile, source)
        if GDPU in route.sinks:
            end = ("slice", fabric.gdpu_slice(chip, tile)), GDPU, 0
            _keep(kept, end, Part(source, 0, source.length, before))
        for sink in (INPUT, RX):
            if sink in route.sinks:
                turns = sink == INPUT or rx_parts.get(tile, 1) > 1
                end = ("tile", tile), sink, route.part if turns else 0
                part = Part(source, route.start, route.start + route.length, before)
                _keep(kept, end, part)


def _deliver_hidden(
    program: SliceProgram,
    tables: dict[int, dict[int, Route]],
    chip: Chip,
    kept: dict[End, Part],
    left: dict[tuple[int, int], Source],
) -> None:
    """Note the ends of a slice's packets: those of `first` get the state of the step before.

    What a step sends must go to the ends of `first` and of `last` together.
    """
    tiles = fabric.gdpu_tiles(chip, program.slice)
    ends: dict[str, set] = {}
    for key in ("first", "last", "stream"):
        stream = getattr(program, key)
        enters = tuple(tiles[side] for side in program.sides)
        source = Source(("slice", program.slice), 0, program.config.units, stream, enters)
        mine: dict[End, Part] = {}
        leaving: dict[tuple[int, int], Source] = {}
        _deliver(source, tables, chip, mine, leaving, before=key == "first")
        places = {(end, part.start, part.end) for end, part in mine.items()}
        if key == "first" and leaving:
            raise UserError(
                f"slice {program.slice}: stream {stream} leaves for the host: allowed is the state "
                "after a step, not the one before the first"
            )
        ends[key] = places | {("host", tile) for tile, _ in leaving}
        if key == "stream":
            continue
        for end, part in mine.items():
            _keep(kept, end, part)
        if key == "last":
            # A step's packets leave as `stream` and as `last`; the program's outputs name one.
            for tile, _ in leaving:
                _leave(left, tile, _renamed(source, program.stream))
    if ends["stream"] != ends["first"] | ends["last"]:
        raise UserError(
            f"slice {program.slice}: stream {program.stream} goes to other ends than streams "
            f"{program.first} and {program.last} together: allowed are the same"
        )


def _renamed(source: Source, stream: int) -> Source:
    return Source(source.node, source.start, source.length, stream, source.enters)


def arrivals(
    source: Source, tables: dict[int, dict[int, Route]], chip: Chip
) -> Iterator[tuple[int, Route]]:
    """Every tile that the packet comes to, with what it does with it.

    Raises:
        UserError: a tile has no route for it, or gets it twice.
    """
    directions = {direction.name: direction for direction in fabric.directions(chip)}
    seen: set[int] = set()
    waiting = list(source.enters)
    while waiting:
        tile = waiting.pop(0)
        if tile in seen:
            raise UserError(
                f"tile {tile}: stream {source.stream} comes twice by its routes: allowed is once"
            )
        seen.add(tile)
        route = tables.get(tile, {}).get(source.stream)
        if route is None:
            raise UserError(
                f"tile {tile}: stream {source.stream} comes, and has no route there: allowed are "
                f"{sorted(tables.get(tile, ()))}"
            )
        yield tile, route
        waiting += [
            fabric.neighbour(chip, tile, directions[sink])
            for sink in route.sinks
            if sink in directions
        ]


def _keep(kept: dict[End, Part], end: End, part: Part) -> None:
    """Note that the end keeps a part of the packet."""
    (kind, place), sink, number = end
    source = part.source
    if part.end > source.length:
        raise UserError(
            f"{kind} {place}: stream {source.stream}: start + length = {part.end}: allowed is the "
            f"packet's length, {source.length}"
        )
    if end in kept:
        first = kept[end].source.stream
        where = f"part {number} of '{sink}'" if number else f"'{sink}'"
        raise UserError(
            f"{kind} {place}: streams {first} and {source.stream} both go to {where}: allowed is "
            "one packet a vector"
        )
    kept[end] = part


def _leave(left: dict[tuple[int, int], Source], tile: int, source: Source) -> None:
    """Note that the packet leaves for the host."""
    if (tile, source.stream) in left:
        raise UserError(
            f"tile {tile}: two packets of stream {source.stream} leave for the host: allowed is "
            "one a vector"
        )
    left[tile, source.stream] = source


def _outputs(
    program: Program, chip: Chip, left: dict[tuple[int, int], Source]
) -> tuple[Source, ...]:
    """Sources of the program's outputs; each packet that leaves is one of them."""
    exits = fabric.host_tiles(chip, "outputs")
    taken: set[tuple[int, int]] = set()
    found = []
    for output in program.outputs:
        tile = exits[output.port]
        source = left.get((tile, output.stream))
        if source is None:
            leaving = sorted(stream for place, stream in left if place == tile)
            raise UserError(
                f"tile {tile}: stream {output.stream} of the program's outputs does not leave "
                f"there: allowed are {leaving}"
            )
        if (tile, output.stream) in taken:
            raise UserError(
                f"tile {tile}: stream {output.stream} is an output twice: allowed is once"
            )
        taken.add((tile, output.stream))
        if source.length != output.length:
            raise UserError(
                f"tile {tile}: stream {output.stream}: length = {output.length} of the output: "
                f"allowed is the packet's, {source.length}"
            )
        found.append(source)
    for tile, stream in left:
        if (tile, stream) not in taken:
            allowed = sorted(stream for place, stream in taken if place == tile)
            raise UserError(
                f"tile {tile}: stream {stream} leaves for the host, and is none of the program's "
                f"outputs: allowed are {allowed}"
            )
    return tuple(found)


def _demand_inputs(tile: TileProgram, kept: dict[End, Part]) -> None:
    node = "tile", tile.tile
    for part in range(len(tile.config.input_parts)):
        if (node, INPUT, part) not in kept:
            where = f"part {part} of 'input'" if tile.config.parts else "'input'"
            raise UserError(f"tile {tile.tile}: no stream goes to {where}: allowed is one")
    for part in range(tile.config.rx_parts if tile.config.rx_enable else 0):
        if (node, RX, part) not in kept:
            where = f"part {part} of 'rx'" if tile.config.rx_parts > 1 else "'rx'"
            raise UserError(f"tile {tile.tile}: no stream goes to {where}: allowed is one")


def _demand_gates(program: SliceProgram, kept: dict[End, Part]) -> None:
    gates = kept.get((("slice", program.slice), GDPU, 0))
    if gates is None:
        raise UserError(f"slice {program.slice}: no stream goes to it: allowed is one")
    wanted = len(GATES) * program.config.units
    if gates.source.length != wanted:
        raise UserError(
            f"slice {program.slice}: stream {gates.source.stream} has {gates.source.length} bytes: "
            f"allowed is four for each of its {program.config.units} units, {wanted}"
        )


def _order(program: Program, kept: dict[End, Part]) -> tuple[Node, ...]:
    """What computes, each after that whose results of the same vector it gets."""
    needs: dict[Node, set[Node]] = {("tile", tile.tile): set() for tile in computing(program)}
    needs |= {("slice", each.slice): set() for each in program.slices}
    for (node, _, _), part in kept.items():
        if part.source.node is not None and not part.before:
            needs[node].add(part.source.node)
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
