"""A whole chip: packets follow their routes from tile to tile, each tile computes once a vector."""

from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

import numpy as np
from numpy.typing import NDArray

from golden.tile import Tile
from spec import fabric
from spec.chip import Chip
from spec.errors import UserError
from spec.fabric import HOST, INPUT, RX
from spec.pcm_state import PcmState
from spec.program import ChipProgram, Route, TileProgram
from spec.program_check import check
from spec.program_codes import computing

_BINARY16 = np.dtype("<u2")
"""A binary16 value in a packet: the low byte first."""


@dataclass(frozen=True)
class _Source:
    """What sends one packet a vector: the host (`tile` is None), or a tile with its results.

    Attributes:
        tile: whose results they are, or None.
        start: where the packet begins in the chip's input vector; 0 for results.
        length: of the payload, in bytes.
        stream: the preamble.
        enters: tile whose link controller the packet enters.
    """

    tile: int | None
    start: int
    length: int
    stream: int
    enters: int


@dataclass(frozen=True)
class _Part:
    """A part of a source's payload: bytes `start` up to, not including, `end`."""

    source: _Source
    start: int
    end: int


@dataclass(frozen=True)
class _Plan:
    """Where everything comes from.

    Attributes:
        order: computing tiles, each after those that it needs.
        kept: by tile and sink (INPUT or RX), what the tile gets.
        outputs: source of each of the program's outputs.
    """

    order: tuple[int, ...]
    kept: dict[tuple[int, str], _Part]
    outputs: tuple[_Source, ...]


def run(
    program: ChipProgram,
    chip: Chip,
    state: PcmState,
    x: NDArray[np.int8],
    capture: bool = False,
    first_read: int = 0,
) -> NDArray[np.int8] | tuple[NDArray[np.int8], dict[int, NDArray]]:
    """Output vectors of a batch of input vectors.

    Results depend on a vector and its read index alone: batches may be split at will.

    Args:
        program: what the compiler made for `chip`.
        chip: the chip description.
        state: devices of the computing tiles, in the order of `spec.program_codes.computing`.
        x: int8 [n, program.input_length].
        capture: whether to give every tile's results, too.
        first_read: vectors that came before, since the state was loaded.

    Returns:
        int8 [n, program.output_length]; with `capture` that, and the results of each computing
        tile by its number, int8 [n, columns], or binary16 bits as uint16.

    Raises:
        UserError: program, chip, state or vectors do not fit each other; a packet has no route,
            arrives where nobody takes it or twice, or does not arrive; tiles wait for each other.
    """
    check(program, chip)
    tiles = computing(program)
    if state.tiles != max(1, len(tiles)):
        raise UserError(
            f"PCM state has {state.tiles} tiles: the program allows {max(1, len(tiles))}"
        )
    if x.dtype != np.int8 or x.ndim != 2 or x.shape[1] != program.input_length:
        raise UserError(
            f"input vectors: {x.dtype} {list(x.shape)}: allowed is int8 [n, {program.input_length}]"
        )
    plan = _plan(program, chip)
    index = {tile.tile: position for position, tile in enumerate(tiles)}
    results: dict[int, NDArray[np.int8] | NDArray[np.uint16]] = {}

    def payload(source: _Source) -> NDArray[np.int8]:
        if source.tile is None:
            return x[:, source.start : source.start + source.length]
        return _bytes(results[source.tile])

    def kept(tile: int, sink: str) -> NDArray[np.int8] | None:
        part = plan.kept.get((tile, sink))
        return None if part is None else payload(part.source)[:, part.start : part.end]

    def rx(tile: TileProgram) -> NDArray[np.int8] | NDArray[np.uint16] | None:
        values = kept(tile.tile, RX)
        if values is None or not tile.config.rx_binary16:
            return values
        return np.ascontiguousarray(values).view(_BINARY16).astype(np.uint16)

    for number in plan.order:
        wanted = tiles[index[number]]
        tile = Tile(chip, state, index[number])
        results[number] = tile.run(wanted.config, kept(number, INPUT), rx(wanted), first_read)
    final = np.empty((len(x), program.output_length), dtype=np.int8)
    for output, source in zip(program.outputs, plan.outputs, strict=True):
        final[:, output.start : output.start + output.length] = payload(source)
    return (final, dict(sorted(results.items()))) if capture else final


