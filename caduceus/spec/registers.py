"""The tile's register map: one table for the RTL, the benches, the host and the manual.

Registers have 32 bits, lie at byte addresses, and are accessed over AXI4-Lite, little-endian. An
access answers SLVERR and changes nothing if

- its address is not in the map, or not a multiple of four,
- it writes a register that is not writable,
- it writes a value out of range, or
- it writes a `locked` register or table while STATUS.busy is 1.

Bits outside the fields read 0; writes to them are ignored.

Access types: `ro` read-only; `rw` read and write; `w1c` read, write 1 to clear; `wo` write-only,
reads 0.

The layout is our choice: the published chip's serial interface is not documented.
"""

from enum import IntFlag

from caduceus.spec import (
    fabric,
    feature_map_registers,
    formats,
    pcm_state,
    pcm_write,
    pcm_write_registers,
)
from caduceus.spec.chip import Chip
from caduceus.spec.fabric import PARTS
from caduceus.spec.register import Register, RegisterField, RegisterTable, flags, word

ADDRESS_BITS = 16
ID = 0x43414455  # "CADU"
VERSION = 5


class Error(IntFlag):
    """Errors of the streams: bits of the sticky ERROR register."""

    INPUT_SHORT = 1 << 0
    INPUT_LONG = 1 << 1
    RX_SHORT = 1 << 2
    RX_LONG = 1 << 3
    RX_UNEXPECTED = 1 << 4
    STREAM_UNKNOWN = 1 << 5
    PACKET_EMPTY = 1 << 6
    PACKET_LONG = 1 << 7


