"""binary16 fused multiply-add: rounded once, nearest even, subnormals kept.

Published: the LDPU and GDPU compute in FP16 fused multiply-adds. Rounding, subnormals and the one
canonical NaN are our choice (IEEE 754-2019 throughout).

Derivation of the widths. An operand is `mantissa * 2**(exponent - 25)` with an 11-bit mantissa
and an exponent of at least 1, so a product is 22 bits at `2**(ea + eb - 50)`. The addend is placed
`DISTANCE` bits above the product and shifted right to its place; the window holds every bit that
can decide the result:

    bit 43 .. 33   addend at its highest place: `DISTANCE` = 25 bits above the product's bit 0.
                   At a larger distance the product is less than an eighth of the addend's last
                   bit, so it cannot change the result, and the distance is clamped.
    bit 28 .. 7    product
    bit  6 .. 1    `GUARD` = 6 bits below it. An addend more than 6 bits below the product's bit 0
                   occurs only with products of two normal numbers, which have 21 bits: no
                   cancellation reaches that far down.
    bit  0         sticky bit: OR of all lower bits

Bit 43 also takes the carry of an addition, as the addend's top bit is 42 there.
"""

from collections.abc import Iterable

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.spec import formats

MANTISSA = formats.FP16_FRACTION_BITS + 1
EXPONENT_BITS = formats.FP16_EXPONENT_BITS
EXPONENT_MAX = (1 << EXPONENT_BITS) - 1
PRODUCT = 2 * MANTISSA
DISTANCE = 25
GUARD = 6
STICKY = 1
WINDOW = STICKY + GUARD + DISTANCE + MANTISSA + 1
SHIFT_MAX = DISTANCE + GUARD + MANTISSA
"""A right shift by this much leaves only the sticky bit of the addend."""
_LATE_LEVELS = 3
"""Number of normalization steps, of six, in the same pipeline stage as rounding."""


class _Unpacked:
    """The fields of a binary16 value, as combinational expressions."""

    def __init__(self, bits: Value) -> None:
        fraction = bits[: formats.FP16_FRACTION_BITS]
        exponent = bits[formats.FP16_FRACTION_BITS : formats.FP16_BITS - 1]
        normal = exponent.any()
        special = exponent == EXPONENT_MAX
        self.sign = bits[-1]
        self.mantissa = Cat(fraction, normal)
        # A subnormal has the exponent of the smallest normal.
        self.exponent = exponent | ~normal
        self.zero = ~bits[:-1].any()
        self.infinite = special & ~fraction.any()
        self.nan = special & fraction.any()


def _normalise(
    m: Module, levels: Iterable[int], value: Value, allowance: Value
) -> tuple[Value, Value]:
    """Shift `value` left by `2**level` for each level if no one is lost and `allowance` permits it.

    Returns:
        The shifted value, and the remaining allowance.
    """
    for level in levels:
        step = 1 << level
        taken = Signal(name=f"shift_{step}")
        shifted = Signal(len(value), name=f"normalised_{step}")
        allowed = Signal(len(allowance), name=f"allowance_{step}")
        m.d.comb += [
            taken.eq(~value[-step:].any() & allowance[level:].any()),
            shifted.eq(Mux(taken, Cat(Const(0, step), value[:-step]), value)),
            allowed.eq(Mux(taken, allowance - step, allowance)),
        ]
        value, allowance = shifted, allowed
    return value, allowance


