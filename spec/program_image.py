"""The program image: a file with everything that a chip is told to do.

Numbers are little-endian. The same program gives the same bytes.

    0    8 bytes     MAGIC
    8    uint32      FORMAT
    12   uint32      length of the header in bytes
    16   32 bytes    SHA-256 of all other bytes of the file, in order
    48   header      UTF-8 JSON, keys as the fields of `ChipProgram`, without the arrays
    ..   arrays      of each tile with a config, in order: constants uint16 [columns, 5], then
                     codes uint8 [rows, columns, 4], both row by row
"""

import dataclasses
import hashlib
import json
import struct
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from spec import formats
from spec.chip import Chip
from spec.document import Section
from spec.errors import UserError
from spec.feature_map import Pooling, Window
from spec.files import write_whole
from spec.formats import ReadMode
from spec.program import (
    Block,
    ChipProgram,
    GdpuConfig,
    HostStream,
    InputPart,
    Route,
    SliceProgram,
    TileConfig,
    TileProgram,
)
from spec.program_check import check, check_size

MAGIC = b"CADUCEUS"
FORMAT = 3
_START = struct.Struct("<8sII")
_DIGEST = hashlib.sha256().digest_size
_FIXED = _START.size + _DIGEST
_CONSTANT = np.dtype("<u2")
_Record = TypeVar("_Record", Window, Pooling, Block)

# So that no number is longer than a sentence about it.
_Int = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]


class _Route(Section):
    """`spec.program.Route`."""

    stream: _Int
    sinks: tuple[str, ...]
    start: _Int
    length: _Int
    part: _Int


class _InputPart(Section):
    """`spec.program.InputPart`."""

    start: _Int
    length: _Int


class _Window(Section):
    """`spec.feature_map.Window`."""

    height: _Int
    width: _Int
    channels: _Int
    kernel: _Int
    stride: _Int
    padding: _Int
    position: _Int
    channel: _Int
    group: _Int
    groups: _Int
    period: _Int
    first: _Int
    packets: _Int


class _Pooling(Section):
    """`spec.feature_map.Pooling`."""

    kind: Literal["max", "average"]
    size: _Int
    height: _Int
    width: _Int


class _Block(Section):
    """`spec.program.Block`."""

    layer: str
    rows: _Int
    columns: _Int
    replica: _Int


class _Config(Section):
    """`spec.program.TileConfig` without its read mode, which is the program's, and its array."""

    rows: _Int
    columns: _Int
    relu_1: bool
    relu_2: bool
    rx_enable: bool
    rx_scale: _Int
    rx_binary16: bool
    tx_binary16: bool
    parts: tuple[_InputPart, ...]
    window: _Window | None
    pooling: _Pooling | None
    rx_parts: _Int


class _Tile(Section):
    """`spec.program.TileProgram` without its array."""

    tile: _Int
    routes: tuple[_Route, ...]
    config: _Config | None
    tx_stream: _Int | None
    block: _Block | None


class _HostStream(Section):
    """`spec.program.HostStream`."""

    port: _Int
    stream: _Int
    start: _Int
    length: _Int


class _GdpuConfig(Section):
    """`spec.program.GdpuConfig`."""

    units: _Int
    input_scale: tuple[_Int, ...]
    input_offset: tuple[_Int, ...]
    output_scale: _Int
    output_offset: _Int


class _Slice(Section):
    """`spec.program.SliceProgram`."""

    slice: _Int
    config: _GdpuConfig
    sides: tuple[str, ...]
    first: _Int
    stream: _Int
    last: _Int


class _Header(Section):
    """`spec.program.ChipProgram` without its arrays."""

    chip: str
    chip_digest: str
    network: str
    read_mode: ReadMode
    tiles: tuple[_Tile, ...]
    inputs: tuple[_HostStream, ...]
    outputs: tuple[_HostStream, ...]
    input_length: _Int
    output_length: _Int
    slices: tuple[_Slice, ...]
    input_pixels: _Int
    output_pixels: _Int


