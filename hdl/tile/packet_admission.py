"""Admission control for a stand-alone tile; on a chip the link controller does this."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.fabric.link_buffer import LinkBuffer
from caduceus.spec.fabric import PART_BITS, PARTS


class PacketAdmission(wiring.Component):
    """Admits a stream's packets, each when its part has room.

    Latency: one clock. Throughput: one beat per clock. Back-pressure: a packet without room waits,
    and so do all packets behind it: the sender must keep the tile's order.

    Attributes (domain `sync`):
        input, output: streams; input_part, output_part: part number of the packet, with every beat.
        room: one bit per part: there is room for a packet of that part.
        take, take_part: pulse of one clock, and the part: a packet is admitted.
    """

    def __init__(self, units: int) -> None:
        self._units = units
        stream = AxiStream(units)
        super().__init__(
            {
                "input": In(stream),
                "input_part": In(PART_BITS),
                "output": Out(stream),
                "output_part": Out(PART_BITS),
                "room": In(PARTS),
                "take": Out(1),
                "take_part": Out(PART_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = LinkBuffer(self._units, PART_BITS)
        source, inside = self.input, Signal()
        # `input_part` is undefined while no beat is valid.
        admits = inside | (source.tvalid & self.room.bit_select(self.input_part, 1))
        comes = source.tvalid & source.tready
        connect(m, buffer.output, flipped(self.output))
        m.d.comb += [
            buffer.input.tdata.eq(source.tdata),
            buffer.input.tkeep.eq(source.tkeep),
            buffer.input.tlast.eq(source.tlast),
            buffer.input.tvalid.eq(source.tvalid & admits),
            buffer.input_user.eq(self.input_part),
            source.tready.eq(buffer.input.tready & admits),
            self.output_part.eq(buffer.output_user),
            self.take.eq(comes & ~inside),
            self.take_part.eq(self.input_part),
        ]
        with m.If(comes):
            m.d.sync += inside.eq(~source.tlast)
        return m
