"""The register map of a GDPU slice, on the same bus and with the same rules as a tile's.

The rules are in `spec.registers`. A `locked` register refuses writes while STATUS.busy is 1, one of
`BETWEEN_SEQUENCES` also while STATUS.running is 1. The layout is our choice.
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
    """Errors of gate vectors: bits of the sticky ERROR register."""

    INPUT_SHORT = 1 << 0
    INPUT_LONG = 1 << 1
    INPUT_UNEXPECTED = 1 << 2


REGISTERS: tuple[Register, ...] = (
    Register("ID", 0x000, "ro", ID, word("ASCII 'GDPU'"), "Identifies a GDPU slice."),
    Register("VERSION", 0x004, "ro", VERSION, word("map version"), "Version of this register map."),
    Register(
        "SHAPE", 0x008, "ro", 0,
        (
            RegisterField("units", 0, 16, "LSTM units in the slice"),
            RegisterField("lanes", 16, 16, "pre-activations accepted per clock"),
        ),
        "Size of the slice.",
    ),
    Register(
        "CONTROL", 0x010, "wo", 0,
        (
            RegisterField("clear", 0, 1, "set hidden and cell state to 0"),
            RegisterField("start", 1, 1, "begin a sequence: send the stored hidden state"),
        ),
        "Starts an action; with both bits set, the clear comes first. Writes are refused while "
        "STATUS.running or STATUS.busy is 1. A sequence ends after LENGTH steps; only a reset of "
        "the chip ends one with LENGTH 0.",
        locked=True,
    ),
    Register(
        "STATUS", 0x014, "ro", 0,
        (
            RegisterField("busy", 0, 1, "a vector is in flight"),
            RegisterField("running", 1, 1, "a sequence is in progress"),
            RegisterField("error", 2, 1, "a bit of ERROR is set"),
        ),
        "Status of the slice. Between two steps of a sequence, `running` is 1 and `busy` is 0.",
    ),
    Register(
        "MODE", 0x018, "rw", 0,
        (
            RegisterField("north", 0, 1, "send packets to the north tile"),
            RegisterField("south", 1, 1, "send packets to the south tile"),
        ),
        "Destinations of the packets.",
        locked=True,
    ),
    Register(
        "UNITS", 0x01C, "rw", 1,
        (RegisterField("value", 0, 16, "1 to SHAPE.units"),),
        "LSTM units in use. A gate vector has four values per unit, a hidden state one.",
        locked=True,
    ),
    Register(
        "LENGTH", 0x020, "rw", 0, word("count"),
        "Steps of a sequence; 0: until a reset of the chip. Writes are refused while "
        "STATUS.running or STATUS.busy is 1.",
        locked=True,
    ),
    Register(
        "STREAMS", 0x024, "rw", 0,
        (
            RegisterField("first", 0, 8, "of the initial hidden state of a sequence"),
            RegisterField("stream", 8, 8, "of the hidden state after a step"),
            RegisterField("last", 16, 8, "of the hidden state after the last step"),
        ),
        "Preambles (stream numbers) of the packets.",
        locked=True,
    ),
    Register(
        "ERROR", 0x02C, "w1c", 0,
        flags(
            {
                Error.INPUT_SHORT: "a gate vector was too short",
                Error.INPUT_LONG: "a gate vector was too long",
                Error.INPUT_UNEXPECTED:
                    "a gate vector arrived outside of a sequence",
            }
        ),
        "Sticky errors. Missing values of a short vector read as 0; excess values and unexpected "
        "vectors are dropped. The slice keeps running.",
    ),
    Register("STEPS", 0x030, "ro", 0, word("count"), "Completed steps of the present or last "
        "sequence."),
    Register("VECTORS_IN", 0x034, "ro", 0, word("count"), "Gate vectors accepted."),
    Register("VECTORS_OUT", 0x038, "ro", 0, word("count"), "Packets sent."),
    *(
        _binary16(f"INPUT_SCALE_{gate.upper()}", 0x040 + 4 * index, formats.FP16_ONE,
                  f"Multiplies the INT8 pre-activations of gate {gate.upper()}.")
        for index, gate in enumerate(GATES)
    ),
    *(
        _binary16(f"INPUT_OFFSET_{gate.upper()}", 0x050 + 4 * index, 0,
                  f"Added to the product of gate {gate.upper()}.")
        for index, gate in enumerate(GATES)
    ),
    _binary16("OUTPUT_SCALE", 0x060, formats.FP16_ONE, "Multiplies each hidden value before "
        "rounding to INT8."),
    _binary16("OUTPUT_OFFSET", 0x064, 0, "Added to the product with OUTPUT_SCALE."),
)  # fmt: skip

BY_NAME: dict[str, Register] = {register.name: register for register in REGISTERS}

BETWEEN_SEQUENCES = ("CONTROL", "LENGTH")
"""Registers that refuse writes while STATUS.running or STATUS.busy is 1. A start within a sequence
would send `first` again, and tiles that wait for one packet of each part would get a surplus
one."""

HIDDEN_TABLE = RegisterTable("hidden_state", 0x4000, 4, "rw")
"""The hidden state: one word per unit, INT8 in the lowest byte (read sign-extended); 0 after
reset."""
CELL_TABLE = RegisterTable("cell_state", 0x8000, 4, "rw")
"""The cell state: one word per unit, binary16; 0 after reset."""


def tables(units: int) -> dict[RegisterTable, int]:
    """The tables of a slice of `units` LSTM units, and the number of entries of each."""
    return dict.fromkeys((HIDDEN_TABLE, CELL_TABLE), units)
