"""Streams of a program: their sources, the parts that tiles keep, and those that leave the chip.

No arithmetic. The compiler finds here which links streams share; the golden model and a host find
which part of a packet each tile keeps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.fabric import GDPU, HOST, INPUT, RX
from caduceus.spec.gdpu import GATES
from caduceus.spec.paths import Node, Stream, Tables, demand, follow, hidden_state, sources
from caduceus.spec.program import Program, Route, SliceProgram, TileProgram
from caduceus.spec.program_codes import computing

End = tuple[Node, str, int]
"""Where something is delivered: who gets it, at which sink, and which part or turn it is."""


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
    """Sources and destinations of all streams.

    Attributes:
        streams: in the order of their numbers; of a slice, the one that it sends between the first
            and the last step, which goes wherever the other two go.
        kept: by end, what it gets.
        outputs: stream of each of the program's outputs.
    """

    streams: tuple[Stream, ...]
    kept: dict[End, Part]
    outputs: tuple[Stream, ...]


def trace(program: Program, chip: Chip) -> Trace:
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
            raise UserError(
                f"slice {number}: gates are sent to it, and the program has no slice {number}"
            )
    return Trace(tuple(sorted(found, key=lambda stream: stream.number)), kept, outputs)


def order(program: Program, traced: Trace) -> tuple[Node, ...]:
    """Tiles and slices in the order in which they compute a vector.

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
        raise UserError(f"{chain} {waits} results: expected a program without loops") from None


def _tables(program: Program) -> dict[int, dict[int, Route]]:
    tables: dict[int, dict[int, Route]] = {}
    for tile in program.tiles:
        demand(tile.tile not in tables, f"two programs for tile {tile.tile}", "one per tile")
        table = tables[tile.tile] = {}
        for route in tile.routes:
            if route.stream in table:
                raise UserError(
                    f"tile {tile.tile}: stream {route.stream} has several routes: expected one"
                )
            table[route.stream] = route
    return tables


def _parts(
    stream: Stream,
    tiles: Mapping[int, TileProgram],
    tables: Tables,
    chip: Chip,
    before: bool = False,
) -> dict[End, Part]:
    """The part of a stream that each of its ends keeps."""
    found: dict[End, Part] = {}
    for hop in stream.hops:
        route = tables[hop.tile][stream.number]
        if GDPU in hop.sinks:
            number = fabric.gdpu_slice(chip, hop.tile)
            if number is None:
                raise UserError(
                    f"tile {hop.tile}: stream {stream.number} goes to 'gdpu': expected only on "
                    "tiles linked with a GDPU slice"
                )
            found[("slice", number), GDPU, 0] = Part(stream, 0, stream.length, before)
        for sink in (INPUT, RX):
            if sink in hop.sinks:
                turn = _check_end(stream, route, sink, tiles[hop.tile])
                end = ("tile", hop.tile), sink, turn
                found[end] = Part(stream, route.start, route.start + route.length, before)
    return found


def _check_end(stream: Stream, route: Route, sink: str, tile: TileProgram) -> int:
    """Demand that a tile takes a stream at INPUT or RX; return its part or turn."""
    where, config = f"tile {tile.tile}: stream {stream.number}", tile.config
    if config is None or (sink == RX and not config.rx_enable):
        takes = "a config" if sink == INPUT else "rx_enable"
        raise UserError(f"{where} goes to '{sink}': expected only on a tile with {takes}")
    lengths = [part.length for part in config.input_parts]
    turn = route.part
    if sink == RX:
        lengths = [config.rx_bytes] * config.rx_parts
        turn = route.part if config.rx_parts > 1 else 0
    if not 0 <= turn < len(lengths):
        raise UserError(f"{where}: part: got {turn}, expected 0 to {len(lengths) - 1} for '{sink}'")
    wants = "binary16" if sink == RX and config.rx_binary16 else "int8"
    if stream.values not in (None, wants):
        raise UserError(f"{where}: values: got {stream.values}, expected {wants} for '{sink}'")
    if route.length != lengths[turn]:
        raise UserError(
            f"{where}: length: got {route.length}, expected for '{sink}' its vector's, "
            f"{lengths[turn]}"
        )
    if route.start < 0 or route.start + route.length > stream.length:
        raise UserError(
            f"{where}: start + length: got {route.start + route.length}, expected the packet's "
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
            f"to {where}: expected one packet per vector"
        )
    kept[end] = part


