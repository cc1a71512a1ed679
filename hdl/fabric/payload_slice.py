"""The slice of a packet's payload that the tile itself keeps."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.fabric.link_sizes import LinkSizes


class PayloadSlice(wiring.Component):
    """Follows a packet beat by beat, and says which of its values are in the route's slice.

    Latency: outputs are about the beat that is to move, in the same clock.

    Attributes (domain `sync`):
        begin: one clock, before the packet's preamble can move; with it `start` and `length`, its
            slice in bytes. `start` is a multiple of a beat's units.
        take: the beat moves: the preamble first, then payload.
        keeps: it has values of the slice; kept: these, a bit each.
        ends: no more values of the slice follow it.
        nothing: neither it nor one before it has values of the slice.
        full: with it the payload is as long as it may be.
    """

    def __init__(self, sizes: LinkSizes) -> None:
        self._sizes = sizes
        super().__init__(
            {
                "begin": In(1),
                "start": In(sizes.length_bits),
                "length": In(sizes.length_bits),
                "take": In(1),
                "keeps": Out(1),
                "kept": Out(sizes.units),
                "ends": Out(1),
                "nothing": Out(1),
                "full": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        units, bits = self._sizes.units, self._sizes.length_bits
        preamble = Signal()  # has not moved yet
        skip = Signal(bits)  # bytes to come before the slice
        left = Signal(bits)  # bytes of the slice to come
        begun = Signal()
        room = Signal(bits)  # bytes that may come
        m.d.comb += [
            self.keeps.eq(~preamble & (skip == 0) & (left != 0)),
            self.kept.eq(Cat(left > unit for unit in range(units))),
            self.ends.eq(left <= units),
            self.nothing.eq(~begun & ~self.keeps),
            self.full.eq(~preamble & (room <= units)),
        ]
        with m.If(self.begin):
            m.d.sync += [
                preamble.eq(1),
                skip.eq(self.start),
                left.eq(self.length),
                begun.eq(0),
                room.eq(self._sizes.payload_max),
            ]
        with m.If(self.take):
            m.d.sync += preamble.eq(0)
            with m.If(~preamble):
                m.d.sync += room.eq(room - units)
            with m.If(self.keeps):
                m.d.sync += [left.eq(Mux(left > units, left - units, 0)), begun.eq(1)]
            with m.Elif(~preamble & (skip != 0)):
                m.d.sync += skip.eq(skip - units)
        return m
