"""The packet output of a GDPU slice."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.common.vector_receiver import units_in_last_group
from caduceus.hdl.fabric.link_buffer import LinkBuffer
from caduceus.spec.fabric import STREAM_BITS
from caduceus.spec.formats import ACTIVATION_BITS


class HiddenOutput(wiring.Component):
    """Sends the hidden state of `length` units as a packet, to one side or to both in lockstep.

    Throughput: one beat per clock; the logic that sets `start` ensures that every value is stored
    in time.

    Latency: two clocks from `start` to the preamble, one more to the first values. Back-pressure: a
    beat waits until all enabled sides are ready.

    Attributes (domain `sync`):
        start: pulse of one clock: send a packet.
        preamble, length, enable: preamble and length of the packet, and mask of its sides; stable
            until `sent`. A packet without enabled side is dropped.
        read_beat, read: number of a beat, and its values one clock later.
        sent: pulse of one clock: the packet's last beat leaves for the buffers.
        packets: to both sides. empty: their buffers hold no beat.
    """

    def __init__(self, units: int, beats: int) -> None:
        self._units = units
        stream = AxiStream(units)
        super().__init__(
            {
                "start": In(1),
                "preamble": In(STREAM_BITS),
                "length": In(range(units * beats + 1)),
                "enable": In(2),
                "read_beat": Out(range(max(2, beats))),
                "read": In(units * ACTIVATION_BITS),
                "sent": Out(1),
                "packets": Out(stream).array(2),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sending = Signal()
        head = Signal()  # the preamble is next
        beat = Signal.like(self.read_beat)
        shift = (self._units - 1).bit_length()
        last = ~head & (beat == ((self.length - 1) >> shift)[: len(beat)])
        buffers = [LinkBuffer(self._units) for _ in range(2)]
        # All enabled sides are ready; they stay ready until a beat arrives.
        free = [buffers[side].input.tready | ~self.enable[side] for side in range(2)]
        go = sending & free[0] & free[1]
        for side, buffer in enumerate(buffers):
            m.submodules[f"buffer_{side}"] = buffer
            wiring.connect(m, buffer.output, wiring.flipped(self.packets[side]))
            m.d.comb += [
                buffer.input.tdata.eq(Mux(head, self.preamble, self.read)),
                buffer.input.tkeep.eq(Mux(last, units_in_last_group(self.length, self._units), ~0)),
                buffer.input.tlast.eq(last),
                buffer.input.tvalid.eq(go & self.enable[side]),
            ]
        m.d.comb += [
            self.empty.eq(buffers[0].empty & buffers[1].empty),
            self.sent.eq(go & last),
            # A memory answers one clock after its address.
            self.read_beat.eq(Mux(head, 0, Mux(go, beat + 1, beat))),
        ]
        with m.If(go):
            m.d.sync += [head.eq(0), beat.eq(self.read_beat), sending.eq(~last)]
        with m.If(self.start):
            m.d.sync += [sending.eq(1), head.eq(1)]
        return m
