"""The link controller: packets from links, host and LDPU to links, host and the tile's own inputs.

Published: preambles are inserted at the output and checked at the input, tables are static,
packets may be multicast, and a receiver may keep a slice of the payload. The packet switch, its
arbitration and its ready/valid flow control are our choice.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, DomainRenamer, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.fabric.arbiter import Arbiter
from caduceus.hdl.fabric.link_buffer import LinkBuffer
from caduceus.hdl.fabric.link_credit import InputCredit, RxCredit
from caduceus.hdl.fabric.link_sizes import LinkSizes
from caduceus.hdl.fabric.link_source import LinkSource
from caduceus.hdl.fabric.route_table import RouteTable, RouteWrite
from caduceus.spec import fabric


class LinkController(wiring.Component):
    """A packet switch with a static route table.

    Contract: a packet's beats stay contiguous and in order on every output. A packet waits until
    all its outputs are free, holds them until its last beat, and moves to all of them in lockstep.

    Back-pressure: an output that is not ready stalls the packet that holds it. Waiting packets are
    served by `Arbiter`. A packet for INPUT or RX sends no request while there is no room for its
    part, so that it blocks only later packets of the same source.

    Errors: a packet without route entry or payload is dropped and reported. A payload longer than
    `fabric.payload_max` is reported and truncated.

    Latency: three clocks for the preamble; each later beat follows one clock after the one before.

    Attributes (domain `sync`):
        routes: table writes. A packet that arrives two clocks later uses the new entry, which is
            before the next access of the host; quasi-static while packets are in flight.
        tx_stream: preamble of the tile's own results; quasi-static.
        inputs: one stream per `fabric.sources(chip)`. The last carries bare result vectors, the
            others packets.
        outputs: one stream per `fabric.sinks(chip)`. The last two carry bare vectors, the others
            packets.
        part: part number of the packet to INPUT, with every beat.
        credit, rx_credit: room for parts at INPUT and RX, see `InputCredit` and `RxCredit`.
        unknown, empty, too_long: pulse of one clock: a packet had no route entry; had no payload,
            or none in the tile's slice; had a too long payload.
        error_stream: preamble of the last packet with an error.
        packet_in, packet_out: pulse of one clock: a packet from a link or the host was granted its
            outputs; a packet was granted outputs among links and host.
        busy: a packet is inside.
    """

    def __init__(self, sizes: LinkSizes, arbiter_domain: str = "sync") -> None:
        """Make a controller; the arbiter's domain is its own: its turn moves in every clock."""
        self._sizes, self._arbiter_domain = sizes, arbiter_domain
        stream = AxiStream(sizes.units)
        super().__init__(
            {
                "routes": In(RouteWrite(sizes)),
                "tx_stream": In(sizes.stream_bits),
                "inputs": In(stream).array(len(sizes.sources)),
                "outputs": Out(stream).array(len(sizes.sinks)),
                "part": Out(sizes.part_bits),
                "credit": Out(InputCredit(sizes.parts)),
                "rx_credit": Out(RxCredit(sizes.parts)),
                "unknown": Out(1),
                "empty": Out(1),
                "too_long": Out(1),
                "error_stream": Out(sizes.stream_bits),
                "packet_in": Out(1),
                "packet_out": Out(1),
                "busy": Out(1),
            }
        )

    def _make_sources(self, m: Module, arbiter: Arbiter, table: RouteTable) -> list[LinkSource]:
        """Make the sources, and connect them to route table, arbiter and credits."""
        sizes = self._sizes
        sources = []
        for index, name in enumerate(sizes.sources):
            source = LinkSource(sizes, results=name == fabric.TX)
            m.submodules[f"from_{name}"] = source
            connect(m, flipped(self.inputs[index]), source.packets)
            connect(m, source.lookup, table.lookups[index])
            m.d.comb += [
                arbiter.wanted[index].eq(source.wanted),
                source.grant.eq(arbiter.grant[index]),
                source.credit.room.eq(self.credit.room),
                source.rx_credit.room.eq(self.rx_credit.room),
            ]
            sources.append(source)
        m.d.comb += [
            sources[-1].tx_stream.eq(self.tx_stream),
            arbiter.free.eq(~_any(source.connection.hold for source in sources)),
            self.packet_in.eq(arbiter.grant[:-1].any()),
        ]
        return sources

    def _make_sinks(self, m: Module, sources: Sequence[LinkSource]) -> list[LinkBuffer]:
        """Make the sinks: a multiplexer for the packet that holds the sink, and a buffer.

        The buffer registers the output, and its `tready` stays 1 until a beat arrives, so that a
        multicast can wait for all its branches.
        """
        sizes, ways = self._sizes, [source.connection for source in sources]
        buffers, sinks = [], []
        valid = Signal(len(sizes.sinks))
        m.d.comb += valid.eq(_any(way.valid for way in ways))
        for index, name in enumerate(sizes.sinks):
            buffer = LinkBuffer(sizes.units, sizes.part_bits * (index == sizes.input))
            m.submodules[f"to_{name}"] = buffer
            buffers.append(buffer)
            connect(m, buffer.output, flipped(self.outputs[index]))
            sinks.append(buffer.input)
            beat = "slice" if index in sizes.local else "beat"

            def held(name: str, *, index: int = index) -> Value:
                return _chosen((way.hold[index], Value.cast(getattr(way, name))) for way in ways)

            sink = sinks[-1]
            m.d.comb += [
                sink.tvalid.eq(valid[index]),
                Cat(sink.tdata, sink.tkeep, sink.tlast).eq(held(beat)),
            ]
            if index == sizes.input:
                m.d.comb += [buffer.input_user.eq(held("part")), self.part.eq(buffer.output_user)]
        ready = Cat(sink.tready for sink in sinks)
        m.d.comb += [way.ready.eq(ready) for way in ways]
        return buffers

    def _report(self, m: Module, sources: Sequence[LinkSource]) -> None:
        """Combine the sources' reports; of simultaneous errors, the last source's is kept."""
        credits = [source.credit for source in sources]
        m.d.comb += [
            self.credit.take.eq(_any(credit.take for credit in credits)),
            self.credit.take_part.eq(_chosen((c.take, c.take_part) for c in credits)),
            self.credit.drop.eq(_any(credit.drop for credit in credits)),
            self.credit.drop_part.eq(_chosen((c.drop, c.drop_part) for c in credits)),
            self.rx_credit.take.eq(_any(source.rx_credit.take for source in sources)),
            self.packet_out.eq(_any(source.away for source in sources)),
        ]
        for name in ("unknown", "empty", "too_long"):
            m.d.comb += getattr(self, name).eq(_any(getattr(source, name) for source in sources))
        for source in sources:
            with m.If(source.unknown | source.empty | source.too_long):
                m.d.sync += self.error_stream.eq(source.stream)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes = self._sizes
        arbiter = Arbiter(len(sizes.sources), len(sizes.sinks))
        m.submodules.arbiter = DomainRenamer(self._arbiter_domain)(arbiter)
        m.submodules.table = table = RouteTable(sizes)
        connect(m, flipped(self.routes), table.write)
        sources = self._make_sources(m, arbiter, table)
        buffers = self._make_sinks(m, sources)
        self._report(m, sources)
        busy = [*(source.busy for source in sources), *(~buffer.empty for buffer in buffers)]
        m.d.comb += self.busy.eq(_any(busy))
        return m


def _any(conditions: Iterable[Value]) -> Value:
    """Bitwise OR of the conditions."""
    return reduce(or_, conditions)


def _chosen(choices: Iterable[tuple[Value, Value]]) -> Value:
    """One-hot multiplexer: the value whose condition is 1; 0 if none is."""
    return _any(Mux(condition, value, 0) for condition, value in choices)
