"""Packets from beats of one width to beats of another."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ACTIVATION_BITS


class WidthConverter(wiring.Component):
    """Regroups the bytes of each packet; every beat that leaves is full but for a packet's last.

    A beat with bytes missing before the packet's end, which is against the stream's rules, keeps
    its width: the bytes that are missing stay missing, so that whoever counts sees it.

    Latency: none between equal widths and towards narrower beats; towards wider ones a beat leaves
    one clock after its last part came. In all cases a beat a clock on the narrower side.

    Attributes (domain `sync`):
        input: beats of `units_in` bytes; output: beats of `units_out` bytes.
        holds: a part of a packet is inside.

    Raises:
        UserError: a width is not a power of two.
    """

    def __init__(self, units_in: int, units_out: int) -> None:
        for units in (units_in, units_out):
            if units < 1 or units.bit_count() != 1:
                raise UserError(
                    f"WidthConverter from {units_in} to {units_out} bytes: both must be powers of "
                    "two"
                )
        self._in, self._out = units_in, units_out
        super().__init__(
            {
                "input": In(AxiStream(units_in)),
                "output": Out(AxiStream(units_out)),
                "holds": Out(1),
            }
        )

    def _widen(self, m: Module) -> None:
        """Collect parts in the register that is the output."""
        source, sink = self.input, self.output
        ratio = self._out // self._in
        part = Signal(range(ratio))  # where the next one goes
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
                    # What an earlier beat left behind.
                    with m.If(part == 0):
                        m.d.sync += keep.eq(0)

    def _narrow(self, m: Module) -> None:
        """Show one part of the input after another."""
        source, sink = self.input, self.output
        ratio = self._in // self._out
        part = Signal(range(ratio))
        rest = Signal(self._in)  # what the parts after this one hold
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
        # Before the packet's end, all parts go, empty or not.
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