def save(program: ChipProgram, path: Path | str) -> None:
    """Write `program` to `path`: the same program gives the same bytes; never half a file.

    Raises:
        UserError: a value of the program is beyond its limits, or the file cannot be written.
    """
    check(program)
    header = json.dumps(_header(program), sort_keys=True, separators=(",", ":")).encode()
    parts = [header]
    for tile in program.tiles:
        if tile.config is not None:
            parts += [tile.config.constants.astype(_CONSTANT).tobytes(), tile.codes.tobytes()]
    start, body = _START.pack(MAGIC, FORMAT, len(header)), b"".join(parts)
    write_whole(path, start + _digest(start, body) + body, "program image")


def load(path: Path | str, chip: Chip | None = None) -> ChipProgram:
    """Read a program image; with `chip`, demand that it was made for that very description.

    Raises:
        UserError: missing, truncated, altered, of another format version, for another chip
            description, or with a value beyond its limits.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            # Only what begins like an image is read whole: the path may be anything.
            fixed = file.read(_FIXED)
            body = file.read() if fixed.startswith(MAGIC) else b""
    except OSError as error:
        raise UserError(f"{path}: cannot read the program image: {error.strerror}") from None
    if not fixed.startswith(MAGIC):
        raise UserError(f"{path}: not a program image: allowed is what the compiler wrote")
    if len(fixed) < _FIXED:
        raise UserError(f"{path}: the program image is cut short: make it again, or copy it whole")
    start = fixed[: _START.size]
    _, version, header_length = _START.unpack(start)
    if version != FORMAT:
        raise UserError(f"{path}: program image format {version}: allowed is {FORMAT}")
    if _digest(start, body) != fixed[_START.size :]:
        raise UserError(
            f"{path}: checksum does not match its content: the file was altered or cut short"
        )
    try:
        header = _Header.model_validate_json(body[:header_length])
        program = _program(header, body[header_length:], chip)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "header"
        allowed = first["msg"].removeprefix("Input should be ")
        raise UserError(f"{path}: program image: {key}: allowed is {allowed}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return program


def _digest(start: bytes, body: bytes) -> bytes:
    """The file's checksum; the body is not copied for it."""
    digest = hashlib.sha256(start)
    digest.update(body)
    return digest.digest()


def _header(program: ChipProgram) -> dict[str, object]:
    """JSON object that `_Header` describes. The compiler's integers may be NumPy's."""
    return {
        "chip": program.chip,
        "chip_digest": program.chip_digest,
        "network": program.network,
        "read_mode": program.read_mode.value,
        "tiles": [
            {
                "tile": int(tile.tile),
                "routes": [
                    {
                        "stream": int(route.stream),
                        "sinks": list(route.sinks),
                        "start": int(route.start),
                        "length": int(route.length),
                        "part": int(route.part),
                    }
                    for route in tile.routes
                ],
                "config": None if tile.config is None else _config(tile.config),
                "tx_stream": None if tile.tx_stream is None else int(tile.tx_stream),
                "block": _plain(tile.block),
            }
            for tile in program.tiles
        ],
        "inputs": [_host_stream(stream) for stream in program.inputs],
        "outputs": [_host_stream(stream) for stream in program.outputs],
        "input_length": int(program.input_length),
        "output_length": int(program.output_length),
        "slices": [_slice(each) for each in program.slices],
        "input_pixels": int(program.input_pixels),
        "output_pixels": int(program.output_pixels),
    }


def _plain(part: Window | Pooling | Block | None) -> dict[str, int | str] | None:
    """Fields of a flat record."""
    if part is None:
        return None
    values = dataclasses.asdict(part)
    return {key: value if isinstance(value, str) else int(value) for key, value in values.items()}


