"""The slice of a packet's payload that the tile itself keeps."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.fabric.link_sizes import LinkSizes


class PayloadSlice(wiring.Component):
    """Follows a packet beat by beat, and marks the values in the route's slice.

    Latency: none; the outputs refer to the present beat.

    Attributes (domain `sync`):
        begin: pulse of one clock before the packet's preamble moves, with `start` and `length`, the
            slice in bytes. `start` is a multiple of a beat's units.
        take: the beat moves: the preamble first, then payload.
        keeps: the beat has values in the slice; kept: mask of these values.
        ends: the slice ends with this beat or before.
        nothing: neither this beat nor an earlier one has values in the slice.
        full: with this beat the payload reaches its largest length.
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
        preamble = Signal()  # the preamble has not moved yet
        skip = Signal(bits)  # remaining bytes before the slice
        left = Signal(bits)  # remaining bytes of the slice
        begun = Signal()
        room = Signal(bits)  # remaining bytes up to the largest payload
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
