"""A program and its devices, reconstructed from the registers that a host wrote."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.written import WrittenSlice, WrittenTile
from caduceus.spec import fabric, formats, registers
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.feature_map import Pooling, Window
from caduceus.spec.feature_map_registers import POOL_KINDS
from caduceus.spec.formats import ReadMode
from caduceus.spec.gdpu import GATES
from caduceus.spec.paths import Stream, follow, hidden_state, sources
from caduceus.spec.pcm_state import MEMORY_COLUMN_WORDS, MEMORY_HEADER_WORDS, PcmState
from caduceus.spec.program import (
    GdpuConfig,
    HostStream,
    InputPart,
    Program,
    Route,
    SliceProgram,
    TileConfig,
    TileProgram,
    chip_digest,
)
from caduceus.spec.program_codes import computing

_NAME = "written"


def program_of(
    chip: Chip,
    tiles: Sequence[WrittenTile],
    slices: Sequence[WrittenSlice],
    inputs: tuple[HostStream, ...],
) -> tuple[Program, PcmState]:
    """The program that gets `inputs`, and the devices of its computing tiles.

    Raises:
        UserError: the devices of a computing tile were not written, or values do not fit together.
    """
    found = []
    for number, tile in enumerate(tiles):
        routes = _routes(chip, tile)
        config = _config(chip, tile) if tile.get("CONTROL", "enable") else None
        if config is not None and tile.image is None:
            raise UserError(f"tile {number}: its PCM state was not written")
        if routes or config is not None:
            codes = None if config is None else _codes(chip, tile.image, config)
            stream = None if config is None else tile.get("TX_STREAM")
            found.append(TileProgram(number, routes, config, codes, stream))
    sequence = [
        _slice(number, each)
        for number, each in enumerate(slices)
        if each.get("MODE", "north") or each.get("MODE", "south")
    ]
    modes = {tile.config.read_mode for tile in found if tile.config} or {ReadMode.FOUR_PHASE}
    if len(modes) > 1:
        raise UserError(
            "tiles: read modes: got both, expected one for all tiles in the golden model"
        )
    (mode,) = modes
    program = Program(
        chip=chip.name,
        chip_digest=chip_digest(chip),
        network=_NAME,
        read_mode=mode,
        tiles=tuple(found),
        inputs=inputs,
        outputs=(),
        input_length=max(part.start + part.length for part in inputs),
        output_length=0,
        slices=tuple(sequence),
    )
    streams = _followed(program, chip)
    outputs = _host_outputs(chip, streams)
    program = replace(
        program,
        outputs=outputs,
        output_length=max((part.start + part.length for part in outputs), default=0),
        input_pixels=_input_pixels(program, streams),
        output_pixels=_output_pixels(program, streams),
    )
    return program, _state(chip, [tiles[tile.tile].image for tile in computing(program)])


def _routes(chip: Chip, tile: WrittenTile) -> tuple[Route, ...]:
    names = fabric.sinks(chip)
    found = []
    for stream, (mask, second) in enumerate(tile.tables[registers.ROUTE_TABLE].tolist()):
        if mask:
            start, length, part = (
                second >> each.low & (1 << each.width) - 1 for each in registers.ROUTE_FIELDS
            )
            sinks = tuple(name for bit, name in enumerate(names) if mask >> bit & 1)
            found.append(Route(stream, sinks, start, length, part))
    return tuple(found)


def _config(chip: Chip, tile: WrittenTile) -> TileConfig:
    mode = tile.flags("MODE")
    four_phase = mode.pop("four_phase")
    columns = tile.get("COLUMNS")
    parts = []
    for number in range(tile.get("PARTS") if tile.get("PARTS") > 1 else 0):
        word = int(tile.tables[registers.PART_TABLE][number, 0])
        if not word:
            raise UserError(f"part {number} of {tile.get('PARTS')} was not written")
        parts.append(InputPart(word & 0xFFFF, word >> 16))
    number = tile.get("POOL", "kind")
    if number not in range(len(POOL_KINDS)):
        raise UserError(f"POOL.kind: got {number}, expected 0 to {len(POOL_KINDS) - 1}")
    kind = POOL_KINDS[number]
    pooling = kind and Pooling(
        kind, tile.get("POOL", "size"), tile.get("POOL_MAP", "height"),
        tile.get("POOL_MAP", "width"),
    )  # fmt: skip
    window = None
    if tile.get("GATHER", "enable"):
        kernel, stride, padding = (tile.get("GATHER", k) for k in ("kernel", "stride", "padding"))
        group = tile.get("COLUMN", "group")
        window = Window(
            height=tile.get("MAP", "height"), width=tile.get("MAP", "width"),
            channels=tile.get("PIXEL", "bytes"), kernel=kernel, stride=stride, padding=padding,
            position=tile.get("POSITION", "y") * kernel + tile.get("POSITION", "x"),
            channel=tile.get("POSITION", "channel"), group=group,
            groups=tile.get("RESULTS", "groups"),
            period=tile.get("COLUMN", "skip") // stride + group - 1,
            first=(tile.get("COLUMN", "left") + padding) // stride,
            packets=tile.get("PIXEL", "packets"),
        )  # fmt: skip
    return TileConfig(
        read_mode=ReadMode.FOUR_PHASE if four_phase else ReadMode.ONE_PHASE,
        rows=tile.get("ROWS"),
        columns=columns,
        constants=tile.tables[registers.COLUMN_TABLE][:columns].copy(),
        rx_scale=tile.get("RX_SCALE"),
        parts=tuple(parts),
        window=window,
        pooling=pooling,
        rx_parts=tile.get("RX_PARTS"),
        **mode,
    )


def _slice(number: int, each: WrittenSlice) -> SliceProgram:
    config = GdpuConfig(
        units=each.get("UNITS"),
        input_scale=tuple(each.get(f"INPUT_SCALE_{gate.upper()}") for gate in GATES),
        input_offset=tuple(each.get(f"INPUT_OFFSET_{gate.upper()}") for gate in GATES),
        output_scale=each.get("OUTPUT_SCALE"),
        output_offset=each.get("OUTPUT_OFFSET"),
    )
    sides = tuple(side for side in (fabric.NORTH, fabric.SOUTH) if each.get("MODE", side))
    streams = {key: each.get("STREAMS", key) for key in ("first", "stream", "last")}
    return SliceProgram(number, config, sides, **streams)


def _followed(program: Program, chip: Chip) -> tuple[Stream, ...]:
    """The program's streams with their paths."""
    tables = {tile.tile: {route.stream: route for route in tile.routes} for tile in program.tiles}
    found = [follow(stream, tables, chip) for stream in sources(program, chip)]
    found += [
        follow(hidden_state(each, each.stream), tables, chip, each.sides) for each in program.slices
    ]
    return tuple(found)