def _config(config: TileConfig) -> dict[str, object]:
    numbers = {
        key: int(getattr(config, key)) for key in ("rows", "columns", "rx_scale", "rx_parts")
    }
    flags = ("relu_1", "relu_2", "rx_enable", "rx_binary16", "tx_binary16")
    return (
        numbers
        | {key: bool(getattr(config, key)) for key in flags}
        | {"parts": [{"start": int(p.start), "length": int(p.length)} for p in config.parts]}
        | {"window": _plain(config.window), "pooling": _plain(config.pooling)}
    )


def _slice(program: SliceProgram) -> dict[str, object]:
    config = program.config
    return {
        "slice": int(program.slice),
        "config": {
            "units": int(config.units),
            "input_scale": [int(value) for value in config.input_scale],
            "input_offset": [int(value) for value in config.input_offset],
            "output_scale": int(config.output_scale),
            "output_offset": int(config.output_offset),
        },
        "sides": list(program.sides),
        **{key: int(getattr(program, key)) for key in ("first", "stream", "last")},
    }


def _host_stream(stream: HostStream) -> dict[str, int]:
    return {key: int(getattr(stream, key)) for key in ("port", "stream", "start", "length")}


def _program(header: _Header, arrays: bytes, chip: Chip | None) -> ChipProgram:
    """The program that header and arrays make, checked."""
    tiles = []
    place = 0
    for tile in header.tiles:
        config, codes = None, None
        if tile.config is not None:
            size = tile.config.rows, tile.config.columns
            check_size(tile.tile, *size, None)
            constants, place = _take(
                arrays, place, (size[1], len(formats.COLUMN_CONSTANTS)), _CONSTANT, tile.tile
            )
            codes, place = _take(
                arrays, place, (*size, len(formats.DEVICES)), np.dtype(np.uint8), tile.tile
            )
            config = TileConfig(
                read_mode=header.read_mode,
                constants=constants.astype(np.uint16),
                parts=tuple(InputPart(**part.model_dump()) for part in tile.config.parts),
                window=_record(Window, tile.config.window),
                pooling=_record(Pooling, tile.config.pooling),
                **tile.config.model_dump(exclude={"parts", "window", "pooling"}),
            )
        block = _record(Block, tile.block)
        routes = tuple(Route(**route.model_dump()) for route in tile.routes)
        tiles.append(TileProgram(tile.tile, routes, config, codes, tile.tx_stream, block))
    if place != len(arrays):
        raise UserError(f"{len(arrays) - place} bytes after the last tile's arrays: allowed is 0")
    program = ChipProgram(
        chip=header.chip,
        chip_digest=header.chip_digest,
        network=header.network,
        read_mode=header.read_mode,
        tiles=tuple(tiles),
        inputs=tuple(HostStream(**stream.model_dump()) for stream in header.inputs),
        outputs=tuple(HostStream(**stream.model_dump()) for stream in header.outputs),
        input_length=header.input_length,
        output_length=header.output_length,
        slices=tuple(
            SliceProgram(
                config=GdpuConfig(**each.config.model_dump()),
                **each.model_dump(exclude={"config"}),
            )
            for each in header.slices
        ),
        input_pixels=header.input_pixels,
        output_pixels=header.output_pixels,
    )
    check(program, chip)
    return program


def _record(kind: type[_Record], section: Section | None) -> _Record | None:
    """What a flat section stands for."""
    return None if section is None else kind(**section.model_dump())


def _take(
    arrays: bytes, place: int, shape: tuple[int, ...], dtype: np.dtype, tile: int
) -> tuple[NDArray, int]:
    """An array of its own, and the place after it."""
    count = int(np.prod(shape))
    end = place + count * dtype.itemsize
    if end > len(arrays):
        raise UserError(
            f"tile {tile}: {len(arrays) - place} bytes are left for an array: allowed is "
            f"{end - place}"
        )
    return np.frombuffer(arrays, dtype, count, place).reshape(shape).copy(), end
