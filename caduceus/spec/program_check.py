"""Limits of a chip's program, tile by tile; where packets go is checked in `streams`."""

import re
from itertools import pairwise
from math import prod

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import fabric, formats
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError, demand_range, shown
from caduceus.spec.fabric import PARTS, PAYLOAD_MAX, STREAMS, payload_max
from caduceus.spec.feature_map_check import check_feature_maps
from caduceus.spec.gdpu import GATES
from caduceus.spec.program import (
    HostStream,
    Program,
    Route,
    SliceProgram,
    TileConfig,
    TileProgram,
    chip_digest,
)

LENGTH_LIMIT = 1 << 31
"""Input and output vectors of a program are shorter than this (our choice)."""
BYTES_MAX = 2 * PAYLOAD_MAX
"""Bytes in a packet of any chip: all values binary16."""
SCALE_LIMIT = 1_000_000
"""Steps of a tensor stand for less than this."""
SYMBOLS_MAX = 256
NAME_MAX = 200
"""Characters in the name of a chip or network."""
_SINK = re.compile(r"(?:east|west|south|north)_[1-9][0-9]?|gdpu|host|input|rx")


def check(program: Program, chip: Chip | None = None) -> None:
    """Demand that every value of `program` is within its limits; with `chip`, within the chip's.

    Where packets go is not followed here; `caduceus.spec.streams` does that.

    Raises:
        UserError: a value is out of range; the sentence names the tile and the key.
    """
    for key in ("chip", "network"):
        name = getattr(program, key)
        if not (1 <= len(name) <= NAME_MAX and name.isprintable()):
            raise UserError(
                f"program: {key}: got {shown(name)}, expected 1 to {NAME_MAX} printable characters"
            )
    if not re.fullmatch("[0-9a-f]{64}", program.chip_digest):
        raise UserError(
            f"program: chip_digest: got {shown(program.chip_digest)}, expected a SHA-256 in lower "
            "case hexadecimal"
        )
    if chip is not None:
        check_chip(program, chip)
    for key in ("input_length", "output_length"):
        demand_range(1, getattr(program, key), LENGTH_LIMIT - 1, "program", key)
    for key in ("input_pixels", "output_pixels"):
        demand_range(1, getattr(program, key), LENGTH_LIMIT - 1, "program", key)
    numbers = [tile.tile for tile in program.tiles]
    for number in numbers:
        demand_range(0, number, (chip.tiles if chip else STREAMS * STREAMS) - 1, "program", "tile")
    for first, second in pairwise(numbers):
        if second <= first:
            raise UserError(f"tile {second} comes after tile {first}: expected ascending order")
    for tile in program.tiles:
        _check_tile(program, tile, chip)
    slices = [each.slice for each in program.slices]
    for first, second in pairwise(slices):
        if second <= first:
            raise UserError(f"slice {second} comes after slice {first}: expected ascending order")
    for each in program.slices:
        check_slice(each, chip)
    for side in ("inputs", "outputs"):
        for index, stream in enumerate(getattr(program, side)):
            _check_host_stream(program, side, index, stream, chip)
    _check_outputs(program)
    _check_network(program)


def check_chip(program: Program, chip: Chip) -> None:
    """Demand that `program` was made for this very description.

    Raises:
        UserError: it was made for another.
    """
    if program.chip != chip.name:
        raise UserError(f"program: chip: got {shown(program.chip)}, expected '{chip.name}'")
    if program.chip_digest != chip_digest(chip):
        raise UserError(
            f"program: made for another description of chip '{chip.name}': SHA-256: got "
            f"{program.chip_digest[:16]}..., expected {chip_digest(chip)[:16]}..."
        )


def check_size(tile: int, rows: int, columns: int, chip: Chip | None) -> None:
    """Demand that tile `tile`'s matrix fits its array, and its vectors the length of a packet.

    Raises:
        UserError: it is larger.
    """
    for key, size in (("rows", rows), ("columns", columns)):
        limit = min(PAYLOAD_MAX, getattr(chip.array, key)) if chip else PAYLOAD_MAX
        demand_range(1, size, limit, f"tile {tile}", key)


def _check_tile(program: Program, tile: TileProgram, chip: Chip | None) -> None:
    where = f"tile {tile.tile}"
    parts = {"config": tile.config, "codes": tile.codes, "tx_stream": tile.tx_stream}
    missing = [key for key, part in parts.items() if part is None]
    if missing and len(missing) < len(parts):
        raise UserError(
            f"{where}: {missing[0]} is missing: expected config, codes and tx_stream, or none"
        )
    if tile.config is not None:
        config = tile.config
        check_size(tile.tile, config.rows, config.columns, chip)
        demand_range(0, tile.tx_stream, STREAMS - 1, where, "tx_stream")
        check_feature_maps(config, chip, where)
        demand_range(0, config.rx_scale, (1 << formats.FP16_BITS) - 1, where, "rx_scale")
        for key in ("rx_binary16", "tx_binary16"):
            if chip and getattr(config, key) and chip.link.partial_sums != "binary16":
                raise UserError(
                    f"{where}: {key}: got True, expected False, as link.partial_sums is "
                    f"{chip.link.partial_sums}"
                )
        if config.read_mode != program.read_mode:
            raise UserError(
                f"{where}: read_mode: got {config.read_mode}, expected the program's, "
                f"{program.read_mode}"
            )
        shape = (config.rows, config.columns, len(formats.DEVICES))
        if tile.codes.dtype != np.uint8 or tile.codes.shape != shape:
            raise UserError(
                f"{where}: codes: got {tile.codes.dtype} {shown(tile.codes.shape)}, "
                f"expected uint8 {list(shape)}"
            )
        if config.window is None:
            _check_parts(config, chip, where)
    streams = [route.stream for route in tile.routes]
    for route in tile.routes:
        _check_route(tile, route, chip)
        if streams.count(route.stream) > 1:
            raise UserError(f"{where}: stream {route.stream} has several routes: expected one")