def _host_outputs(chip: Chip, streams: Sequence[Stream]) -> tuple[HostStream, ...]:
    """The packets that leave for the host, port by port: in the output vector one after another."""
    ports = {tile: port for port, tile in enumerate(fabric.host_tiles(chip, "outputs"))}
    left = sorted(
        (ports[tile], stream.number, stream.length)
        for stream in streams
        for tile in stream.ends(fabric.HOST)
    )
    found, start = [], 0
    for port, stream, length in left:
        found.append(HostStream(port, stream, start, length))
        start += length
    return tuple(found)


def _input_pixels(program: Program, streams: Sequence[Stream]) -> int:
    """Packets of an image on each of the host's streams."""
    windows = {tile.tile: tile.config.window for tile in computing(program)}
    for stream in streams:
        if stream.node is None:
            for tile in stream.ends(fabric.INPUT):
                if windows.get(tile):
                    return windows[tile].pixels
    return 1


def _output_pixels(program: Program, streams: Sequence[Stream]) -> int:
    """Packets of an image on each stream to the host."""
    configs = {tile.tile: tile.config for tile in computing(program)}
    for stream in streams:
        config = configs.get(stream.producer)
        if config is None or not stream.ends(fabric.HOST):
            continue
        if config.pooling:
            return config.pooling.down * config.pooling.across
        if config.window:
            return config.window.results
    return 1


def _cells(chip: Chip, image: NDArray[np.uint32]) -> NDArray[np.uint8]:
    rows, columns = chip.array.rows, chip.array.columns
    cells = image[MEMORY_HEADER_WORDS : MEMORY_HEADER_WORDS + rows * columns]
    return cells.astype("<u4").view(np.uint8).reshape(rows, columns, len(formats.DEVICES))


def _codes(chip: Chip, image: NDArray[np.uint32], config: TileConfig) -> NDArray[np.uint8]:
    return _cells(chip, image)[: config.rows, : config.columns]


def _state(chip: Chip, images: Sequence[NDArray[np.uint32]]) -> PcmState:
    """The devices in memory words of tiles, laid out as `caduceus.spec.pcm_state` says."""
    rows, columns = chip.array.rows, chip.array.columns
    if not images:
        images = [np.zeros(MEMORY_HEADER_WORDS + (rows + MEMORY_COLUMN_WORDS) * columns, np.uint32)]
    at = MEMORY_HEADER_WORDS + rows * columns
    converters = np.stack(
        [image[at:].reshape(columns, MEMORY_COLUMN_WORDS).astype(np.uint32) for image in images]
    )
    return PcmState(
        chip=chip.name,
        seed=int(images[0][2]) | int(images[0][3]) << 32,
        codes=np.stack([_cells(chip, image) for image in images]),
        gain_p=np.ascontiguousarray(converters[..., 0]),
        gain_n=np.ascontiguousarray(converters[..., 1]),
        offset_p=(converters[..., 2] & 0xFFFF).astype(np.uint16).view(np.int16),
        offset_n=(converters[..., 2] >> 16).astype(np.uint16).view(np.int16),
        noise=(converters[..., 3] & 0xFFFF).astype(np.uint16),
    )