class Fp16Fma(wiring.Component):
    """`q = a * b + c` (or `c - a * b`) in binary16, one result per clock.

    A NaN result is 0x7E00. Overflow gives infinity. An exact zero from opposite signs is +0.

    Latency: `Fp16Fma.LATENCY` clocks of `sync`. Back-pressure: none; the pipeline never stalls.
    """

    LATENCY = 4

    a: In(formats.FP16_BITS)
    b: In(formats.FP16_BITS)
    c: In(formats.FP16_BITS)
    q: Out(formats.FP16_BITS)

    def __init__(self, *, negate_product: bool = False) -> None:
        self._negate_product = negate_product
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        # Pipeline registers need no reset: the valid bit beside the datapath has one.
        m = Module()
        a, b, c = (_Unpacked(port) for port in (self.a, self.b, self.c))

        # Stage 1: multiply, and compute the distance between addend and product.
        product = Signal(PRODUCT, reset_less=True)
        addend = Signal(MANTISSA, reset_less=True)
        shift = Signal(range(SHIFT_MAX + 1), reset_less=True)
        # Exponent of the window; the sum of two exponents is at most 60, of finite values.
        base = Signal(range(2 * EXPONENT_MAX), reset_less=True)
        product_sign = Signal(reset_less=True)
        addend_sign = Signal(reset_less=True)
        nan = Signal(reset_less=True)
        infinite = Signal(reset_less=True)
        infinite_sign = Signal(reset_less=True)

        sign = a.sign ^ b.sign ^ self._negate_product
        exponents = a.exponent + b.exponent
        # The addend's bit 0 is c - (a + b) + 25 above the product's; starting at 25 above, it is
        # shifted right by:
        right = exponents - c.exponent
        product_infinite = a.infinite | b.infinite
        invalid = (a.infinite & b.zero) | (a.zero & b.infinite)
        m.d.sync += [
            product.eq(a.mantissa * b.mantissa),
            addend.eq(c.mantissa),
            shift.eq(Mux(right < 0, 0, Mux(right > SHIFT_MAX, SHIFT_MAX, right))),
            base.eq(Mux(right < 0, c.exponent, exponents)),
            product_sign.eq(sign),
            addend_sign.eq(c.sign),
            nan.eq(
                a.nan | b.nan | c.nan | invalid | (product_infinite & c.infinite & (sign ^ c.sign))
            ),
            infinite.eq(product_infinite | c.infinite),
            infinite_sign.eq(Mux(c.infinite, c.sign, sign)),
        ]

        # Stage 2: align and add.
        above = STICKY + GUARD
        high = Signal(WINDOW - 1 - STICKY)
        aligned = Signal(WINDOW)
        lost = Signal()
        total = Signal(WINDOW + 1)
        m.d.comb += [
            high.eq(addend << (GUARD + DISTANCE)),
            lost.eq((high & ((1 << shift) - 1)[: len(high)]).any()),
            aligned.eq(Cat(lost, high >> shift)),
        ]
        subtract = product_sign ^ addend_sign
        placed = product << above
        # One adder for both: to subtract, the addend is inverted, and `subtract` is the carry-in.
        addend_2 = Cat(aligned ^ subtract.replicate(WINDOW), subtract)
        m.d.comb += total.eq((Cat(subtract, placed) + Cat(subtract, addend_2))[1:])
        sum_2 = Signal.like(total, reset_less=True)
        # The opposite difference, so that a negative one needs no negation.
        other_2 = Signal(WINDOW, reset_less=True)
        base_2 = Signal.like(base, reset_less=True)
        subtract_2 = Signal(reset_less=True)
        sign_2 = Signal(reset_less=True)
        nan_2 = Signal(reset_less=True)
        infinite_2 = Signal(reset_less=True)
        m.d.sync += [
            sum_2.eq(total),
            other_2.eq(aligned - placed),
            base_2.eq(base),
            subtract_2.eq(subtract),
            nan_2.eq(nan),
            infinite_2.eq(infinite),
            sign_2.eq(Mux(infinite, infinite_sign, product_sign)),
        ]

        # Stage 3: take the magnitude, and bring its highest one near the top; stage 4 brings it
        # there, but not past the smallest exponent.
        # With the window's bit 43 worth 2**(base - 14), a left shift by `base` makes it the
        # smallest normal, so the shift stops there and the result is subnormal.
        # Leading-one search and shift share their steps: each step halves the remaining shift, and
        # is taken if the bits that it would lose are 0 and the exponent allows it.
        negative = subtract_2 & sum_2[-1]
        magnitude = Signal(WINDOW)
        m.d.comb += magnitude.eq(Mux(negative, other_2, sum_2))
        levels = range((WINDOW - 1).bit_length())
        value_3 = Signal(WINDOW, reset_less=True)
        allowance_3 = Signal.like(base, reset_less=True)
        sign_3 = Signal(reset_less=True)
        nan_3 = Signal(reset_less=True)
        infinite_3 = Signal(reset_less=True)
        value, allowance = _normalise(m, reversed(levels[_LATE_LEVELS:]), magnitude, base_2)
        m.d.sync += [
            value_3.eq(value),
            allowance_3.eq(allowance),
            sign_3.eq(sign_2 ^ (negative & ~infinite_2)),
            nan_3.eq(nan_2),
            infinite_3.eq(infinite_2),
        ]
        # Opposite signs that cancel give +0, as rounding to nearest demands.
        with m.If(~infinite_2 & subtract_2 & ~sum_2.any()):
            m.d.sync += sign_3.eq(0)

        # Stage 4: normalize and round. The mantissa's top bit adds one to the exponent field, and a
        # carry out of rounding does the same, so one addition packs every case.
        late = levels[:_LATE_LEVELS]
        normalised, exponent = _normalise(m, reversed(late), value_3, allowance_3)
        mantissa = normalised[-MANTISSA:]
        half = normalised[-MANTISSA - 1]
        # Bits this far down stay below the mantissa, whatever shifts remain.
        below = WINDOW - MANTISSA - 1
        far = below - sum(1 << level for level in late)
        rest = value_3[:far].any() | normalised[far:below].any()
        up = half & (rest | mantissa[0])
        packed = Signal(len(exponent) + formats.FP16_FRACTION_BITS + 1)
        field = packed[formats.FP16_FRACTION_BITS :]
        overflow = Signal()
        m.d.comb += [
            packed.eq((exponent << formats.FP16_FRACTION_BITS) + mantissa + up),
            # The field of infinity, or more.
            overflow.eq(field[:EXPONENT_BITS].all() | field[EXPONENT_BITS:].any()),
        ]
        with m.If(nan_3):
            m.d.sync += self.q.eq(formats.FP16_NAN)
        with m.Elif(infinite_3 | overflow):
            m.d.sync += self.q.eq(Cat(Const(formats.FP16_INFINITY, 15), sign_3))
        with m.Else():
            m.d.sync += self.q.eq(Cat(packed[:15], sign_3))
        return m
