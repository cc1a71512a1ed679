"""The register map of a GDPU slice, on the same bus and by the same rules as a tile's.

See `spec.registers` for the rules and for how registers are described. `locked` ones refuse writes
while STATUS.busy is 1, those of `BETWEEN_SEQUENCES` while STATUS.running is, too. The layout is our
choice.
"""

from enum import IntFlag

from caduceus.spec import formats
from caduceus.spec.gdpu import GATES
from caduceus.spec.register import Register, RegisterField, RegisterTable, flags, word
from caduceus.spec.registers import VERSION

ID = 0x47445055  # "GDPU"


def _binary16(name: str, address: int, reset: int, doc: str) -> Register:
    fields = (RegisterField("value", 0, 16, "binary16"),)
    return Register(name, address, "rw", reset, fields, doc, locked=True)


class Error(IntFlag):
    """What was wrong with a gate vector: bits of the sticky ERROR register."""

    INPUT_SHORT = 1 << 0
    INPUT_LONG = 1 << 1
    INPUT_UNEXPECTED = 1 << 2


REGISTERS: tuple[Register, ...] = (
    Register("ID", 0x000, "ro", ID, word("ASCII 'GDPU'"), "What this is."),
    Register("VERSION", 0x004, "ro", VERSION, word("map version"), "Version of this map."),
    Register(
        "SHAPE", 0x008, "ro", 0,
        (
            RegisterField("units", 0, 16, "LSTM units that there are"),
            RegisterField("lanes", 16, 16, "pre-activations taken in per clock"),
        ),
        "Size of the slice.",
    ),
    Register(
        "CONTROL", 0x010, "wo", 0,
        (
            RegisterField("clear", 0, 1, "set hidden and cell state to 0"),
            RegisterField("start", 1, 1, "begin a sequence: send the stored hidden state"),
        ),
        "What to do now; both bits together clear first. Writes are refused while STATUS.running "
        "or STATUS.busy is 1: a sequence ends after LENGTH steps, one without end with a reset of "
        "the chip.",
        locked=True,
    ),
    Register(
        "STATUS", 0x014, "ro", 0,
        (
            RegisterField("busy", 0, 1, "a vector is inside or on its way out"),
            RegisterField("running", 1, 1, "a sequence has begun and not ended"),
            RegisterField("error", 2, 1, "some bit of ERROR is set"),
        ),
        "What the slice is doing. Between two steps of a sequence it is running and not busy.",
    ),
    Register(
        "MODE", 0x018, "rw", 0,
        (
            RegisterField("north", 0, 1, "send packets to the tile in the north"),
            RegisterField("south", 1, 1, "send packets to the tile in the south"),
        ),
        "Where packets go.",
        locked=True,
    ),
    Register(
        "UNITS", 0x01C, "rw", 1,
        (RegisterField("value", 0, 16, "1 to SHAPE.units"),),
        "LSTM units in use: four times as many values come in, as many go out.",
        locked=True,
    ),
    Register(
        "LENGTH", 0x020, "rw", 0, word("count"),
        "Steps of a sequence; with 0 it has no end but a reset of the chip. Writes are refused "
        "while STATUS.running or STATUS.busy is 1.",
        locked=True,
    ),
    Register(
        "STREAMS", 0x024, "rw", 0,
        (
            RegisterField("first", 0, 8, "of the hidden state that a sequence begins with"),
            RegisterField("stream", 8, 8, "of the hidden state after a step"),
            RegisterField("last", 16, 8, "of the hidden state after the last step"),
        ),
        "Preambles of the packets.",
        locked=True,
    ),
    Register(
        "ERROR", 0x02C, "w1c", 0,
        flags(
            {
                Error.INPUT_SHORT: "a gate vector ended early",
                Error.INPUT_LONG: "a gate vector did not end",
                Error.INPUT_UNEXPECTED:
                    "a gate vector came before a sequence began or after its end",
            }
        ),
        "Sticky errors. A short vector counts as 0 where it has nothing; what is too much of a "
        "long one is discarded, and so is an unexpected one. The slice goes on.",
    ),
    Register("STEPS", 0x030, "ro", 0, word("count"), "Steps done since the sequence began."),
    Register("VECTORS_IN", 0x034, "ro", 0, word("count"), "Gate vectors accepted."),
    Register("VECTORS_OUT", 0x038, "ro", 0, word("count"), "Packets sent."),
    *(
        _binary16(f"INPUT_SCALE_{gate.upper()}", 0x040 + 4 * index, formats.FP16_ONE,
                  f"Multiplies the INT8 pre-activations of gate {gate.upper()}.")
        for index, gate in enumerate(GATES)
    ),
    *(
        _binary16(f"INPUT_OFFSET_{gate.upper()}", 0x050 + 4 * index, 0,
                  f"Is added to the product of gate {gate.upper()}.")
        for index, gate in enumerate(GATES)
    ),
    _binary16("OUTPUT_SCALE", 0x060, formats.FP16_ONE, "Multiplies a hidden unit before rounding."),
    _binary16("OUTPUT_OFFSET", 0x064, 0, "Is added to that product."),
)  # fmt: skip

BY_NAME: dict[str, Register] = {register.name: register for register in REGISTERS}

BETWEEN_SEQUENCES = ("CONTROL", "LENGTH")
"""Registers that refuse writes while STATUS.running is 1, as well as while STATUS.busy is. A start
within a sequence would send `first` again, and tiles that wait for one part of each kind would have
one too many."""

HIDDEN_TABLE = RegisterTable("hidden_state", 0x4000, 4, "rw")
"""The hidden state: a word for each unit, INT8 in the lowest byte (read with its sign); 0 after
reset."""
CELL_TABLE = RegisterTable("cell_state", 0x8000, 4, "rw")
"""The cell state: a word for each unit, binary16; 0 after reset."""


def tables(units: int) -> dict[RegisterTable, int]:
    """The tables of a slice of `units` LSTM units, each with its number of entries."""
    return dict.fromkeys((HIDDEN_TABLE, CELL_TABLE), units)
