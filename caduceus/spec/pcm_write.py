"""PcmWrite of the PCM devices: pulses, procedure, and how a device of the model answers.

Published (Le Gallo et al., Nature Electronics 2023): the diagonals, 32 write heads of 8 lines, all
pulse lengths and currents, the verify read, the margin, the number of iterations, and that the
current is updated in proportion to the error. The device model below, and the constants of the
iteration that the record leaves open, are our choice; docs/pcm_write.md tells what they stand
for. Everything is in integers, so that RTL and golden model give the same bits.

A diagonal has a device in every row and every column of the smaller kind: device k of diagonal d
is, where there are at least as many columns as rows, in row k and column (k + d) modulo the number
of columns; otherwise in column k and row (k + d) modulo the number of rows. Line k belongs to it,
and head k // `head_lines(chip)` drives that line.
"""

from dataclasses import dataclass
from enum import IntEnum
from math import cos, pi

from caduceus.spec.chip import Chip
from caduceus.spec.errors import demand_range

# --- pulses and reads, in clocks of `mvm` (1 ns on hermes; published) ----------------------------
SQUARE_CLOCKS = 125
"""A square pulse: RESET, and those of the iteration."""
SET_CLOCKS = 250
SET_TRAILING_CLOCKS = 50
"""The trailing edge of a SET pulse, after `SET_CLOCKS`."""
VERIFY_PRECHARGE = 256
VERIFY_SLOTS = 512

AMPLITUDE_BITS = 8
AMPLITUDE_MAX = (1 << AMPLITUDE_BITS) - 1
"""Of a square pulse: the RESET current."""
AMPLITUDE_UA = (125, 700)
"""Currents of the amplitude codes 0, which is also the SET current, and `AMPLITUDE_MAX`
(published); codes in between are as far apart as each other (our choice)."""


# --- ports of the array --------------------------------------------------------------------------
DIAGONAL_BITS = 10
"""Number of a diagonal: as many as rows or columns, up to 1024."""
HEAD_BITS = 6
"""Number of a head, of 64 at most."""
LINE_BITS = 9
"""Number of a line of a head, of 259 at most."""


class Pulse(IntEnum):
    """Shape of a pulse: encoding of the array's `heat_set` port."""

    SQUARE = 0
    SET = 1


# --- the procedure -------------------------------------------------------------------------------
DEVICES_MAX = 2
"""Devices of a polarity that are in use."""
TARGET_BITS = 9
TARGET_MAX = (1 << TARGET_BITS - 1) - 1
"""Largest target, in counts of a verify read; the smallest is its negative (our choice)."""
MARGIN_BITS = 8
MARGIN = 5
"""A device is done when the error's magnitude is below (published)."""
ITERATION_BITS = 6
ITERATIONS = 30
"""Pulses after which a device is given up (published)."""
STEP_BITS = 8
STEP_FRACTION = 4
STEP = 12
"""Amplitude codes, in 1/16, by which a count of error moves the next pulse (our choice)."""
FIRST = 96
"""Amplitude code from which the first pulse is reckoned: 341 uA (our choice)."""
ERROR_BITS = 13
"""Signed: a 12-bit count less a target."""

# --- how a device answers (our choice throughout) ------------------------------------------------
SET_MEAN, SET_SPREAD, SET_LIMIT = 348, 74, 1023
"""Conductance codes after SET: mean and standard deviation over devices, and the largest. A code
is 80.6 / 255 counts of a verify read at the nominal gain of `hermes`: 110 and 23.4 counts, so that
the 10th percentile is 80. Codes end at 255: a device whose conductance would be larger has that."""
SET_NOISE = 6
"""Standard deviation from one SET of a device to the next, in codes."""
SHIFT_SPREAD = 192
"""Of the programming curve along the amplitude axis, over devices: 12 amplitude codes, in 1/16."""
JITTER = 64
"""Likewise from one pulse to the next: 4 amplitude codes, 9 uA."""
RESET_NOISE = 5
"""Codes: what is left after a RESET is the magnitude of a normal variable of this deviation."""
STUCK_SAMPLE = -3072
"""Devices whose draw of the SET conductance is below, three standard deviations, are stuck: they
keep the code that they have whatever happens. One in 740."""
AMPLITUDE_FRACTION = 4
"""Places on the programming curve are in 1/16 amplitude code."""
MELT_AMPLITUDE, RESET_AMPLITUDE = 56, 200
"""A nominal device begins to melt at 251 uA, and is fully RESET at 576 uA."""
GROWTH, GROWTH_FRACTION = 128, 8
"""A square pulse that does not melt crystallises: it brings a device this part, in 1/256, of its
way to the SET conductance."""
CURVE_FRACTION = 8

ROW_SHIFT = 16
"""A device's samples are addressed by row << 16 | column, tile, number of the pulse (0 for what
does not change), and one of these in place of the phase of a read (`caduceus.spec.read_noise`)."""
DOMAIN_SET, DOMAIN_SHIFT, DOMAIN_PULSE = 0x80000000, 0x80000001, 0x80000002


def _curve() -> tuple[int, ...]:
    """By amplitude code, the part of the SET conductance that is left after a square pulse.

    In 1 / 2**CURVE_FRACTION; one more than there are codes, for interpolation. Half a period of a
    cosine between melting and full RESET: the molten region grows slowly at first, and takes the
    rest of the contact slowly at last.
    """
    width = RESET_AMPLITUDE - MELT_AMPLITUDE
    places = [min(max(code - MELT_AMPLITUDE, 0), width) for code in range(AMPLITUDE_MAX + 2)]
    return tuple(round((1 + cos(pi * place / width)) / 2 * 2**CURVE_FRACTION) for place in places)


CURVE: tuple[int, ...] = _curve()


# --- sizes ---------------------------------------------------------------------------------------
def diagonals(chip: Chip) -> int:
    """Diagonals of an array of `chip`."""
    return max(chip.array.rows, chip.array.columns)


def lines(chip: Chip) -> int:
    """Devices on each diagonal, and so lines that heads drive."""
    return min(chip.array.rows, chip.array.columns)


def head_lines(chip: Chip) -> int:
    """Neighbouring lines that a head serves, one after the other: the cycles of a diagonal."""
    return -(-lines(chip) // chip.pcm_write.heads)


def heads(chip: Chip) -> int:
    """Heads in use; the last may have fewer lines than the others."""
    return -(-lines(chip) // head_lines(chip))


def amplitude_ua(code: int) -> float:
    """Current of an amplitude code, in uA."""
    low, high = AMPLITUDE_UA
    return low + (high - low) * code / AMPLITUDE_MAX


@dataclass(frozen=True)
class Procedure:
    """How a diagonal is programmed: fields of the registers PCM_WRITE and PROCEDURE.

    Attributes:
        devices: 1 (ODP) or 2 (TDP); 0 only reads.
        margin: counts; an error is within if its magnitude is below.
        iterations: pulses after which a device is given up.
        step: amplitude codes in 1/16 for a count of error.
        first: amplitude code from which the first pulse is reckoned.

    Raises:
        UserError: a number does not fit its field.
    """

    devices: int
    margin: int = MARGIN
    iterations: int = ITERATIONS
    step: int = STEP
    first: int = FIRST

    def __post_init__(self) -> None:
        for key, most in (
            ("devices", DEVICES_MAX),
            ("margin", (1 << MARGIN_BITS) - 1),
            ("iterations", (1 << ITERATION_BITS) - 1),
            ("step", (1 << STEP_BITS) - 1),
            ("first", AMPLITUDE_MAX),
        ):
            demand_range(0, getattr(self, key), most, "procedure of programming", key)
