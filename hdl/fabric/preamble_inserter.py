"""Conversion of result vectors to packets."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.axi_stream import AxiStream


class PreambleInserter(wiring.Component):
    """Inserts a beat with the preamble in front of every vector.

    Latency: none; a vector's first beat waits one clock while the preamble leaves. Back-pressure:
    passed from `packets` to `results`.

    Attributes (domain `sync`):
        results: bare vectors.
        stream: the preamble; stable while a vector is offered.
        packets: the same vectors as packets.
    """

    def __init__(self, units: int, stream_bits: int) -> None:
        stream = AxiStream(units)
        super().__init__({"results": In(stream), "stream": In(stream_bits), "packets": Out(stream)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        results, packets = self.results, self.packets
        inside = Signal()  # the preamble has left
        m.d.comb += [
            packets.tvalid.eq(results.tvalid),
            packets.tdata.eq(Mux(inside, results.tdata, self.stream)),
            packets.tkeep.eq(Mux(inside, results.tkeep, ~0)),
            packets.tlast.eq(results.tlast & inside),
            results.tready.eq(packets.tready & inside),
        ]
        with m.If(packets.tvalid & packets.tready):
            m.d.sync += inside.eq(~packets.tlast)
        return m
