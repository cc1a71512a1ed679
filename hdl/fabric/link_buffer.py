"""Two places for beats between a link and what reads it, with flip-flops at both ends."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.axi_stream import AxiStream


class LinkBuffer(wiring.Component):
    """A beat a clock, one clock of latency; `ready` and the outputs come from flip-flops.

    `ready`, once 1, stays so until a beat is taken: a multicast may wait until all its branches
    are ready and then move in lock step.

    Attributes (domain `sync`):
        input, output: streams of `units` INT8 values a beat.
        input_user, output_user: with `user` above 0, as many bits that go along with each beat.
        next_data: `output`'s tdata of the next clock, if it is valid then.
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
        held = Cat(sink.tdata, sink.tkeep, sink.tlast)
        if self._user:
            beat, held = Cat(beat, self.input_user), Cat(held, self.output_user)
        waiting = Signal.like(held, reset_less=True)
        waits = Signal()
        advance = ~sink.tvalid | sink.tready
        arrives = source.tvalid & source.tready
        m.d.comb += [
            source.tready.eq(~waits),
            self.empty.eq(~sink.tvalid),
            self.next_data.eq(
                Mux(advance, Mux(waits, waiting[: len(sink.tdata)], source.tdata), sink.tdata)
            ),
        ]
        with m.If(advance):
            m.d.sync += [sink.tvalid.eq(waits | arrives), waits.eq(0)]
            with m.If(waits):
                m.d.sync += held.eq(waiting)
            with m.Elif(arrives):
                m.d.sync += held.eq(beat)
        with m.Elif(arrives):
            m.d.sync += [waiting.eq(beat), waits.eq(1)]
        return m
