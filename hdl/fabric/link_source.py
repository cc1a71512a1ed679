"""A source's path through a link controller: from its packets to the sinks that they hold."""

from functools import reduce
from operator import and_

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.fabric.link_buffer import LinkBuffer
from caduceus.hdl.fabric.link_credit import InputCredit, RxCredit
from caduceus.hdl.fabric.link_sizes import LinkSizes
from caduceus.hdl.fabric.payload_slice import PayloadSlice
from caduceus.hdl.fabric.preamble_inserter import PreambleInserter
from caduceus.hdl.fabric.route_table import RouteLookup


class Connection(wiring.Signature):
    """A packet's way to the sinks that it holds, as its source sees it.

    A beat moves to all its sinks in one clock. Links and host get it whole; the tile's own sinks
    get what the route's slice has of it, if anything.

    Attributes:
        hold: a bit for each sink that the packet holds, from the clock after its grant to its end.
        part: the packet's part of the tile's input vector.
        valid: a bit for each sink that gets the beat: it has something for it, and the packet's
            other sinks are ready.
        ready: a bit for each sink that takes a beat; once 1 it stays so until one is taken.
        data, keep, last: the beat as links and the host get it.
        slice_keep, slice_last: what differs for the tile's own sinks.
    """

    def __init__(self, sizes: LinkSizes) -> None:
        sinks, beat = len(sizes.sinks), AxiStream(sizes.units).members
        super().__init__(
            {
                "hold": Out(sinks),
                "part": Out(sizes.part_bits),
                "valid": Out(sinks),
                "ready": In(sinks),
                "data": beat["tdata"],
                "keep": beat["tkeep"],
                "last": beat["tlast"],
                "slice_keep": beat["tkeep"],
                "slice_last": beat["tlast"],
            }
        )


