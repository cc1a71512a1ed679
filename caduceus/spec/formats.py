"""Number formats and encodings of the chip.

Sources: INT8 as sign and 7-bit magnitude, 128 PWM slots, the four read phases and the dual 12-bit
counters are published (Khaddam-Aljameh et al., JSSC 2022; Le Gallo et al., Nature Electronics
2023). Widths and roundings that the papers leave open are our choice and say so.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

# --- activations -------------------------------------------------------------------------------
MAGNITUDE_BITS = 7
"""Bits of an activation's magnitude: the pulse length in slots."""
SLOTS = 1 << MAGNITUDE_BITS
"""PWM slots in one integration window; a slot is one `mvm` clock."""
INT8_MAX = SLOTS - 1
"""Largest activation; the smallest is its negative. -128 is read as -127 (our choice)."""
ACTIVATION_BITS = MAGNITUDE_BITS + 1

# --- devices -----------------------------------------------------------------------------------
DEVICES = ("g1_plus", "g2_plus", "g1_minus", "g2_minus")
"""The four devices of a unit cell, in the order of the last axis of every code array."""
DEVICE_BITS = 8
DEVICE_MAX = (1 << DEVICE_BITS) - 1
CELL_MAX = 2 * DEVICE_MAX
"""Largest absolute value of a cell: both devices of one polarity at their largest code."""

CHARGE_LIMIT = 1 << 24
"""Column charges are below this, so that binary32 holds every one exactly."""

# --- analog-to-digital conversion (fixed-point positions are our choice) -------------------------
COUNT_BITS = 12
COUNT_MAX = (1 << COUNT_BITS) - 1
GAIN_BITS = 24
GAIN_FRACTION = 32
"""A gain code g stands for g / 2**32 counts per unit of charge."""
OFFSET_BITS = 16
OFFSET_FRACTION = 8
"""An offset code is signed, in 1/256 count."""
REFERENCE_BITS = 16
"""A reference current is signed, in units of charge per slot (our choice)."""
NOISE_BITS = 16
NOISE_FRACTION = 8
"""A noise code is the standard deviation of a read in 1/256 count."""
SAMPLE_FRACTION = 10
"""A read-noise sample has standard deviation 2**10 (see `caduceus.spec.read_noise`)."""


class ReadMode(StrEnum):
    """How signs are handled in a matrix-vector multiplication (MVM)."""

    ONE_PHASE = "1-phase"
    FOUR_PHASE = "4-phase"


class Steer(IntEnum):
    """Which of a column's two counters a window adds to: encoding of the array's `steer` port."""

    BY_SIGN = 0
    P = 1
    N = 2


@dataclass(frozen=True)
class Phase:
    """One integration window of an MVM.

    Attributes:
        drive_positive / drive_negative: whether rows with positive / negative input are pulsed.
        select_plus / select_minus: whether the devices of that weight polarity are connected.
        steer: the counter that the charge goes to.
    """

    drive_positive: bool
    drive_negative: bool
    select_plus: bool
    select_minus: bool
    steer: Steer


PHASES: dict[ReadMode, tuple[Phase, ...]] = {
    ReadMode.ONE_PHASE: (Phase(True, True, True, True, Steer.BY_SIGN),),
    # The order of the four is our choice; the published record only names the combinations.
    ReadMode.FOUR_PHASE: (
        Phase(True, False, True, False, Steer.P),
        Phase(False, True, False, True, Steer.P),
        Phase(True, False, False, True, Steer.N),
        Phase(False, True, True, False, Steer.N),
    ),
}

# --- binary16 ----------------------------------------------------------------------------------
FP16_BITS = 16
FP16_EXPONENT_BITS = 5
FP16_FRACTION_BITS = 10
FP16_BIAS = 15
FP16_NAN = 0x7E00
"""The one NaN that leaves any unit (our choice)."""
FP16_INFINITY = 0x7C00
FP16_ONE = 0x3C00


@dataclass(frozen=True)
class ColumnConstant:
    """One binary16 constant of an LDPU column; `index` is its word within the column's block."""

    name: str
    index: int
    reset: int
    doc: str


COLUMN_CONSTANTS: tuple[ColumnConstant, ...] = (
    ColumnConstant("gain_p", 0, FP16_ONE, "multiplies the P count"),
    ColumnConstant("gain_n", 1, FP16_ONE, "multiplies the N count, which is subtracted"),
    ColumnConstant("offset", 2, 0, "added to the corrected P count"),
    ColumnConstant("scale", 3, FP16_ONE, "affine scale of the corrected result"),
    ColumnConstant("bias", 4, 0, "affine offset of the corrected result"),
)
