"""A pipeline stage on a register bus."""

from amaranth.hdl import Module
from amaranth.lib import wiring


def pass_on(m: Module, bus: wiring.PureInterface, inner: wiring.PureInterface) -> None:
    """Put a pipeline stage between `bus` and `inner`; `inner` is stable while no access is pending.

    Latency: one clock to `inner` and one back.
    """
    m.d.sync += bus.done.eq(inner.request & inner.done)
    with m.If(~inner.request & bus.request & ~bus.done):
        m.d.sync += [
            inner.request.eq(1),
            inner.write.eq(bus.write),
            inner.address.eq(bus.address),
            inner.write_data.eq(bus.write_data),
        ]
    with m.If(inner.request & inner.done):
        m.d.sync += [
            inner.request.eq(0),
            bus.error.eq(inner.error),
            bus.read_data.eq(inner.read_data),
        ]
