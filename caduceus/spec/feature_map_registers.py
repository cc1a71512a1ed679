"""Registers of a tile for feature maps: gathering, pooling, and packets in sequence.

`values` computes them from a tile's configuration. The tile does not check that they are
consistent: inconsistent values give wrong vectors or none.
"""

from caduceus.spec.chip import Chip
from caduceus.spec.program import TileConfig
from caduceus.spec.register import Register, RegisterField

POOL_KINDS = (None, "max", "average")
"""Encoding of POOL.kind."""

_STEPS = ("size", "origin", "result", "group", "row", "map", "line")
"""Keys of `Window.ring`, each a register RING_<KEY>."""

_STEP_DOCS = {
    "size": "Size in bytes of the ring that holds pixels, a multiple of PIXEL.bytes.",
    "origin": "Address of the start byte (the byte for the array's first row) of a map's first "
    "result, in an empty ring.",
    "result": "Step from a result's start byte to that of the next result in its group.",
    "group": "Step from the start byte of a group's last result to that of the next group's first.",
    "row": "Step from the start byte of a row's first result to that of the next row's first.",
    "map": "Step from the start byte of a map's first result to that of the next map's first.",
    "line": "Step from the end of a kernel row to the first byte of the next kernel row.",
}


def _fields(*fields: tuple) -> tuple[RegisterField, ...]:
    return tuple(RegisterField(*field) for field in fields)


REGISTERS: tuple[Register, ...] = (
    Register(
        "GATHER", 0x058, "rw", 0,
        _fields(
            ("enable", 0, 1, "gather input vectors from pixels"),
            ("kernel", 8, 8, "height and width of the kernel"),
            ("stride", 16, 8, "pixels between neighboring windows"),
            ("padding", 24, 8, "zeros around the map"),
        ),
        "With `enable` 0, input packets are input vectors or parts of them. With 1 they are pixels "
        "of a feature map or parts of pixels. Parts of pixels are accepted in sequence, part 0 to "
        "PARTS - 1 and then 0 again, with the lengths in the part table; a packet out of sequence "
        "waits. With PARTS 1 every packet is a pixel.",
        locked=True,
    ),
    Register(
        "MAP", 0x05C, "rw", 0,
        _fields(("height", 0, 16, "pixels"), ("width", 16, 16, "pixels")),
        "Size of the incoming feature maps.",
        locked=True,
    ),
    Register(
        "PIXEL", 0x060, "rw", 0,
        _fields(
            ("bytes", 0, 16, "bytes of a pixel that the tile keeps"),
            ("packets", 16, 8, "packets per pixel"),
        ),
        "Size of a pixel.",
        locked=True,
    ),
    Register(
        "POSITION", 0x064, "rw", 0,
        _fields(
            ("y", 0, 8, "row in the kernel"),
            ("x", 8, 8, "column in the kernel"),
            ("channel", 16, 16, "byte of the pixel"),
        ),
        "Kernel position and channel of the array's first row. The following rows take the pixel's "
        "remaining bytes, then those of the next x, then of the next y, for ROWS rows in total.",
        locked=True,
    ),
    Register(
        "RESULTS", 0x068, "rw", 0,
        _fields(
            ("rows", 0, 16, "rows of results per map"),
            ("groups", 16, 16, "groups of results per row"),
        ),
        "Input vectors per map: rows * groups * COLUMN.group.",
        locked=True,
    ),
    Register(
        "COLUMN", 0x06C, "rw", 0,
        _fields(
            ("group", 0, 8, "neighboring results per group"),
            ("left", 8, 12, "signed: x of the first result's window in the map", True),
            ("skip", 20, 12, "step in x from a group's last window to the next group's first"),
        ),
        "Columns of the result map that this tile computes.",
        locked=True,
    ),
    Register(
        "RING_PIXELS", 0x070, "rw", 0,
        _fields(("value", 0, 21, "capacity of the ring in pixels")),
        "A pixel's first packet waits while this many pixels are stored or in flight, and not yet "
        "released.",
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
            ("size", 8, 8, "height and width of a pooling window"),
            ("shift", 16, 4, "log2 of the number of results in a window, for the average"),
        ),
        "Pooling of results before they leave: one per window. INT8 results only.",
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
        "Pooling windows per map; results beyond them on the right and below are dropped.",
        locked=True,
    ),
    Register(
        "RX_PARTS", 0x09C, "rw", 1,
        _fields(("value", 0, 5, "1 to 16")),
        "Packets in the RX sequence. Above 1, RX packets are accepted in sequence, like parts of "
        "pixels.",
        locked=True,
    ),
)  # fmt: skip

BY_NAME = {register.name: register for register in REGISTERS}


def _word(name: str, **values: int) -> int:
    """A register's value from its fields' values; raises `ValueError` if one does not fit."""
    total = 0
    for key, value in values.items():
        field = BY_NAME[name].field(key)
        least = -(1 << field.width - 1) if field.signed else 0
        if not least <= value < least + (1 << field.width):
            raise ValueError(
                f"{name}.{key}: got {value}, expected {least} to {least + (1 << field.width) - 1}"
            )
        total |= value % (1 << field.width) << field.low
    return total


def values(config: TileConfig, chip: Chip) -> dict[str, int]:
    """Register values for `config`, by name; RX_PARTS, GATHER and POOL are always included."""
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
