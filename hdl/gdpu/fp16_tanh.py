"""The hyperbolic tangent, piecewise linear with the table in `caduceus.spec.gdpu`."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.fp16 import Fp16Fma
from caduceus.spec import formats, gdpu

_SIGN = 1 << formats.FP16_BITS - 1


def _at_least(x: Value, threshold: int) -> Value:
    """Whether binary16 `x`, not a NaN, is at least the constant `threshold`; -0 equals +0."""
    size = threshold & ~_SIGN
    if threshold & _SIGN:
        return ~x[-1] | (x[:-1] <= size)
    return (~x[-1] & (x[:-1] >= size)) | ((x[:-1] == 0) & (size == 0))


class Fp16Tanh(wiring.Component):
    """`q = tanh(x)` in binary16 with an error up to `gdpu.TANH_ERROR`, one result per clock.

    Published: 17 comparisons select one of 18 bins, whose line one fused multiply-add evaluates.

    Latency: `Fp16Tanh.LATENCY` clocks of `sync`. Back-pressure: none; the pipeline never stalls.
    """

    LATENCY = 1 + Fp16Fma.LATENCY

    x: In(formats.FP16_BITS)
    q: Out(formats.FP16_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.line = line = Fp16Fma()
        m.submodules.table = table = Memory(
            shape=2 * formats.FP16_BITS,
            depth=gdpu.BINS,
            init=[
                offset << formats.FP16_BITS | slope
                for slope, offset in zip(gdpu.SLOPES, gdpu.OFFSETS, strict=True)
            ],
        )
        lines = table.read_port()  # answers one clock later
        # Thresholds ascend, so the comparisons form a thermometer code.
        reached = [_at_least(self.x, threshold) for threshold in gdpu.THRESHOLDS]
        outermost = ~reached[0] | reached[-1]
        nan = self.x[:-1] > formats.FP16_INFINITY
        value = Signal(formats.FP16_BITS, reset_less=True)
        m.d.sync += value.eq(Mux(outermost & ~nan, 0, self.x))
        m.d.comb += [
            lines.addr.eq(sum(reached)),
            line.a.eq(lines.data[: formats.FP16_BITS]),
            # Infinity times a slope of 0 would be a NaN; a NaN must stay one.
            line.b.eq(value),
            line.c.eq(lines.data[formats.FP16_BITS :]),
            self.q.eq(line.q),
        ]
        return m