def _bytes(values: NDArray[np.int8] | NDArray[np.uint16]) -> NDArray[np.int8]:
    """Results as they travel, int8 [n, bytes]."""
    return values if values.dtype == np.int8 else values.astype(_BINARY16).view(np.int8)


def _plan(program: ChipProgram, chip: Chip) -> _Plan:
    """Follow every packet of a vector, and put the tiles in order."""
    tables = {tile.tile: {route.stream: route for route in tile.routes} for tile in program.tiles}
    kept: dict[tuple[int, str], _Part] = {}
    left: dict[tuple[int, int], _Source] = {}
    for source in _sources(program, chip):
        for tile, route in _arrivals(source, tables, chip):
            if HOST in route.sinks:
                _leave(left, tile, source)
            for sink in (INPUT, RX):
                if sink in route.sinks:
                    _keep(kept, tile, sink, source, route)
    outputs = _outputs(program, chip, left)
    for tile in computing(program):
        _demand_inputs(tile, kept)
    return _Plan(_order(program, kept), kept, outputs)


def _sources(program: ChipProgram, chip: Chip) -> Iterator[_Source]:
    entrances = fabric.host_tiles(chip, "inputs")
    for sent in program.inputs:
        yield _Source(None, sent.start, sent.length, sent.stream, entrances[sent.port])
    for tile in computing(program):
        yield _Source(tile.tile, 0, tile.config.tx_bytes, tile.tx_stream, tile.tile)


def _arrivals(
    source: _Source, tables: dict[int, dict[int, Route]], chip: Chip
) -> Iterator[tuple[int, Route]]:
    """Every tile that the packet comes to, with what it does with it.

    Raises:
        UserError: a tile has no route for it, or gets it twice.
    """
    directions = {direction.name: direction for direction in fabric.directions(chip)}
    seen: set[int] = set()
    waiting = [source.enters]
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


def _keep(
    kept: dict[tuple[int, str], _Part], tile: int, sink: str, source: _Source, route: Route
) -> None:
    """Note that the tile keeps a part of the packet."""
    end = route.start + route.length
    if end > source.length:
        raise UserError(
            f"tile {tile}: stream {source.stream}: start + length = {end}: allowed is the packet's "
            f"length, {source.length}"
        )
    if (tile, sink) in kept:
        first = kept[tile, sink].source.stream
        raise UserError(
            f"tile {tile}: streams {first} and {source.stream} both go to '{sink}': allowed is one "
            "packet a vector"
        )
    kept[tile, sink] = _Part(source, route.start, end)


def _leave(left: dict[tuple[int, int], _Source], tile: int, source: _Source) -> None:
    """Note that the packet leaves for the host."""
    if (tile, source.stream) in left:
        raise UserError(
            f"tile {tile}: two packets of stream {source.stream} leave for the host: allowed is "
            "one a vector"
        )
    left[tile, source.stream] = source


def _outputs(
    program: ChipProgram, chip: Chip, left: dict[tuple[int, int], _Source]
) -> tuple[_Source, ...]:
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


def _demand_inputs(tile: TileProgram, kept: dict[tuple[int, str], _Part]) -> None:
    for sink, needed in ((INPUT, True), (RX, tile.config.rx_enable)):
        if needed and (tile.tile, sink) not in kept:
            raise UserError(f"tile {tile.tile}: no stream goes to '{sink}': allowed is one")


def _order(program: ChipProgram, kept: dict[tuple[int, str], _Part]) -> tuple[int, ...]:
    """Computing tiles, each after those whose results it gets."""
    needs: dict[int, set[int]] = {tile.tile: set() for tile in computing(program)}
    for (tile, _), part in kept.items():
        if part.source.tile is not None:
            needs[tile].add(part.source.tile)
    try:
        return tuple(TopologicalSorter(needs).static_order())
    except CycleError as error:
        # The library lists the loop from a tile to itself, each before the one that needs it.
        loop: list[int] = error.args[1]
        streams = {tile.tile: tile.tx_stream for tile in computing(program)}
        chain = ", ".join(f"tile {tile} (stream {streams[tile]})" for tile in loop[:-1])
        waits = "wait for each other's" if len(loop) > 2 else "waits for its own"
        raise UserError(f"{chain} {waits} results: allowed is a program without loops") from None