def _check_route(tile: TileProgram, route: Route, chip: Chip | None) -> None:
    where = f"tile {tile.tile}"
    demand_range(0, route.stream, STREAMS - 1, where, "stream")
    where += f": stream {route.stream}"
    for sink in route.sinks:
        known = sink in fabric.sinks(chip) if chip else _SINK.fullmatch(sink)
        if not known:
            others = (fabric.GDPU, fabric.HOST, fabric.INPUT, fabric.RX)
            sinks = fabric.sinks(chip) if chip else ("links", *others)
            raise UserError(f"{where}: sinks: got {shown(sink)}, expected {', '.join(sinks)}")
    if not route.sinks or len(set(route.sinks)) != len(route.sinks):
        raise UserError(
            f"{where}: sinks: got {shown(route.sinks)}, expected at least one, and each once"
        )
    most = payload_max(chip) if chip else BYTES_MAX
    demand_range(0, route.part, PARTS - 1, where, "part")
    demand_range(0, route.start, most - 1, where, "start")
    if chip and route.start % chip.link.units:
        raise UserError(
            f"{where}: start: got {route.start}, expected a multiple of link.units "
            f"({chip.link.units})"
        )
    demand_range(0, route.length, most - route.start, where, "length")
    for sink in (fabric.INPUT, fabric.RX):
        if sink not in route.sinks:
            continue
        if tile.config is None:
            raise UserError(
                f"{where}: sinks: got '{sink}', expected it only on a tile with a config"
            )
        parts = tile.config.input_parts
        if sink == fabric.INPUT:
            demand_range(0, route.part, len(parts) - 1, where, "part")
        key, wanted = "rows", parts[min(route.part, len(parts) - 1)].length
        if tile.config.window is not None:
            key = "part of a pixel"
        if sink == fabric.RX:
            if tile.config.rx_parts > 1:
                demand_range(0, route.part, tile.config.rx_parts - 1, where, "part")
            key, wanted = "columns in bytes", tile.config.rx_bytes
        if route.length != wanted:
            raise UserError(
                f"{where}: length: got {route.length}, expected for '{sink}' the tile's {key}, "
                f"{wanted}"
            )
    if fabric.RX in route.sinks and not tile.config.rx_enable:
        raise UserError(f"{where}: sinks: got 'rx', expected it only with rx_enable")
    if chip:
        _check_edge(tile, route, chip, where)


def _check_parts(config: TileConfig, chip: Chip | None, where: str) -> None:
    """Parts of an input vector are within it, and no two share a row."""
    if config.parts:
        demand_range(2, len(config.parts), PARTS, where, "parts")
    end = 0
    for number, part in sorted(enumerate(config.parts), key=lambda pair: pair[1].start):
        here = f"{where}: parts[{number}]"
        demand_range(end, part.start, config.rows - 1, here, "start")
        if chip and part.start % chip.link.units:
            raise UserError(
                f"{here}: start: got {part.start}, expected a multiple of link.units "
                f"({chip.link.units})"
            )
        demand_range(1, part.length, config.rows - part.start, here, "length")
        end = part.start + part.length


def check_slice(program: SliceProgram, chip: Chip | None) -> None:
    """Demand that the program of a GDPU slice is within its limits.

    Raises:
        UserError: a value is out of range; the sentence names the slice and the key.
    """
    where, config = f"slice {program.slice}", program.config
    demand_range(0, program.slice, (chip.gdpu.slices if chip else STREAMS) - 1, "program", "slice")
    limit = chip.gdpu.units if chip else PAYLOAD_MAX // len(GATES)
    demand_range(1, config.units, limit, where, "units")
    for key in ("input_scale", "input_offset"):
        values = getattr(config, key)
        if len(values) != len(GATES):
            raise UserError(f"{where}: {key}: got {len(values)} values, expected {len(GATES)}")
        for value in values:
            demand_range(0, value, (1 << formats.FP16_BITS) - 1, where, key)
    for key in ("output_scale", "output_offset"):
        demand_range(0, getattr(config, key), (1 << formats.FP16_BITS) - 1, where, key)
    for key in ("first", "stream", "last"):
        demand_range(0, getattr(program, key), STREAMS - 1, where, key)
    known = (fabric.NORTH, fabric.SOUTH)
    sides = tuple(fabric.gdpu_tiles(chip, program.slice)) if chip else known
    distinct = len(set(program.sides)) == len(program.sides)
    if not program.sides or not distinct or not set(program.sides) <= set(sides):
        raise UserError(
            f"{where}: sides: got {shown(program.sides)}, expected at least one of {list(sides)}, "
            "and each once"
        )


