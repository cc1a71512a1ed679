"""A two-place buffer at the end of a link, registered at both ends."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.axi_stream import AxiStream


class LinkBuffer(wiring.Component):
    """A skid buffer: `tready` and all outputs come from flip-flops.

    Once 1, `input.tready` stays 1 until a beat is accepted. A multicast can therefore wait until
    all its branches are ready and then move in lockstep.

    Latency: one clock. Throughput: one beat per clock. Back-pressure: two beats are held, then the
    input waits.

    Attributes (domain `sync`):
        input, output: streams of `units` INT8 values per beat.
        input_user, output_user: sideband of `user` bits with each beat, if `user` is above 0.
        next_data: `output.tdata` of the next clock, provided that `output.tvalid` is 1 then.
        empty: no beat is held.
    """

    def __init__(self, units: int, user: int = 0) -> None:
        self._user = user
        stream = AxiStream(units)
        super().__init__(
            {
                "input": In(stream),
                "output": Out(stream),
                **({"input_user": In(user), "output_user": Out(user)} if user else {}),
                "next_data": Out(stream.members["tdata"].shape),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        source, sink = self.input, self.output
        beat = Cat(source.tdata, source.tkeep, source.tlast)
        output = Cat(sink.tdata, sink.tkeep, sink.tlast)
        if self._user:
            beat, output = Cat(beat, self.input_user), Cat(output, self.output_user)
        # One word, which a simulator moves at once.
        held = Signal(len(output), reset_less=True)
        waiting = Signal.like(held)
        waits = Signal()
        advance = ~sink.tvalid | sink.tready
        arrives = source.tvalid & source.tready
        m.d.comb += [
            output.eq(held),
            source.tready.eq(~waits),
            self.empty.eq(~sink.tvalid),
            self.next_data.eq(
                Mux(advance, Mux(waits, waiting[: len(sink.tdata)], source.tdata), sink.tdata)
            ),
        ]
        with m.If(advance):
            m.d.sync += [sink.tvalid.eq(waits | arrives), waits.eq(0)]
            with m.If(waits | arrives):
                m.d.sync += held.eq(Mux(waits, waiting, beat))
        with m.Elif(arrives):
            m.d.sync += [waiting.eq(beat), waits.eq(1)]
        return m