def _leave(left: dict[tuple[int, int], Stream], tile: int, stream: Stream) -> None:
    """Note that the packet leaves for the host."""
    if (tile, stream.number) in left:
        raise UserError(
            f"tile {tile}: two packets of stream {stream.number} leave for the host: expected "
            "one per vector"
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
            f"{where}: stream {first.number} leaves for the host: expected the state after a "
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
                    f"{part_of.number} as part {number} of '{sink}': expected what it keeps of "
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
                    f"tile {hop.tile}: expected only where stream {whole.number} goes, too"
                )
            together[hop.tile] |= set(hop.sinks)
    for tile, sinks in ways.items():
        other = sorted(sinks - together[tile])
        if other:
            raise UserError(
                f"slice {program.slice}: stream {whole.number} goes to {', '.join(other)} at tile "
                f"{tile}: expected only where stream {first.number} or {last.number} goes, too"
            )
    for sink in (INPUT, RX, GDPU, HOST):
        twice = sorted(set(first.ends(sink)) & set(last.ends(sink)))
        if twice:
            raise UserError(
                f"slice {program.slice}: streams {first.number} and {last.number} both go to "
                f"'{sink}' of tile {twice[0]}: expected one of them"
            )


def _outputs(
    program: Program, chip: Chip, left: Mapping[tuple[int, int], Stream]
) -> tuple[Stream, ...]:
    """Streams of the program's outputs; each packet that leaves is one of them."""
    exits = fabric.host_tiles(chip, "outputs")
    taken: set[tuple[int, int]] = set()
    found = []
    for output in program.outputs:
        demand(
            0 <= output.port < len(exits), f"stream {output.stream} leaves at host output "
            f"{output.port}", f"0 to {len(exits) - 1}",
        )  # fmt: skip
        tile = exits[output.port]
        stream = left.get((tile, output.stream))
        if stream is None:
            leaving = sorted(number for place, number in left if place == tile)
            raise UserError(
                f"tile {tile}: stream {output.stream} of the program's outputs does not leave "
                f"there: expected {leaving}"
            )
        if (tile, output.stream) in taken:
            raise UserError(
                f"tile {tile}: stream {output.stream} is an output twice: expected once"
            )
        taken.add((tile, output.stream))
        if stream.length != output.length:
            raise UserError(
                f"tile {tile}: stream {output.stream}: length: got {output.length} of the output, "
                f"expected the packet's, {stream.length}"
            )
        found.append(stream)
    for tile, number in left:
        if (tile, number) not in taken:
            known = sorted(stream for place, stream in taken if place == tile)
            raise UserError(
                f"tile {tile}: stream {number} leaves for the host, and is none of the program's "
                f"outputs: expected {known}"
            )
    return tuple(found)


def _demand_inputs(tile: TileProgram, kept: Mapping[End, Part]) -> None:
    node = "tile", tile.tile
    for part in range(len(tile.config.input_parts)):
        if (node, INPUT, part) not in kept:
            where = f"part {part} of 'input'" if tile.config.parts else "'input'"
            raise UserError(f"tile {tile.tile}: no stream goes to {where}: expected one")
    for part in range(tile.config.rx_parts if tile.config.rx_enable else 0):
        if (node, RX, part) not in kept:
            where = f"part {part} of 'rx'" if tile.config.rx_parts > 1 else "'rx'"
            raise UserError(f"tile {tile.tile}: no stream goes to {where}: expected one")


def _demand_gates(program: SliceProgram, kept: Mapping[End, Part]) -> None:
    gates = kept.get((("slice", program.slice), GDPU, 0))
    if gates is None:
        raise UserError(f"slice {program.slice}: no stream goes to it: expected one")
    wanted = len(GATES) * program.config.units
    stream = gates.stream
    where = f"slice {program.slice}: stream {stream.number}"
    if stream.values not in (None, "int8"):
        raise UserError(f"{where}: values: got {stream.values}, expected int8 for 'gdpu'")
    if stream.length != wanted:
        raise UserError(
            f"{where}: length: got {stream.length} bytes, expected {wanted}, four for each of "
            f"its {program.config.units} units"
        )