def _check_edge(tile: TileProgram, route: Route, chip: Chip, where: str) -> None:
    """Links must lead to a tile, the host must have a stream."""
    for direction in fabric.directions(chip):
        leads_off = fabric.neighbour(chip, tile.tile, direction) is None
        if direction.name in route.sinks and leads_off:
            raise UserError(
                f"{where}: sinks: got '{direction.name}', expected links to tiles of the "
                f"{chip.grid.rows}x{chip.grid.columns} grid"
            )
    if fabric.GDPU in route.sinks and fabric.gdpu_slice(chip, tile.tile) is None:
        raise UserError(
            f"{where}: sinks: got 'gdpu', expected it only on tiles linked with a GDPU slice"
        )
    outputs = fabric.host_tiles(chip, "outputs")
    if fabric.HOST in route.sinks and tile.tile not in outputs:
        raise UserError(
            f"{where}: sinks: got 'host', expected it only on tiles {', '.join(map(str, outputs))}"
        )


def _check_host_stream(
    program: Program, side: str, index: int, stream: HostStream, chip: Chip | None
) -> None:
    where = f"{side}[{index}]"
    ports = len(getattr(chip.host, side)) if chip else STREAMS * STREAMS
    demand_range(0, stream.port, ports - 1, where, "port")
    demand_range(0, stream.stream, STREAMS - 1, where, "stream")
    demand_range(1, stream.length, payload_max(chip) if chip else BYTES_MAX, where, "length")
    whole = program.input_length if side == "inputs" else program.output_length
    demand_range(0, stream.start, whole - stream.length, where, "start")


def _check_outputs(program: Program) -> None:
    """Every value of the output vector comes from one packet."""
    end = 0
    for stream in sorted(program.outputs, key=lambda stream: stream.start):
        if stream.start != end:
            break
        end += stream.length
    else:
        if end == program.output_length:
            return
    raise UserError(
        f"outputs: value {end} of the {program.output_length} comes from no packet or from two: "
        "expected one"
    )


def _check_network(program: Program) -> None:
    """Tensors, symbols and sample fit the program's vectors."""
    demand_range(1, program.largest_code, formats.CELL_MAX, "program", "largest_code")
    pixels = {"input": program.input_pixels, "output": program.output_pixels}
    for key, count in pixels.items():
        tensor = getattr(program, key)
        if tensor is None:
            continue
        values = count * getattr(program, f"{key}_length")
        if prod(tensor.shape) != values or min(tensor.shape, default=0) < 1:
            raise UserError(
                f"program: {key}.shape: got {shown(tensor.shape)}, expected a shape of "
                f"{values} values"
            )
        if not 0 < tensor.scale < SCALE_LIMIT:
            raise UserError(
                f"program: {key}.scale: got {tensor.scale:g}, expected above 0, below {SCALE_LIMIT}"
            )
    entries = _entries(program)
    embedding = program.embedding
    if (entries is None) != (embedding is None):
        raise UserError("program: symbols without embedding or the reverse: expected both or none")
    if entries is not None:
        _check_array(embedding, "embedding", (entries, program.input_length))
    shape = program.input.shape if program.input else None
    program.host.check(shape, entries, recurrent=program.sequences)
    if program.sample is not None:
        shape = program.sample.shape
        count, steps = shape[:2] if len(shape) == 3 else (1, 1)
        pixels = steps if program.sequences else program.input_pixels
        count = 1 if program.sequences else count
        _check_array(program.sample, "sample", (max(1, count), pixels, program.input_length))


def _entries(program: Program) -> int | None:
    """Rows that the embedding must have; None if there is to be none."""
    symbols = program.symbols
    if "embedding" in (each.op for each in program.host.before):
        if symbols is not None:
            raise UserError("program: symbols: got some, expected none: the host has an embedding")
        if program.embedding is None:
            raise UserError("program: embedding: got nothing, expected the vectors of the host's")
        return len(program.embedding)
    if symbols is None:
        return None
    distinct = len(set(symbols)) == len(symbols)
    if not (distinct and 2 <= len(symbols) <= SYMBOLS_MAX):
        raise UserError(
            f"program: symbols: got {shown(symbols)}, expected 2 to {SYMBOLS_MAX} characters "
            "that are all different"
        )
    return len(symbols)


def _check_array(array: NDArray, key: str, shape: tuple[int, ...]) -> None:
    """Activations of that shape."""
    if array.dtype != np.int8 or array.shape != shape or not array.size:
        raise UserError(
            f"program: {key}: got {array.dtype} {shown(array.shape)}, expected int8 {list(shape)}"
        )
    if array.min() < -formats.INT8_MAX:
        raise UserError(
            f"program: {key}: got {array.min()}, expected -{formats.INT8_MAX} to {formats.INT8_MAX}"
        )
