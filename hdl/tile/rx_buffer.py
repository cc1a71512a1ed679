"""The RX buffer: vectors wait here for their results and do not block links.

(Not published, so our choice.)
"""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.spec.chip import Chip


class RxBuffer(wiring.Component):
    """A FIFO of `buffers.rx` bytes.

    Latency: none while it is empty. A single waiting beat stays at the output; later ones pass
    through a memory, with two clocks for the first. Throughput: one beat per clock. Back-pressure:
    the input waits while the FIFO is full.

    Attributes (domain `sync`):
        input, output: streams.
        holds: a beat is inside.
        midway: the first beat of a packet has arrived, and its last has not.
    """

    def __init__(self, chip: Chip) -> None:
        self._depth = chip.buffers.rx // chip.link.units
        stream = AxiStream(chip.link.units)
        super().__init__(
            {"input": In(stream), "output": Out(stream), "holds": Out(1), "midway": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        source, sink = self.input, self.output
        comes = Cat(source.tdata, source.tkeep, source.tlast)
        goes = Cat(sink.tdata, sink.tkeep, sink.tlast)
        m.submodules.queue = queue = SyncFIFOBuffered(width=len(comes), depth=self._depth)
        # A beat that arrived while the FIFO was empty and was not accepted: the stream must keep
        # it.
        first, waits = Signal.like(comes), Signal()
        queued = queue.level != 0
        m.d.comb += [
            self.holds.eq(waits | queued),
            source.tready.eq(queue.w_rdy | ~self.holds),
            queue.w_data.eq(comes),
            queue.w_en.eq(source.tvalid & self.holds),
        ]
        with m.If(waits):
            m.d.comb += [sink.tvalid.eq(1), goes.eq(first)]
            m.d.sync += waits.eq(~sink.tready)
        with m.Elif(queued):
            m.d.comb += [
                sink.tvalid.eq(queue.r_rdy),
                goes.eq(queue.r_data),
                queue.r_en.eq(sink.tready),
            ]
        with m.Else():
            m.d.comb += [sink.tvalid.eq(source.tvalid), goes.eq(comes)]
            m.d.sync += [first.eq(comes), waits.eq(source.tvalid & ~sink.tready)]
        with m.If(source.tvalid & source.tready):
            m.d.sync += self.midway.eq(~source.tlast)
        return m
