"""The registers of a tile that make it work on feature maps: gathering, pooling, packets in turn.

Their values are what `values` makes of a tile's configuration. Values that do not fit together make
wrong vectors, or none.
"""

from caduceus.spec.chip import Chip
from caduceus.spec.program import TileConfig
from caduceus.spec.register import Register, RegisterField

POOL_KINDS = (None, "max", "average")
"""Encoding of POOL.kind."""

_STEPS = ("size", "origin", "result", "group", "row", "map", "line")
"""Keys of `Window.ring`, each a register RING_<KEY>."""

_STEP_DOCS = {
    "size": "Bytes of the ring of kept pixels, a multiple of PIXEL.bytes.",
    "origin": "Where the first row's byte of a map's first result is, before anything has come.",
    "result": "From there to that of the next result in its group.",
    "group": "From that of a group's last result to that of the next group's first.",
    "row": "From that of the first in a row of results to that of the first in the next row.",
    "map": "From that of a map's first result to that of the next map's.",
    "line": "From the byte after a kernel row's last to the first of the next kernel row.",
}


def _fields(*fields: tuple) -> tuple[RegisterField, ...]:
    return tuple(RegisterField(*field) for field in fields)


REGISTERS: tuple[Register, ...] = (
    Register(
        "GATHER", 0x058, "rw", 0,
        _fields(
            ("enable", 0, 1, "input vectors are gathered from the pixels that come"),
            ("kernel", 8, 8, "height and width of the kernel"),
            ("stride", 16, 8, "pixels between neighbouring windows"),
            ("padding", 24, 8, "zeros around the map"),
        ),
        "Whether a packet to the input is an input vector, or part of one, or a pixel, or part of "
        "one, of a feature map. Packets of pixels come in turn: with PARTS above 1, of part 0, "
        "then 1 and so on, then 0 again, each as long as the table of parts says; one whose turn "
        "it is not waits. Otherwise every packet is a pixel.",
        locked=True,
    ),
    Register(
        "MAP", 0x05C, "rw", 0,
        _fields(("height", 0, 16, "pixels"), ("width", 16, 16, "pixels")),
        "Size of the feature maps that come.",
        locked=True,
    ),
    Register(
        "PIXEL", 0x060, "rw", 0,
        _fields(
            ("bytes", 0, 16, "of a pixel that the tile keeps"),
            ("packets", 16, 8, "that make up a pixel"),
        ),
        "What a pixel is.",
        locked=True,
    ),
    Register(
        "POSITION", 0x064, "rw", 0,
        _fields(
            ("y", 0, 8, "in the kernel"),
            ("x", 8, 8, "in the kernel"),
            ("channel", 16, 16, "which of the pixel's bytes"),
        ),
        "What the array's first row is given. The rows after it are given the pixel's bytes from "
        "there on, then those of the next x, then of the next y: ROWS of them.",
        locked=True,
    ),
    Register(
        "RESULTS", 0x068, "rw", 0,
        _fields(
            ("rows", 0, 16, "of results that a map makes"),
            ("groups", 16, 16, "of results in a row"),
        ),
        "How many input vectors are gathered from a map: rows * groups * COLUMN.group.",
        locked=True,
    ),
    Register(
        "COLUMN", 0x06C, "rw", 0,
        _fields(
            ("group", 0, 8, "neighbouring results in a group"),
            ("left", 8, 12, "signed: x in the map of the first result's window", True),
            ("skip", 20, 12, "from x of a group's last window to x of the next group's first"),
        ),
        "Which columns of the results are this tile's.",
        locked=True,
    ),
    Register(
        "RING_PIXELS", 0x070, "rw", 0,
        _fields(("value", 0, 21, "pixels that the ring holds")),
        "A pixel's packet waits while as many are there, or on their way, and still needed.",
        locked=True,
    ),
    *(
        Register(
            f"RING_{key.upper()}", 0x074 + 4 * index, "rw", 0,
            _fields(("value", 0, 21, "bytes")),
            _STEP_DOCS[key] + ("" if key == "size" else " Modulo RING_SIZE."),
            locked=True,
        )
        for index, key in enumerate(_STEPS)
    ),
    Register(
        "POOL", 0x090, "rw", 0,
        _fields(
            ("kind", 0, 2, "0: none, 1: largest, 2: average"),
            ("size", 8, 8, "height and width of a window"),
            ("shift", 16, 4, "binary logarithm of the pixels in a window, for the average"),
        ),
        "What becomes of results before they leave: of a window of them one. INT8 only.",
        locked=True,
    ),
    Register(
        "POOL_MAP", 0x094, "rw", 0,
        _fields(("height", 0, 16, "results"), ("width", 16, 16, "results")),
        "Size of the map of results.",
        locked=True,
    ),
    Register(
        "POOL_WINDOWS", 0x098, "rw", 0,
        _fields(("down", 0, 16, "windows"), ("across", 16, 16, "windows")),
        "Windows in the map; what is left over to the right and below is dropped.",
        locked=True,
    ),
    Register(
        "RX_PARTS", 0x09C, "rw", 1,
        _fields(("value", 0, 5, "1 to 16")),
        "With more than 1, RX packets come in turn, as pixels do with PARTS above 1.",
        locked=True,
    ),
)  # fmt: skip

BY_NAME = {register.name: register for register in REGISTERS}


def _word(name: str, **values: int) -> int:
    """A register's value from those of its fields; `ValueError` for one that does not fit."""
    total = 0
    for key, value in values.items():
        field = BY_NAME[name].field(key)
        least = -(1 << field.width - 1) if field.signed else 0
        if not least <= value < least + (1 << field.width):
            raise ValueError(f"{name}.{key} = {value}: does not fit {field.width} bits")
        total |= value % (1 << field.width) << field.low
    return total


def values(config: TileConfig, chip: Chip) -> dict[str, int]:
    """Values of the registers that `config` needs, by name; of RX_PARTS, GATHER and POOL always."""
    found = {"RX_PARTS": config.rx_parts, "GATHER": 0, "POOL": 0}
    window, pooling = config.window, config.pooling
    if window is not None:
        y, x = divmod(window.position, window.kernel)
        skip = (window.period - window.group + 1) * window.stride
        found |= {
            "GATHER": _word(
                "GATHER",
                enable=1,
                kernel=window.kernel,
                stride=window.stride,
                padding=window.padding,
            ),
            "MAP": _word("MAP", height=window.height, width=window.width),
            "PIXEL": _word("PIXEL", bytes=window.channels, packets=window.packets),
            "POSITION": _word("POSITION", y=y, x=x, channel=window.channel),
            "RESULTS": _word("RESULTS", rows=window.result_rows, groups=window.groups),
            "COLUMN": _word(
                "COLUMN",
                group=window.group,
                left=window.first * window.stride - window.padding,
                skip=skip,
            ),
            "RING_PIXELS": window.capacity(chip),
            **{f"RING_{key.upper()}": value for key, value in window.ring(chip).items()},
        }
    if pooling is not None:
        found |= {
            "POOL": _word(
                "POOL",
                kind=POOL_KINDS.index(pooling.kind),
                size=pooling.size,
                shift=pooling.shift,
            ),
            "POOL_MAP": _word("POOL_MAP", height=pooling.height, width=pooling.width),
            "POOL_WINDOWS": _word("POOL_WINDOWS", down=pooling.down, across=pooling.across),
        }
    return found
