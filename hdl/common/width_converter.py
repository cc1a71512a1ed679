"""Conversion of a packet stream to another beat width."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ACTIVATION_BITS


class WidthConverter(wiring.Component):
    """Regroups the bytes of each packet; every output beat except a packet's last is full.

    A beat with missing bytes before the packet's end violates the stream's rules. Its missing bytes
    stay missing at the output, so that a length check behind it reports them.

    Latency: none between equal widths and to narrower beats; to wider beats, one clock after the
    last part arrived. Throughput: one beat per clock on the narrower side. Back-pressure: the input
    waits for the output.

    Attributes (domain `sync`):
        input: beats of `units_in` bytes; output: beats of `units_out` bytes.
        holds: part of a packet is inside.

    Raises:
        UserError: a width is not a power of two.
    """

    def __init__(self, units_in: int, units_out: int) -> None:
        for name, units in (("units_in", units_in), ("units_out", units_out)):
            if units < 1 or units.bit_count() != 1:
                raise UserError(f"WidthConverter: {name}: got {units}, expected a power of two")
        self._in, self._out = units_in, units_out
        super().__init__(
            {
                "input": In(AxiStream(units_in)),
                "output": Out(AxiStream(units_out)),
                "holds": Out(1),
            }
        )

    def _widen(self, m: Module) -> None:
        """Collect parts in the output register."""
        source, sink = self.input, self.output
        ratio = self._out // self._in
        part = Signal(range(ratio))  # position of the next part
        taken = sink.tvalid & sink.tready
        m.d.comb += [
            source.tready.eq(~sink.tvalid | sink.tready),
            self.holds.eq(sink.tvalid | (part != 0)),
        ]
        with m.If(taken):
            m.d.sync += sink.tvalid.eq(0)
        with m.If(source.tvalid & source.tready):
            complete = source.tlast | (part == ratio - 1)
            m.d.sync += [
                sink.tvalid.eq(complete),
                sink.tlast.eq(source.tlast),
                part.eq(Mux(complete, 0, part + 1)),
            ]
            for index in range(ratio):
                keep = sink.tkeep.word_select(index, self._in)
                data = sink.tdata.word_select(index, self._in * ACTIVATION_BITS)
                with m.If(part == index):
                    m.d.sync += [data.eq(source.tdata), keep.eq(source.tkeep)]
                if index:
                    # Clear the mask of the beat before.
                    with m.If(part == 0):
                        m.d.sync += keep.eq(0)

    def _narrow(self, m: Module) -> None:
        """Put one part of the input after another on the output."""
        source, sink = self.input, self.output
        ratio = self._in // self._out
        part = Signal(range(ratio))
        rest = Signal(self._in)  # mask of the parts after this one
        m.d.comb += [
            rest.eq(source.tkeep & ~((1 << self._out) - 1)),
            sink.tdata.eq(source.tdata[: len(sink.tdata)]),
            sink.tkeep.eq(source.tkeep[: self._out]),
        ]
        for index in range(1, ratio):
            with m.If(part == index):
                m.d.comb += [
                    rest.eq(source.tkeep & ~((1 << (index + 1) * self._out) - 1)),
                    sink.tdata.eq(source.tdata.word_select(index, len(sink.tdata))),
                    sink.tkeep.eq(source.tkeep.word_select(index, self._out)),
                ]
        # Before the packet's last beat, all parts are sent, empty or not.
        final = Mux(source.tlast, ~rest.any(), part == ratio - 1)
        m.d.comb += [
            sink.tvalid.eq(source.tvalid),
            sink.tlast.eq(source.tlast & final),
            source.tready.eq(sink.tready & final),
            self.holds.eq(part != 0),
        ]
        with m.If(sink.tvalid & sink.tready):
            m.d.sync += part.eq(Mux(final, 0, part + 1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self._in == self._out:
            connect(m, flipped(self.input), flipped(self.output))
        elif self._in < self._out:
            self._widen(m)
        else:
            self._narrow(m)
        return m
