"""The receiving end of a stream: beats become groups of a vector, and lengths are checked."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.spec.formats import ACTIVATION_BITS


def units_in_last_group(length: Signal, units: int) -> Signal:
    """Mask (`units` bits) of the units in use in the last group of a vector of `length`."""
    if units == 1:
        return Cat(1)
    # length is 1 .. n * units; unit u is in use if u <= (length - 1) mod units.
    last = (length - 1)[: (units - 1).bit_length()]
    return Cat(last >= unit for unit in range(units))


class VectorReceiver(wiring.Component):
    """Numbers the groups of each vector, checks its length, and corrects a wrong one.

    Elements are INT8, and -128 is read as -127; with `raw` they are arbitrary bytes. A short vector
    is padded with zeros to `length`; the excess of a long one is dropped.

    Latency: none. Back-pressure: the stream waits while `ready` is 0, and while a short vector is
    padded.

    Attributes (domain `sync`):
        stream: vectors in.
        length: elements per vector, 1 or more; quasi-static.
        ready: the consumer accepts a group in this clock.
        valid, group, data: a group of the vector, and its number; units past the vector's end are
            0.
        last: this is the last group of a vector of `length`.
        padding: the vector was short: this group is padding.
        short, long: pulse of one clock: the vector was shorter or longer than `length`.
        midway: the first beat of a vector has arrived, and its last has not.
    """

    def __init__(self, units: int, groups: int, raw: bool = False) -> None:
        self._units, self._raw = units, raw
        super().__init__(
            {
                "stream": In(AxiStream(units)),
                "length": In(range(groups * units + 1)),
                "ready": In(1),
                "valid": Out(1),
                "group": Out(range(max(2, groups))),
                "data": Out(units * ACTIVATION_BITS),
                "last": Out(1),
                "padding": Out(1),
                "short": Out(1),
                "long": Out(1),
                "midway": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        stream, units = self.stream, self._units
        shift = (units - 1).bit_length()
        last_group = ((self.length - 1) >> shift)[: len(self.group)]
        wanted = Signal(units)
        complete = Signal()
        extra = Signal()
        damaged = Signal()  # a unit was missing in an earlier beat of the vector
        discarding = Signal()

        m.d.comb += [
            self.last.eq(self.group == last_group),
            wanted.eq(Mux(self.last, units_in_last_group(self.length, units), ~0)),
            complete.eq((stream.tkeep & wanted) == wanted),
            self.valid.eq(~discarding & (self.padding | stream.tvalid)),
            stream.tready.eq(discarding | (self.ready & ~self.padding)),
            extra.eq((stream.tkeep & ~wanted).any() | ~stream.tlast),
            self.midway.eq((self.group != 0) | discarding),
        ]
        for unit in range(units):
            value = stream.tdata.word_select(unit, ACTIVATION_BITS)
            use = wanted[unit] & stream.tkeep[unit] & ~self.padding
            # -128 is read as -127, so that it never enters the chip.
            lowest = 0 if self._raw else value == 1 << (ACTIVATION_BITS - 1)
            m.d.comb += self.data.word_select(unit, ACTIVATION_BITS).eq(Mux(use, value | lowest, 0))
        with m.If(self.valid & self.ready):
            with m.If(self.last):
                m.d.sync += [self.group.eq(0), self.padding.eq(0), damaged.eq(0)]
                with m.If(~self.padding):
                    m.d.comb += [self.long.eq(extra), self.short.eq(~complete | damaged)]
                    m.d.sync += discarding.eq(~stream.tlast)
            with m.Else():
                m.d.sync += self.group.eq(self.group + 1)
                with m.If(~self.padding):
                    m.d.sync += damaged.eq(damaged | ~complete)
                    with m.If(stream.tlast):
                        m.d.comb += self.short.eq(1)
                        m.d.sync += self.padding.eq(1)
        with m.If(discarding & stream.tvalid & stream.tlast):
            m.d.sync += discarding.eq(0)
        return m
