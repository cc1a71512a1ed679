"""PCM writes: pulses, the program-and-verify procedure, and the model of a device's response.

Published (Le Gallo et al., Nature Electronics 2023): the diagonals, 32 write heads of 8 lines, all
pulse lengths and currents, the verify read, the margin, the number of iterations, and that the
current is updated in proportion to the error. The device model below, and the constants of the
iteration that the paper leaves open, are our choice; docs/pcm_write.md explains them. All
arithmetic is in integers, so that RTL and golden model give the same bits.

A diagonal has one device per row or per column, whichever are fewer. With at least as many columns
as rows, device k of diagonal d is in row k and column (k + d) modulo the number of columns;
otherwise it is in column k and row (k + d) modulo the number of rows. Line k belongs to device k,
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
"""Amplitude code of the RESET current, the largest of a square pulse."""
AMPLITUDE_UA = (125, 700)
"""Currents of amplitude code 0, which is also the SET current, and of `AMPLITUDE_MAX` (published).
The codes in between are equally spaced (our choice)."""


# --- ports of the array --------------------------------------------------------------------------
DIAGONAL_BITS = 10
"""Bits of a diagonal's number, for up to 1024 rows or columns."""
HEAD_BITS = 6
"""Bits of a head's number, for up to 64 heads."""
LINE_BITS = 9
"""Bits of the number of a head's line, for up to 259 lines."""


class Pulse(IntEnum):
    """Shape of a pulse: encoding of the array's `heat_set` port."""

    SQUARE = 0
    SET = 1


# --- the procedure -------------------------------------------------------------------------------
DEVICES_MAX = 2
"""Largest number of devices in use per polarity."""
TARGET_BITS = 9
TARGET_MAX = (1 << TARGET_BITS - 1) - 1
"""Largest target, in counts of a verify read; the smallest is its negative (our choice)."""
MARGIN_BITS = 8
MARGIN = 5
"""A device is done when the magnitude of its error, in counts, is below this (published)."""
ITERATION_BITS = 6
ITERATIONS = 30
"""Pulses after which a device is given up (published)."""
STEP_BITS = 8
STEP_FRACTION = 4
STEP = 12
"""Amplitude change of the next pulse per count of error, in 1/16 code (our choice)."""
FIRST = 96
"""Amplitude code to which the first pulse's change is added: 341 uA (our choice)."""
ERROR_BITS = 13
"""Signed: a 12-bit count minus a target."""

# --- how a device answers (our choice throughout) ------------------------------------------------
SET_MEAN, SET_SPREAD, SET_LIMIT = 348, 74, 1023
"""Conductance codes after SET: mean and standard deviation over devices, and the largest. A code
is 80.6 / 255 counts of a verify read at the nominal gain of `hermes`: 110 and 23.4 counts, so that
the 10th percentile is 80. Codes saturate at 255."""
SET_NOISE = 6
"""Standard deviation between two SETs of a device, in codes."""
SHIFT_SPREAD = 192
"""Standard deviation over devices of the programming curve's shift along the amplitude axis, in
1/16
code: 12 codes."""
JITTER = 64
"""Standard deviation of that shift between two pulses, in 1/16 code: 4 codes, 9 uA."""
RESET_NOISE = 5
"""Standard deviation, in codes, of the normal variable whose magnitude remains after a RESET."""
STUCK_SAMPLE = -3072
"""Devices whose SET sample is below this, three standard deviations, are stuck: no pulse changes
their code. One in 740."""
AMPLITUDE_FRACTION = 4
"""Places on the programming curve are in 1/16 amplitude code."""
MELT_AMPLITUDE, RESET_AMPLITUDE = 56, 200
"""A nominal device begins to melt at 251 uA, and is fully RESET at 576 uA."""
GROWTH, GROWTH_FRACTION = 128, 8
"""A square pulse that does not melt crystallizes: it moves a device this fraction, in 1/256, of the
distance to its SET conductance."""
CURVE_FRACTION = 8

ROW_SHIFT = 16
"""A device's samples are addressed by row << 16 | column, the tile, the number of the pulse (0 for
constants of the device), and a domain in place of the phase of a read
(`caduceus.spec.read_noise`)."""
DOMAIN_SET, DOMAIN_SHIFT, DOMAIN_PULSE = 0x80000000, 0x80000001, 0x80000002


def _curve() -> tuple[int, ...]:
    """By amplitude code, the fraction of the SET conductance that remains after a square pulse.

    In 1 / 2**CURVE_FRACTION, with one entry more than there are codes, for interpolation. Half a
    period of a cosine between melting and full RESET: the molten region grows slowly at first and
    closes the contact slowly at the end.
    """
    width = RESET_AMPLITUDE - MELT_AMPLITUDE
    places = [min(max(code - MELT_AMPLITUDE, 0), width) for code in range(AMPLITUDE_MAX + 2)]
    return tuple(round((1 + cos(pi * place / width)) / 2 * 2**CURVE_FRACTION) for place in places)


CURVE: tuple[int, ...] = _curve()


# --- sizes ---------------------------------------------------------------------------------------
def diagonals(chip: Chip) -> int:
    """Number of diagonals of an array of `chip`."""
    return max(chip.array.rows, chip.array.columns)


def lines(chip: Chip) -> int:
    """Number of devices per diagonal, which is the number of lines that the heads drive."""
    return min(chip.array.rows, chip.array.columns)


def head_lines(chip: Chip) -> int:
    """Neighboring lines per head, driven one after the other: the cycles of a diagonal."""
    return -(-lines(chip) // chip.pcm_write.heads)


def heads(chip: Chip) -> int:
    """Number of heads in use; the last may have fewer lines than the others."""
    return -(-lines(chip) // head_lines(chip))


def amplitude_ua(code: int) -> float:
    """Current of an amplitude code, in uA."""
    low, high = AMPLITUDE_UA
    return low + (high - low) * code / AMPLITUDE_MAX


@dataclass(frozen=True)
class Procedure:
    """Parameters of a diagonal's PCM write: fields of the registers PCM_WRITE and PROCEDURE.

    Attributes:
        devices: 1 (one device per polarity, ODP) or 2 (two, TDP); 0 only reads.
        margin: in counts; a device is done when the magnitude of its error is below.
        iterations: pulses after which a device is given up.
        step: amplitude change per count of error, in 1/16 code.
        first: amplitude code to which the first pulse's change is added.

    Raises:
        UserError: a value does not fit its field.
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
            demand_range(0, getattr(self, key), most, "PCM write", key)
