"""The packet input of a GDPU slice."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.axi_stream import AxiStream


class GateInput(wiring.Component):
    """Accepts packets from two sides, one at a time, and strips their preambles.

    If both sides offer a packet, side 0 is first. A packet without payload becomes one beat without
    values, so that the length check behind it reports it.

    Latency: none. Back-pressure: a packet waits for `accept`, for the packet before it, and for
    `output`.

    Attributes (domain `sync`):
        packets: from both sides. output: their payloads.
        accept: a packet may begin.
        wanted: a packet is expected; otherwise it is dropped.
        begins: pulse of one clock: an expected packet begins.
        unexpected: pulse of one clock: an unexpected packet begins.
        midway: the first beat of a packet has arrived, and its last has not.
    """

    def __init__(self, units: int) -> None:
        stream = AxiStream(units)
        super().__init__(
            {
                "packets": In(stream).array(2),
                "output": Out(stream),
                "accept": In(1),
                "wanted": In(1),
                "begins": Out(1),
                "unexpected": Out(1),
                "midway": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sink = self.output
        locked, discard = Signal(), Signal()
        side, locked_side = Signal(), Signal()
        data, keep = Signal.like(sink.tdata), Signal.like(sink.tkeep)
        valid, last, ready = Signal(), Signal(), Signal()
        m.d.comb += side.eq(Mux(locked, locked_side, ~self.packets[0].tvalid))
        for number in range(2):
            packet = self.packets[number]
            with m.If(side == number):
                m.d.comb += [
                    Cat(data, keep, last, valid).eq(
                        Cat(packet.tdata, packet.tkeep, packet.tlast, packet.tvalid)
                    ),
                    packet.tready.eq(ready),
                ]
        taken = valid & ready
        m.d.comb += [
            sink.tdata.eq(data),
            sink.tlast.eq(last),
            self.midway.eq(locked),
        ]
        with m.If(locked):
            m.d.comb += [
                sink.tkeep.eq(keep),
                sink.tvalid.eq(valid & ~discard),
                ready.eq(discard | sink.tready),
            ]
            with m.If(taken & last):
                m.d.sync += locked.eq(0)
        with m.Elif(self.accept):
            empty = last & self.wanted
            m.d.comb += [
                sink.tvalid.eq(valid & empty),
                ready.eq(~empty | sink.tready),
                self.begins.eq(taken & self.wanted),
                self.unexpected.eq(taken & ~self.wanted),
            ]
            with m.If(taken):
                m.d.sync += [
                    locked.eq(~last),
                    locked_side.eq(side),
                    discard.eq(~self.wanted),
                ]
        return m
