"""The tile's register map: one table, read by the RTL, the bench, the host and the manual.

32-bit registers at byte addresses, little-endian, on AXI4-Lite. An address outside the map, or one
that is not a multiple of four, answers SLVERR, and so do a write to a register that is not
writable, a value out of its range, and a write to a `locked` register (or column constant) while
STATUS.busy is 1; none of them changes anything. Bits outside the fields read 0 and are ignored when
written.
Access: `ro` read, `rw` read and write, `w1c` read, and write one to clear, `wo` write, and read 0.
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
    """What was wrong with a stream: bits of the sticky ERROR register."""

    INPUT_SHORT = 1 << 0
    INPUT_LONG = 1 << 1
    RX_SHORT = 1 << 2
    RX_LONG = 1 << 3
    RX_UNEXPECTED = 1 << 4
    STREAM_UNKNOWN = 1 << 5
    PACKET_EMPTY = 1 << 6
    PACKET_LONG = 1 << 7


REGISTERS: tuple[Register, ...] = (
    Register("ID", 0x000, "ro", ID, word("ASCII 'CADU'"), "What this is."),
    Register("VERSION", 0x004, "ro", VERSION, word("map version"), "Version of this map."),
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
            RegisterField("units", 8, 8, "bytes a beat of a stream"),
            RegisterField("binary16", 16, 1, "RX values and results may be binary16"),
        ),
        "Widths of the datapath.",
    ),
    Register(
        "CONTROL", 0x010, "rw", 0,
        (RegisterField("enable", 0, 1, "accept vectors"),),
        "Run control. While `enable` is 0, or a state is being loaded, the input stream is not "
        "ready.",
    ),
    Register(
        "STATUS", 0x014, "ro", 0,
        (
            RegisterField("busy", 0, 1, "a vector or packet is inside, or the array programmed"),
            RegisterField("state_loading", 1, 1, "the array is loading its state"),
            RegisterField("error", 2, 1, "some bit of ERROR is set"),
            RegisterField("pcm_write", 3, 1, "the array is being programmed"),
        ),
        "What the tile is doing.",
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
        "How a vector is processed. The last two may be 1 only where FEATURES.binary16 is.",
        locked=True,
    ),
    Register(
        "ROWS", 0x01C, "rw", 1,
        (RegisterField("value", 0, 16, "1 to array rows"),),
        "Length of an input vector; the rows after it are driven with 0.",
        locked=True,
    ),
    Register(
        "COLUMNS", 0x020, "rw", 1,
        (RegisterField("value", 0, 16, "1 to array columns"),),
        "Length of a result vector, and of an RX vector.",
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
        "Loads PCM state number `index` into the array. The behavioural array reads it from a "
        f"file, or with {pcm_state.WRITTEN} takes what STATE_FIRST and STATE_NEXT wrote; an "
        "emulated one takes that in any case. STATUS.state_loading is 1 until it is done.",
        locked=True,
    ),
    Register(
        "ERROR", 0x02C, "w1c", 0,
        flags(
            {
                Error.INPUT_SHORT: "an input vector ended early",
                Error.INPUT_LONG: "an input vector did not end",
                Error.RX_SHORT: "an RX vector ended early",
                Error.RX_LONG: "an RX vector did not end",
                Error.RX_UNEXPECTED: "an RX vector came without MODE.rx_enable",
                Error.STREAM_UNKNOWN: "a packet without a route entry",
                Error.PACKET_EMPTY: "a packet without payload",
                Error.PACKET_LONG: "a packet did not end in time",
            }
        ),
        "Sticky errors of the streams. A short input or RX vector counts as 0 where it has "
        "nothing; what is too much of either is discarded, and so are "
        "RX vectors that nobody waits for, packets without route entry or payload, and what is "
        "beyond a packet's longest payload. The tile goes on.",
    ),
    Register("MVMS", 0x030, "ro", 0, word("count"), "Matrix-vector multiplications finished."),
    Register("BUSY_CYCLES", 0x034, "ro", 0, word("count"), "`sync` cycles with STATUS.busy."),
    Register(
        "STALL_CYCLES", 0x038, "ro", 0, word("count"),
        "`sync` cycles in which a result was ready to be processed but RX or the output had to "
        "be waited for.",
    ),
    Register(
        "PACKETS_IN", 0x03C, "ro", 0, word("count"),
        "Packets that came by links or from the host and went on or to the tile itself; 0 for a "
        "tile alone.",
    ),
    Register(
        "PACKETS_OUT", 0x040, "ro", 0, word("count"),
        "Packets that went to links or the host, a multicast once; 0 for a tile alone.",
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
        "Preamble of the last packet that set ERROR.stream_unknown, packet_empty or packet_long.",
    ),
    Register("VECTORS_IN", 0x04C, "ro", 0, word("count"), "Input vectors accepted or gathered."),
    Register(
        "VECTORS_OUT", 0x050, "ro", 0, word("count"), "Result vectors sent, pooled ones with POOL.",
    ),
    Register(
        "PARTS", 0x054, "rw", 1,
        (RegisterField("value", 0, 5, f"1 to {PARTS}"),),
        "Packets that make up an input vector. With 1, a packet of ROWS elements is a vector. With "
        "more, each goes where the table of parts says, in any order; a vector is complete when "
        "one of each is there, and one more of each is kept for the vector after it. Parts that "
        "wait for others are not busy. With GATHER.enable, the packets that come in turn; see "
        "there. A write forgets what waits: parts, pixels, RX vectors, windows of results, turns.",
        locked=True,
    ),
    *feature_map_registers.REGISTERS,
    Register(
        "REFERENCE", 0x0A0, "rw", 0,
        (
            RegisterField(
                "reference_level", 0, formats.REFERENCE_BITS, "signed: units of charge a slot",
                True,
            ),
        ),
        "Other than 0: the array's cells are disconnected, and this reference current flows in "
        "every column instead, in every window of every MVM. Input vectors start MVMs as always; "
        "their values do not matter then.",
        locked=True,
    ),
    *pcm_write_registers.REGISTERS,
    Register(
        "STATE_FIRST", 0x0B4, "wo", 0, word("data"),
        "The first word of a state's image (docs/files.md) to the array. Until STATE_SELECT what "
        "the array does is not defined.",
        locked=True,
    ),
    Register(
        "STATE_NEXT", 0x0B8, "wo", 0, word("data"),
        "The next word of it, and so on to the last; what is too much is dropped.",
        locked=True,
    ),
)  # fmt: skip

BY_NAME: dict[str, Register] = {register.name: register for register in REGISTERS}

PART_TABLE = RegisterTable("part_table", 0x100, 4, "wo")
"""The table of parts: a word for each part, looked at with PARTS above 1. A word holds
`PART_FIELDS`; one with rows that there are not, or with a `start` that is not a multiple of
`link.units`, is out of range."""
PART_FIELDS = (
    RegisterField("start", 0, 16, "the first row that the part is given to"),
    RegisterField("length", 16, 16, "how many rows"),
)

COLUMN_TABLE = RegisterTable(
    "column_constants", 0x4000, 0x20, "rw", words=len(formats.COLUMN_CONSTANTS)
)
"""The column constants, binary16: an entry for each column, a word for each constant."""


def column_address(column: int, constant: str) -> int:
    """Byte address of a column's constant, e.g. `column_address(3, "scale")`."""
    for candidate in formats.COLUMN_CONSTANTS:
        if candidate.name == constant:
            return COLUMN_TABLE.address(column, candidate.index)
    raise KeyError(f"there is no column constant {constant}")


