"""Conversions to and from binary16, each with one pipeline stage.

Published: ADC counts and INT8 partial sums are converted to FP16 on the way into the LDPU, and to
INT8 on the way out. Rounding to nearest even, saturation at +-127 and NaN to 0 are our choice.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.fp16 import MANTISSA
from caduceus.spec import formats

# The exponent of a value whose highest one is bit 0.
_UNIT = formats.FP16_BIAS


def leading_zeros(module: Module, value: Value, name: str) -> Signal:
    """Count the zeros above the highest one of `value`; its width minus one if `value` is 0.

    A binary search: each step keeps the half that contains the highest one.
    """
    levels = (len(value) - 1).bit_length()
    rest = Cat(Const(0, (1 << levels) - len(value)), value)
    count = Signal(levels, name=f"{name}_leading_zeros")
    for level in reversed(range(levels)):
        half = 1 << level
        empty = ~rest[-half:].any()
        module.d.comb += count[level].eq(empty)
        rest = Mux(empty, rest[:half], rest[-half:])
    return count


class Uint12ToFp16(wiring.Component):
    """An ADC count to binary16; counts above 2048 are rounded to nearest even.

    Latency: 1 clock of `sync`. Back-pressure: none.
    """

    LATENCY = 1

    count: In(formats.COUNT_BITS)
    value: Out(formats.FP16_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        zeros = leading_zeros(m, self.count, "count")
        normalised = Signal(formats.COUNT_BITS)
        mantissa = normalised[-MANTISSA:]
        # One bit is below the mantissa: if it is set, the value is a tie.
        up = normalised[0] & mantissa[0]
        exponent = _UNIT + formats.COUNT_BITS - 2 - zeros
        packed = (exponent << formats.FP16_FRACTION_BITS) + mantissa + up
        m.d.comb += normalised.eq(self.count << zeros)
        m.d.sync += self.value.eq(Mux(self.count.any(), packed, 0))
        return m


class Int8ToFp16(wiring.Component):
    """An INT8 activation or partial sum to binary16, exactly.

    Latency: 1 clock of `sync`. Back-pressure: none.
    """

    LATENCY = 1

    integer: In(formats.ACTIVATION_BITS)
    value: Out(formats.FP16_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sign = self.integer[-1]
        magnitude = Signal(formats.ACTIVATION_BITS)
        zeros = leading_zeros(m, magnitude, "magnitude")
        mantissa = (magnitude << zeros) << (MANTISSA - formats.ACTIVATION_BITS)
        exponent = _UNIT + formats.ACTIVATION_BITS - 2 - zeros
        packed = Signal(formats.FP16_BITS - 1)
        m.d.comb += [
            magnitude.eq(Mux(sign, -self.integer, self.integer)),
            packed.eq((exponent << formats.FP16_FRACTION_BITS) + mantissa[:MANTISSA]),
        ]
        m.d.sync += self.value.eq(Mux(magnitude.any(), Cat(packed, sign), 0))
        return m


class Fp16ToInt8(wiring.Component):
    """binary16 to INT8: nearest even, saturating at +-127; NaN becomes 0.

    Latency: 1 clock of `sync`. Back-pressure: none.
    """

    LATENCY = 1

    value: In(formats.FP16_BITS)
    integer: Out(formats.ACTIVATION_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fraction = self.value[: formats.FP16_FRACTION_BITS]
        exponent = self.value[formats.FP16_FRACTION_BITS : -1]
        sign = self.value[-1]
        nan = (exponent == formats.FP16_INFINITY >> formats.FP16_FRACTION_BITS) & fraction.any()
        # 2**(MAGNITUDE_BITS) and more saturates; below a quarter the result is 0.
        large = exponent >= _UNIT + formats.MAGNITUDE_BITS
        small = exponent < _UNIT - 2
        # The mantissa with MANTISSA bits below the point when the exponent is _UNIT - 2.
        fixed = Signal(formats.MAGNITUDE_BITS + MANTISSA + 1)
        m.d.comb += fixed.eq(
            Cat(fraction, 1) << (exponent - (_UNIT - 2))[: formats.MAGNITUDE_BITS.bit_length() + 1]
        )
        point = MANTISSA + 1
        whole, half, rest = fixed[point:], fixed[point - 1], fixed[: point - 1].any()
        rounded = Signal(formats.ACTIVATION_BITS)
        m.d.comb += rounded.eq(whole + (half & (rest | whole[0])))
        magnitude = Mux(large | rounded[-1], formats.INT8_MAX, rounded[: formats.MAGNITUDE_BITS])
        with m.If(nan | small):
            m.d.sync += self.integer.eq(0)
        with m.Else():
            m.d.sync += self.integer.eq(Mux(sign, -magnitude, magnitude))
        return m