REGISTERS: tuple[Register, ...] = (
    Register("ID", 0x000, "ro", ID, word("ASCII 'CADU'"), "Identifies a tile."),
    Register("VERSION", 0x004, "ro", VERSION, word("map version"), "Version of this register map."),
    Register(
        "SHAPE", 0x008, "ro", 0,
        (
            RegisterField("rows", 0, 16, "array rows"),
            RegisterField("columns", 16, 16, "array columns"),
        ),
        "Size of the array.",
    ),
    Register(
        "FEATURES", 0x00C, "ro", 0,
        (
            RegisterField("lanes", 0, 8, "LDPU lanes"),
            RegisterField("units", 8, 8, "bytes per beat of a stream"),
            RegisterField("binary16", 16, 1, "RX values and results may be binary16"),
        ),
        "Widths of the datapath.",
    ),
    Register(
        "CONTROL", 0x010, "rw", 0,
        (RegisterField("enable", 0, 1, "accept vectors"),),
        "Run control. The input stream is not ready while `enable` is 0 or the array loads a "
        "state.",
    ),
    Register(
        "STATUS", 0x014, "ro", 0,
        (
            RegisterField("busy", 0, 1, "a vector or packet is in flight, or a PCM write is "
                "running"),
            RegisterField("state_loading", 1, 1, "the array is loading its state"),
            RegisterField("error", 2, 1, "a bit of ERROR is set"),
            RegisterField("pcm_write", 3, 1, "a PCM write is running"),
        ),
        "Status of the tile.",
    ),
    Register(
        "MODE", 0x018, "rw", 0,
        (
            RegisterField("four_phase", 0, 1, "read mode: 0 is 1-phase, 1 is 4-phase"),
            RegisterField("relu_1", 1, 1, "ReLU before the RX addition"),
            RegisterField("relu_2", 2, 1, "ReLU after the RX addition"),
            RegisterField("rx_enable", 3, 1, "add one RX vector to every result"),
            RegisterField("rx_binary16", 4, 1, "RX values are binary16, low byte first, not INT8"),
            RegisterField("tx_binary16", 5, 1, "results are binary16, low byte first, not INT8"),
        ),
        "How a vector is processed. `rx_binary16` and `tx_binary16` may be 1 only if "
        "FEATURES.binary16 is.",
        locked=True,
    ),
    Register(
        "ROWS", 0x01C, "rw", 1,
        (RegisterField("value", 0, 16, "1 to array rows"),),
        "Length of an input vector; the remaining rows are driven with 0.",
        locked=True,
    ),
    Register(
        "COLUMNS", 0x020, "rw", 1,
        (RegisterField("value", 0, 16, "1 to array columns"),),
        "Length of a result vector and of an RX vector.",
        locked=True,
    ),
    Register(
        "RX_SCALE", 0x024, "rw", formats.FP16_ONE,
        (RegisterField("value", 0, 16, "binary16"),),
        "Multiplies RX values before they are added.",
        locked=True,
    ),
    Register(
        "STATE_SELECT", 0x028, "wo", 0,
        (RegisterField("index", 0, 16, "number of the state"),),
        "Loads PCM state number `index` into the array. The behavioral array reads it from a "
        f"file; number {pcm_state.WRITTEN} selects the state written through STATE_FIRST and "
        "STATE_NEXT. The emulated array always takes the written state. STATUS.state_loading is 1 "
        "until the load is complete.",
        locked=True,
    ),
    Register(
        "ERROR", 0x02C, "w1c", 0,
        flags(
            {
                Error.INPUT_SHORT: "an input vector was too short",
                Error.INPUT_LONG: "an input vector was too long, or its part number undefined",
                Error.RX_SHORT: "an RX vector was too short",
                Error.RX_LONG: "an RX vector was too long",
                Error.RX_UNEXPECTED: "an RX vector arrived while MODE.rx_enable was 0",
                Error.STREAM_UNKNOWN: "a packet had no route entry",
                Error.PACKET_EMPTY: "a packet had no payload",
                Error.PACKET_LONG: "a packet exceeded the longest payload",
            }
        ),
        "Sticky errors of the streams. Missing elements of a short input or RX vector read as 0; "
        "excess elements are dropped. Unexpected RX vectors, packets without route entry or "
        "payload, and bytes beyond the longest payload are dropped, too. The tile keeps running.",
    ),
    Register("MVMS", 0x030, "ro", 0, word("count"), "Completed matrix-vector multiplications."),
    Register("BUSY_CYCLES", 0x034, "ro", 0, word("count"), "`sync` cycles in which STATUS.busy was "
        "1."),
    Register(
        "STALL_CYCLES", 0x038, "ro", 0, word("count"),
        "`sync` cycles in which the LDPU had a result but waited for RX values or for the output.",
    ),
    Register(
        "PACKETS_IN", 0x03C, "ro", 0, word("count"),
        "Packets received from links or the host and routed, to other tiles or to this one; always "
        "0 in a stand-alone tile.",
    ),
    Register(
        "PACKETS_OUT", 0x040, "ro", 0, word("count"),
        "Packets sent to links or the host; a multicast counts once. Always 0 in a stand-alone "
        "tile.",
    ),
    Register(
        "TX_STREAM", 0x044, "rw", 0,
        (RegisterField("value", 0, 8, "number of a stream"),),
        "Preamble of the result packets.",
        locked=True,
    ),
    Register(
        "ERROR_STREAM", 0x048, "ro", 0,
        (RegisterField("value", 0, 8, "number of a stream"),),
        "Preamble of the last packet that set ERROR.stream_unknown, ERROR.packet_empty or "
        "ERROR.packet_long.",
    ),
    Register("VECTORS_IN", 0x04C, "ro", 0, word("count"), "Input vectors accepted or gathered."),
    Register(
        "VECTORS_OUT", 0x050, "ro", 0, word("count"), "Result vectors sent; with POOL, pooled "
            "ones.",
    ),
    Register(
        "PARTS", 0x054, "rw", 1,
        (RegisterField("value", 0, 5, f"1 to {PARTS}"),),
        "Packets per input vector. 1: a packet of ROWS elements is a vector. 2 and more: the part "
        "table gives the rows of each part; parts may arrive in any order, and the vector is "
        "complete when one of each has arrived. One further packet of each part is buffered for "
        "the next vector. Parts that wait for others do not set STATUS.busy. With GATHER.enable, "
        "the number of packets in the sequence described there. A write discards everything that "
        "waits (parts, pixels, RX vectors, incomplete pooling windows) and restarts the sequences.",
        locked=True,
    ),
    *feature_map_registers.REGISTERS,
    Register(
        "REFERENCE", 0x0A0, "rw", 0,
        (
            RegisterField(
                "reference_level", 0, formats.REFERENCE_BITS, "signed: units of charge per slot",
                True,
            ),
        ),
        "If not 0, the array's cells are disconnected, and this reference current flows in every "
        "column during every window of every MVM. Input vectors still start MVMs; their values "
        "have no effect.",
        locked=True,
    ),
    *pcm_write_registers.REGISTERS,
    Register(
        "STATE_FIRST", 0x0B4, "wo", 0, word("data"),
        "Writes the first word of a PCM state (layout in docs/files.md) to the array. Until the "
        "next STATE_SELECT the array's results are undefined.",
        locked=True,
    ),
    Register(
        "STATE_NEXT", 0x0B8, "wo", 0, word("data"),
        "Writes the next word of that state; words beyond the last are dropped.",
        locked=True,
    ),
)  # fmt: skip