ROUTE_TABLE = RegisterTable("routes", 0x8000, 8, "wo", words=2)
"""The route table, an entry for each stream, empty after reset. The first word is the mask of sinks
(0: no entry), bit k standing for `fabric.sinks(chip)[k]`, and writes the entry; the second holds
`ROUTE_FIELDS`, and must be written before it. Of `start` and `length`, as many of the lowest bits
count as the longest payload's number of bytes has; `start` is rounded down to a multiple of
`link.units`."""
ROUTE_FIELDS = (
    RegisterField("start", 0, 12, "first byte of the payload that the tile itself keeps"),
    RegisterField("length", 12, 12, "bytes that it keeps"),
    RegisterField("part", 24, 4, "which part of the tile's input vector they are"),
)


def route_word(start: int, length: int, part: int) -> int:
    """The second word of a route entry."""
    fields = zip(ROUTE_FIELDS, (start, length, part), strict=True)
    return sum(value << field.low for field, value in fields)


def part_word(start: int, length: int) -> int:
    """An entry of the table of parts."""
    fields = zip(PART_FIELDS, (start, length), strict=True)
    return sum(value << field.low for field, value in fields)


def tables(chip: Chip) -> dict[RegisterTable, int]:
    """The tables of a tile of `chip`, each with its number of entries."""
    lines = pcm_write.lines(chip)
    return {
        PART_TABLE: PARTS,
        pcm_write_registers.TARGET_TABLE: lines,
        pcm_write_registers.RESULT_TABLE: lines,
        COLUMN_TABLE: chip.array.columns,
        ROUTE_TABLE: fabric.STREAMS,
    }


TILE_SPACE = 1 << ADDRESS_BITS
"""Bytes of address space of a tile: on a chip, tile t's registers are at t * TILE_SPACE. After the
last tile's comes the broadcast window, whose writes go to every tile at once, and then the spaces
of the GDPU's slices, see `caduceus.spec.gdpu_registers`."""


def slice_space(tiles: int, number: int) -> int:
    """Which space of a chip of `tiles` tiles is that of GDPU slice `number`."""
    return tiles + 1 + number


def chip_address_bits(tiles: int, slices: int) -> int:
    """Address bits of a chip: its tiles' spaces, the broadcast window, and its GDPU slices'."""
    return ADDRESS_BITS + (tiles + slices).bit_length()
