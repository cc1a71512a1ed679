"""The way into a tile that is alone: what its link controller does for one on a chip."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.fabric.link_buffer import LinkBuffer
from caduceus.spec.fabric import PART_BITS, PARTS


class PacketAdmission(wiring.Component):
    """Lets the packets of a stream in, each when there is room for its part.

    One for which there is none waits, and so do all behind it: who sends them knows the order.

    Latency: a clock. Beats follow each other one a clock.

    Attributes (domain `sync`):
        input, output: streams; input_part, output_part: with every beat, which part its packet is.
        room: a bit a part: there is room for a packet of it.
        take, take_part: one clock, and of which part: a packet is let in.
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
        # Who has no beat to show need not say of which part it is.
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