BY_NAME: dict[str, Register] = {register.name: register for register in REGISTERS}

PART_TABLE = RegisterTable("part_table", 0x100, 4, "wo")
"""The part table: one word per part, used if PARTS is above 1. A word holds `PART_FIELDS`; it is
out of range if its rows exceed the array, or `start` is not a multiple of `link.units`."""
PART_FIELDS = (
    RegisterField("start", 0, 16, "first row of the part"),
    RegisterField("length", 16, 16, "number of rows"),
)

COLUMN_TABLE = RegisterTable(
    "column_constants", 0x4000, 0x20, "rw", words=len(formats.COLUMN_CONSTANTS)
)
"""The column constants, binary16: one entry per column, one word per constant."""


def column_address(column: int, constant: str) -> int:
    """Byte address of a column's constant, e.g. `column_address(3, "scale")`."""
    for candidate in formats.COLUMN_CONSTANTS:
        if candidate.name == constant:
            return COLUMN_TABLE.address(column, candidate.index)
    raise KeyError(f"there is no column constant {constant}")


ROUTE_TABLE = RegisterTable("routes", 0x8000, 8, "wo", words=2)
"""The route table: one entry per stream, empty after reset. The first word is the mask of sinks
(0: no entry; bit k is `fabric.sinks(chip)[k]`), and its write stores the entry. The second word
holds `ROUTE_FIELDS` and must be written before it. `start` and `length` have as many bits as the
number of bytes in the longest payload; higher bits are ignored. `start` is rounded down to a
multiple of `link.units`."""
ROUTE_FIELDS = (
    RegisterField("start", 0, 12, "first byte of the payload slice that the tile keeps"),
    RegisterField("length", 12, 12, "length of the slice in bytes"),
    RegisterField("part", 24, 4, "part number of the slice in the tile's input vector"),
)


def route_word(start: int, length: int, part: int) -> int:
    """The second word of a route entry."""
    fields = zip(ROUTE_FIELDS, (start, length, part), strict=True)
    return sum(value << field.low for field, value in fields)


def part_word(start: int, length: int) -> int:
    """An entry of the part table."""
    fields = zip(PART_FIELDS, (start, length), strict=True)
    return sum(value << field.low for field, value in fields)


def tables(chip: Chip) -> dict[RegisterTable, int]:
    """The tables of a tile of `chip`, and the number of entries of each."""
    lines = pcm_write.lines(chip)
    return {
        PART_TABLE: PARTS,
        pcm_write_registers.TARGET_TABLE: lines,
        pcm_write_registers.RESULT_TABLE: lines,
        COLUMN_TABLE: chip.array.columns,
        ROUTE_TABLE: fabric.STREAMS,
    }


TILE_SPACE = 1 << ADDRESS_BITS
"""Bytes of address space per tile: on a chip, tile t's registers begin at t * TILE_SPACE. The
broadcast window, whose writes go to all tiles at once, follows the last tile; then follow the
spaces of the GDPU slices, see `caduceus.spec.gdpu_registers`."""


def slice_space(tiles: int, number: int) -> int:
    """Number of the address space of GDPU slice `number` on a chip of `tiles` tiles."""
    return tiles + 1 + number


def chip_address_bits(tiles: int, slices: int) -> int:
    """Address bits of a chip: its tiles' spaces, the broadcast window, and its GDPU slices'."""
    return ADDRESS_BITS + (tiles + slices).bit_length()