class LinkSource(wiring.Component):
    """Receives packets, looks up their routes, asks for their sinks, and holds these to their end.

    A packet asks for all its sinks at once, and for none while INPUT or RX, if it is among them,
    has no room for its part. Granted, it moves beat by beat, each when all its sinks are ready. A
    packet without entry or payload is discarded. One that is longer than `payload_max` ends there,
    and the rest of it is discarded.

    Latency: a preamble is offered to its sinks two clocks after it came, each later beat a clock
    after the last. There is one clock between two packets.

    Attributes (domain `sync`):
        packets: a stream of packets or, with `results`, of bare vectors.
        tx_stream: with `results`: the vectors' preamble; quasi-static.
        lookup: the source's look into the route table.
        credit, rx_credit: room for parts at INPUT and at RX.
        wanted: a bit for each sink that the packet asks for, 0 for none. It stays until granted,
            unless room goes to another packet of the part.
        grant: in the same clock: the packet has got its sinks.
        away: one clock: so has one that goes to links or the host, too.
        connection: to the sinks.
        unknown, empty, too_long: one clock: a packet had no route entry; had no payload, or none
            where the tile's slice begins; did not end.
        stream: in the same clock: its preamble.
        busy: a packet is inside.
    """

    def __init__(self, sizes: LinkSizes, results: bool = False) -> None:
        """Make a source of packets or, with `results`, of vectors that get their preamble here."""
        self._sizes, self._results = sizes, results
        super().__init__(
            {
                "packets": In(AxiStream(sizes.units)),
                **({"tx_stream": In(sizes.stream_bits)} if results else {}),
                "lookup": Out(RouteLookup(sizes)),
                "credit": Out(InputCredit(sizes.parts)),
                "rx_credit": Out(RxCredit(sizes.parts)),
                "wanted": Out(len(sizes.sinks)),
                "grant": In(1),
                "away": Out(1),
                "connection": Out(Connection(sizes)),
                "unknown": Out(1),
                "empty": Out(1),
                "too_long": Out(1),
                "stream": Out(sizes.stream_bits),
                "busy": Out(1),
            }
        )

    def _receive(self, m: Module) -> tuple[wiring.PureInterface, Value]:
        """Buffer the beats; returns the oldest, and whether its stream has an entry.

        Every beat is looked up, in case it is a preamble.
        """
        lookup = self.lookup
        m.submodules.buffer = buffer = LinkBuffer(self._sizes.units, user=int(not self._results))
        if self._results:
            m.submodules.inserter = inserter = PreambleInserter(
                self._sizes.units, self._sizes.stream_bits
            )
            connect(m, flipped(self.packets), inserter.results)
            connect(m, inserter.packets, buffer.input)
            known = Signal()
            m.d.comb += [
                inserter.stream.eq(self.tx_stream),
                lookup.arriving.eq(self.tx_stream),
                lookup.next.eq(self.tx_stream),
            ]
            m.d.sync += known.eq(lookup.known)
            return buffer.output, known
        # Whether there is an entry goes along with the beat that it was looked up for.
        connect(m, flipped(self.packets), buffer.input)
        m.d.comb += [
            lookup.arriving.eq(self.packets.tdata[: self._sizes.stream_bits]),
            buffer.input_user.eq(lookup.known),
            lookup.next.eq(buffer.next_data[: self._sizes.stream_bits]),
        ]
        return buffer.output, buffer.output_user

    def _admitted(self, entry: data.View) -> Value:
        """Whether INPUT and RX have room, if the packet goes there.

        Room may go while a packet waits, to one of the same part: then it asks no longer.
        """
        sinks = ((self._sizes.input, self.credit), (self._sizes.rx, self.rx_credit))
        return reduce(
            and_,
            (~entry.mask[sink] | credit.room.bit_select(entry.part, 1) for sink, credit in sinks),
        )

    def _connect(
        self, m: Module, beat: wiring.PureInterface, last: Value, kept: PayloadSlice
    ) -> None:
        """Offer the beat to the sinks that the packet holds."""
        way, local = self.connection, self._sizes.local
        for sink, valid in enumerate(way.valid):
            others = (way.ready | ~way.hold | (1 << sink)).all()
            here = way.hold[sink] & beat.tvalid & others
            m.d.comb += valid.eq(here & kept.keeps if sink in local else here)
        m.d.comb += [
            way.data.eq(beat.tdata),
            way.keep.eq(beat.tkeep),
            way.last.eq(last),
            way.slice_keep.eq(beat.tkeep & kept.kept),
            way.slice_last.eq(last | kept.ends),
        ]

    def _report(self, m: Module, ends_empty: Value) -> None:
        """Say where a granted packet goes, and that one which `ends_empty` gives its place back."""
        entry, way, to_input = self.lookup.entry, self.connection, self._sizes.input
        local = sum(1 << sink for sink in self._sizes.local)
        m.d.comb += [
            self.credit.take.eq(self.grant & entry.mask[to_input]),
            self.credit.take_part.eq(entry.part),
            self.credit.drop.eq(way.hold[to_input] & ends_empty),
            self.credit.drop_part.eq(way.part),
            self.rx_credit.take.eq(self.grant & entry.mask[self._sizes.rx]),
            self.away.eq(self.grant & (entry.mask & ~local).any()),
        ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes, entry, way = self._sizes, self.lookup.entry, self.connection
        beat, known = self._receive(m)
        m.submodules.slice = kept = PayloadSlice(sizes)
        moving = Signal()  # the packet has its sinks
        discarding = Signal()  # the rest of the packet is thrown away
        number = Signal(sizes.stream_bits)
        stream = beat.tdata[: sizes.stream_bits]
        head = beat.tvalid & ~moving & ~discarding
        asks = head & known & ~beat.tlast & self._admitted(entry)
        take = moving & beat.tvalid & (way.ready | ~way.hold).all()
        last = beat.tlast | kept.full
        m.d.comb += [
            self.wanted.eq(Mux(asks, entry.mask, 0)),
            beat.tready.eq(take | discarding | (head & (~known | beat.tlast))),
            kept.begin.eq(self.grant),
            kept.start.eq(entry.start),
            kept.length.eq(entry.length),
            kept.take.eq(take),
            self.stream.eq(Mux(moving, number, stream)),
            self.busy.eq(beat.tvalid | moving | discarding),
        ]
        with m.If(head):
            with m.If(~known):
                m.d.comb += self.unknown.eq(1)
                m.d.sync += discarding.eq(~beat.tlast)
            with m.Elif(beat.tlast):
                m.d.comb += self.empty.eq(1)
        with m.If(self.grant):
            m.d.sync += [
                moving.eq(1),
                number.eq(stream),
                way.hold.eq(entry.mask),
                way.part.eq(entry.part),
            ]
        with m.If(discarding & beat.tvalid & beat.tlast):
            m.d.sync += discarding.eq(0)
        with m.If(take & last):
            m.d.sync += [moving.eq(0), way.hold.eq(0), discarding.eq(~beat.tlast)]
            is_local = Cat(way.hold[sink] for sink in sizes.local).any()
            m.d.comb += [
                self.too_long.eq(~beat.tlast),
                self.empty.eq(is_local & kept.nothing),
            ]
        self._connect(m, beat, last, kept)
        self._report(m, take & last & kept.nothing)
        return m
