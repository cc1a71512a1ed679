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


def beat_layout(units: int) -> data.StructLayout:
    """A beat in one word, which a simulator passes on as fast as a single bit."""
    members = AxiStream(units).members
    return data.StructLayout({name: members[f"t{name}"].shape for name in ("data", "keep", "last")})


class Connection(wiring.Signature):
    """Connection of a packet to the sinks that it holds, from the source's side.

    A beat moves to all its sinks in the same clock. Links and host receive the whole beat; the
    tile's own sinks receive its bytes in the route's slice, if any.

    Attributes:
        hold: mask of the sinks that the packet holds, from the clock after its grant to its last
            beat.
        part: the packet's part number in the tile's input vector.
        valid: mask of the sinks that receive the beat: it has bytes for them, and the packet's
            other sinks are ready.
        ready: mask of the ready sinks; once 1, a bit stays 1 until its sink accepts a beat.
        beat: the beat for links and host.
        slice: the beat for the tile's own sinks.
    """

    def __init__(self, sizes: LinkSizes) -> None:
        sinks, beat = len(sizes.sinks), beat_layout(sizes.units)
        super().__init__(
            {
                "hold": Out(sinks),
                "part": Out(sizes.part_bits),
                "valid": Out(sinks),
                "ready": In(sinks),
                "beat": Out(beat),
                "slice": Out(beat),
            }
        )


class LinkSource(wiring.Component):
    """Receives packets, looks up their routes, and requests and holds their sinks.

    A packet requests all its sinks at once, and none while it goes to INPUT or RX and its part has
    no room there. After the grant it moves beat by beat, each when all its sinks are ready.

    Errors: a packet without route entry or payload is dropped. A payload longer than `payload_max`
    is truncated.

    Latency: a preamble is offered to its sinks two clocks after its arrival; each later beat
    follows one clock after the one before, with one idle clock between packets. Back-pressure: two
    beats are buffered.

    Attributes (domain `sync`):
        packets: a stream of packets or, with `results`, of bare vectors.
        tx_stream: with `results`: the vectors' preamble; quasi-static.
        lookup: the source's port of the route table.
        credit, rx_credit: room for parts at INPUT and at RX.
        wanted: mask of the requested sinks, 0 for none. It stays stable until the grant, unless
            another packet of the part takes the room.
        grant: in the same clock: the packet holds its sinks from the next clock on.
        away: pulse of one clock: a packet with a link or the host among its sinks was granted.
        connection: to the sinks.
        unknown, empty, too_long: pulse of one clock: a packet had no route entry; had no payload,
            or none in the tile's slice; had a too long payload.
        stream: the packet's preamble, in the same clock.
        busy: a packet is inside.
    """

    def __init__(self, sizes: LinkSizes, results: bool = False) -> None:
        """Make a source of packets or, with `results`, of vectors, to which it adds a preamble."""
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
        """Buffer the beats; return the oldest one, and whether its stream has an entry.

        Every beat is looked up as if it were a preamble.
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
        # Looked up on arrival and carried with the beat.
        connect(m, flipped(self.packets), buffer.input)
        m.d.comb += [
            lookup.arriving.eq(self.packets.tdata[: self._sizes.stream_bits]),
            buffer.input_user.eq(lookup.known),
            lookup.next.eq(buffer.next_data[: self._sizes.stream_bits]),
        ]
        return buffer.output, buffer.output_user

    def _admitted(self, entry: data.View) -> Value:
        """Whether INPUT and RX, if among the packet's sinks, have room.

        Another packet of the same part may take the room while this one waits; the request is then
        withdrawn.
        """
        sinks = ((self._sizes.input, self.credit), (self._sizes.rx, self.rx_credit))
        return reduce(
            and_,
            (~entry.mask[sink] | credit.room.bit_select(entry.part, 1) for sink, credit in sinks),
        )

    def _connect(
        self,
        m: Module,
        beat: wiring.PureInterface,
        last: Value,
        kept: PayloadSlice,
        blocked: Value,
    ) -> None:
        """Offer the beat to the packet's sinks, some of which are `blocked`: not ready."""
        way, own = self.connection, sum(1 << sink for sink in self._sizes.local)
        # A sink whose others are ready is any one, or the only one that is not ready.
        single = (blocked & (blocked - 1)[: len(blocked)]) == 0
        offered = Mux(blocked == 0, way.hold, Mux(single, blocked, 0))
        m.d.comb += [
            way.valid.eq(Mux(beat.tvalid, Mux(kept.keeps, offered, offered & ~own), 0)),
            way.beat.eq(Cat(beat.tdata, beat.tkeep, last)),
            way.slice.eq(Cat(beat.tdata, beat.tkeep & kept.kept, last | kept.ends)),
        ]

    def _report(self, m: Module, ends_empty: Value) -> None:
        """Report granted packets; a packet that `ends_empty` returns its place at INPUT."""
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
        moving = Signal()  # the packet holds its sinks
        discarding = Signal()  # the rest of the packet is dropped
        number = Signal(sizes.stream_bits)
        stream = beat.tdata[: sizes.stream_bits]
        head = beat.tvalid & ~moving & ~discarding
        asks = head & known & ~beat.tlast & self._admitted(entry)
        blocked = Signal.like(way.hold)  # sinks that hold the beat back
        take = moving & beat.tvalid & (blocked == 0)
        last = beat.tlast | kept.full
        m.d.comb += [
            blocked.eq(way.hold & ~way.ready),
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
            with m.Elif(beat.tlast):
                m.d.comb += self.empty.eq(1)
        with m.If(self.grant):
            m.d.sync += [
                moving.eq(1),
                number.eq(stream),
                way.hold.eq(entry.mask),
                way.part.eq(entry.part),
            ]
        # A packet without entry, the rest of a truncated one.
        with m.If(self.unknown | (take & last) | (discarding & beat.tvalid)):
            m.d.sync += discarding.eq(~beat.tlast)
        with m.If(take & last):
            m.d.sync += [moving.eq(0), way.hold.eq(0)]
            is_local = Cat(way.hold[sink] for sink in sizes.local).any()
            m.d.comb += [
                self.too_long.eq(~beat.tlast),
                self.empty.eq(is_local & kept.nothing),
            ]
        self._connect(m, beat, last, kept, blocked)
        self._report(m, take & last & kept.nothing)
        return m
