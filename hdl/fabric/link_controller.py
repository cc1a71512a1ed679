"""The link controller: packets from links, host and LDPU to links, host and the tile's own inputs.

Published: preambles are inserted on the way out and checked on the way in, tables are static, a
packet may go on to several places, and a receiver may keep a part of the payload. The packet
switch, its arbitration and its ready/valid flow control are our choice.
"""

from functools import reduce
from operator import and_, or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.fabric.arbiter import Arbiter
from caduceus.hdl.fabric.link_buffer import LinkBuffer

from caduceus.spec import fabric
from caduceus.spec.chip import Chip

STREAM_BITS = (fabric.STREAMS - 1).bit_length()
PART_BITS = (fabric.PARTS - 1).bit_length()


def length_bits(chip: Chip) -> int:
    """Bits that count the bytes of a packet."""
    return fabric.payload_max(chip).bit_length()


class RouteWrite(wiring.Signature):
    """A route table entry on its way into the table, see `caduceus.spec.program.Route`.

    Attributes:
        write: one clock: store the entry.
        stream: which entry.
        mask: its sinks, a bit each; none means that there is no entry.
        start, length: the slice of the payload that the tile keeps.
        part: which part of the tile's input vector it is.
    """

    def __init__(self, chip: Chip) -> None:
        bits = length_bits(chip)
        super().__init__(
            {
                "write": Out(1),
                "stream": Out(STREAM_BITS),
                "mask": Out(len(fabric.sinks(chip))),
                "start": Out(bits),
                "length": Out(bits),
                "part": Out(PART_BITS),
            }
        )


class InputCredit(wiring.Signature):
    """Whether the tile has a place for a part of an input vector, as the link controller sees it.

    A packet that waited at INPUT for its place would keep INPUT from the packets that the vector
    still needs: so it asks for nothing as long as there is none. (Our choice.)

    Attributes:
        room: a bit a part: there is a place for one more packet of it.
        take, take_part: one clock, and of which part: a packet for INPUT has got its outputs.
        drop, drop_part: one clock, and of which part: such a packet had nothing in the tile's
            slice, so that its place stays empty.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "room": In(fabric.PARTS),
                "take": Out(1),
                "take_part": Out(PART_BITS),
                "drop": Out(1),
                "drop_part": Out(PART_BITS),
            }
        )


class RxCredit(wiring.Signature):
    """Whose turn it is at the tile's RX, as the link controller sees it.

    RX vectors are added to results in the order of both, so that one which came before its turn
    would be added to another's. Like a packet to INPUT without a place, it asks for nothing until
    then. (Our choice.)

    Attributes:
        room: a bit a part: a packet of it has the turn.
        take: one clock: a packet for RX has got its outputs. It has had its turn even if it had
            nothing in the tile's slice.
    """

    def __init__(self) -> None:
        super().__init__({"room": In(fabric.PARTS), "take": Out(1)})


class LinkController(wiring.Component):
    """A packet switch with a static table.

    A packet's beats stay together and in order on every output. A packet waits until all its
    outputs are free, holds them to its last beat, and moves in all of them at once. Packets that
    wait are served in turn, but one for INPUT or RX has none while there is no room for its part,
    so that it holds up nothing but what comes after it from the same source. A packet without entry
    or payload is discarded and reported. One that is longer than `fabric.payload_max` is reported,
    ends there, and the rest of it is discarded.

    Latency: the preamble leaves three clocks after it came, each later beat a clock after the last.

    Attributes (domain `sync`):
        routes: table writes, found by a packet that comes two clocks later, before a host's next
            access can be; quasi-static while packets are about.
        tx_stream: preamble of the tile's own results; quasi-static.
        inputs: one stream for each of `fabric.sources(chip)`; all but the last carry packets, the
            last one bare result vectors.
        outputs: one stream for each of `fabric.sinks(chip)`; the last two carry bare vectors.
        part: with every beat to INPUT, which part of the tile's input vector its packet is.
        credit, rx_credit: room for parts at INPUT and at RX, see `InputCredit` and `RxCredit`.
        unknown, empty, too_long: one clock: a packet had no route entry; had no payload, or none
            where the tile's slice begins; did not end.
        error_stream: its preamble, from then on.
        packet_in, packet_out: one clock: a packet of a link or the host has got its outputs; a
            packet has got outputs among links and host.
        busy: a packet is inside.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        stream = AxiStream(chip.link.units)
        super().__init__(
            {
                "routes": In(RouteWrite(chip)),
                "tx_stream": In(STREAM_BITS),
                "inputs": In(stream).array(len(fabric.sources(chip))),
                "outputs": Out(stream).array(len(fabric.sinks(chip))),
                "part": Out(PART_BITS),
                "credit": Out(InputCredit()),
                "rx_credit": Out(RxCredit()),
                "unknown": Out(1),
                "empty": Out(1),
                "too_long": Out(1),
                "error_stream": Out(STREAM_BITS),
                "packet_in": Out(1),
                "packet_out": Out(1),
                "busy": Out(1),
            }
        )

    def _insert_preamble(self, m: Module, buffer: LinkBuffer) -> None:
        """Put the preamble in front of every result vector."""
        results, packets = self.inputs[-1], buffer.input
        inside = Signal()
        m.d.comb += [
            packets.tvalid.eq(results.tvalid),
            packets.tdata.eq(Mux(inside, results.tdata, self.tx_stream)),
            packets.tkeep.eq(Mux(inside, results.tkeep, ~0)),
            packets.tlast.eq(results.tlast & inside),
            results.tready.eq(packets.tready & inside),
        ]
        with m.If(packets.tvalid & packets.tready):
            m.d.sync += inside.eq(~packets.tlast)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip, units = self._chip, self._chip.link.units
        bits, most = length_bits(chip), fabric.payload_max(chip)
        names = fabric.sinks(chip)
        sources, sinks = len(self.inputs), len(names)
        to_input, to_rx = names.index(fabric.INPUT), names.index(fabric.RX)
        local = [to_input, to_rx]

        m.submodules.arbiter = arbiter = Arbiter(sources, sinks)
        table = Memory(
            shape=sinks + 2 * bits + PART_BITS, depth=fabric.STREAMS, init=[0] * fabric.STREAMS
        )
        m.submodules.table = table
        known = Signal(fabric.STREAMS)  # the memory itself outlives a reset
        write = table.write_port()
        # A clock of its own for a write: it comes from the end of the registers' longest path.
        entry = Cat(self.routes.mask, self.routes.start, self.routes.length, self.routes.part)
        m.d.sync += [
            write.en.eq(self.routes.write),
            write.addr.eq(self.routes.stream),
            write.data.eq(entry),
        ]
        with m.If(write.en):
            m.d.sync += known.bit_select(write.addr, 1).eq(write.data[:sinks].any())

        # Every sink has a buffer: outputs come from flip-flops, and what is ready for a beat stays
        # ready, so that a multicast can wait for all its branches.
        outputs, drains = [], []
        buffers = [LinkBuffer(units, PART_BITS * (index == to_input)) for index in range(sinks)]
        m.d.comb += self.part.eq(buffers[to_input].output_user)
        for name, buffer, output in zip(names, buffers, self.outputs, strict=True):
            m.submodules[f"to_{name}"] = buffer
            connect(m, buffer.output, flipped(output))
            outputs.append(buffer.input)
            drains.append(~buffer.empty)
        ready = Cat(output.tready for output in outputs)

        beats: list[tuple[Value, ...]] = []
        holds, unknowns, empties, longs, busy = [], [], [], [], []
        came, went = [], []
        parts, takes, drops, turns = [], [], [], []
        for index in range(sources):
            results = index == sources - 1

            def signal(name: str, width: int = 1, *, index: int = index) -> Signal:
                return Signal(width, name=f"{name}_{index}")

            # Whether there is an entry goes along with the beat that it was looked up for; the one
            # of the tile's own results is always the same.
            buffer = LinkBuffer(units, user=int(not results))
            m.submodules[f"from_{fabric.sources(chip)[index]}"] = buffer
            entry_known = signal("entry_known")
            if results:
                self._insert_preamble(m, buffer)
                coming = self.tx_stream
                m.d.sync += entry_known.eq(known.bit_select(coming, 1))
            else:
                connect(m, flipped(self.inputs[index]), buffer.input)
                coming = buffer.next_data[:STREAM_BITS]
                arriving = self.inputs[index].tdata[:STREAM_BITS]
                m.d.comb += [
                    buffer.input_user.eq(known.bit_select(arriving, 1)),
                    entry_known.eq(buffer.output_user),
                ]
            beat = buffer.output

            # The table is read with the beat that is about to come, in case it is a preamble.
            read = table.read_port()
            m.d.comb += read.addr.eq(coming)
            entry_mask = read.data[:sinks]
            entry_start = read.data[sinks : sinks + bits]
            entry_length = read.data[sinks + bits :][:bits]
            entry_part = read.data[sinks + 2 * bits :]
            stream = beat.tdata[:STREAM_BITS]

            hold = signal("hold", sinks)
            moving, discarding = signal("moving"), signal("discarding")
            preamble = signal("preamble")
            skip, left = signal("skip", bits), signal("left", bits)
            room = signal("room", bits)  # bytes that the packet may still have
            begun, take = signal("begun"), signal("take")
            number, part = signal("number", STREAM_BITS), signal("part", PART_BITS)
            unknown, empty, too_long = signal("unknown"), signal("empty"), signal("too_long")
            head = beat.tvalid & ~moving & ~discarding
            # Room may go while a packet waits, to one of the same part: then it asks no longer.
            admitted = reduce(
                and_,
                (
                    ~entry_mask[sink] | credit.room.bit_select(entry_part, 1)
                    for sink, credit in ((to_input, self.credit), (to_rx, self.rx_credit))
                ),
            )
            asks = head & entry_known & ~beat.tlast & admitted
            m.d.comb += [
                arbiter.wanted[index].eq(Mux(asks, entry_mask, 0)),
                take.eq(moving & beat.tvalid & ((ready | ~hold).all())),
                beat.tready.eq(take | discarding | (head & (~entry_known | beat.tlast))),
            ]
            with m.If(head):
                with m.If(~entry_known):
                    m.d.comb += unknown.eq(1)
                    m.d.sync += discarding.eq(~beat.tlast)
                with m.Elif(beat.tlast):
                    m.d.comb += empty.eq(1)
                with m.Elif(arbiter.grant[index]):
                    m.d.sync += [
                        moving.eq(1),
                        preamble.eq(1),
                        begun.eq(0),
                        number.eq(stream),
                        part.eq(entry_part),
                        hold.eq(entry_mask),
                        skip.eq(entry_start),
                        left.eq(entry_length),
                        room.eq(most),
                    ]
            with m.If(discarding & beat.tvalid & beat.tlast):
                m.d.sync += discarding.eq(0)

            # The part of the payload that the tile itself keeps.
            keeps = signal("keeps")
            kept = signal("kept", units)
            m.d.comb += [
                keeps.eq(~preamble & (skip == 0) & (left != 0)),
                kept.eq(Cat(left > unit for unit in range(units))),
            ]
            last = beat.tlast | (~preamble & (room <= units))
            local_last = last | (left <= units)
            nothing_kept = ~begun & ~keeps
            with m.If(take):
                m.d.sync += preamble.eq(0)
                with m.If(~preamble):
                    m.d.sync += room.eq(room - units)
                with m.If(keeps):
                    m.d.sync += [left.eq(Mux(left > units, left - units, 0)), begun.eq(1)]
                with m.Elif(~preamble & (skip != 0)):
                    m.d.sync += skip.eq(skip - units)
                with m.If(last):
                    m.d.comb += too_long.eq(~beat.tlast)
                    m.d.sync += [moving.eq(0), hold.eq(0), discarding.eq(~beat.tlast)]
                    is_local = reduce(or_, (hold[k] for k in local))
                    m.d.comb += empty.eq(is_local & nothing_kept)
            beats.append((beat, hold, keeps, kept, last, local_last))
            holds.append(hold)
            unknowns.append(unknown)
            empties.append(empty)
            longs.append(too_long)
            with m.If(unknown | empty | too_long):
                m.d.sync += self.error_stream.eq(Mux(moving, number, stream))
            busy.append(beat.tvalid | moving | discarding)
            came.append(arbiter.grant[index] & (index != sources - 1))
            away = (entry_mask & ~sum(1 << k for k in local)).any()
            went.append(arbiter.grant[index] & away)
            parts.append((hold[to_input], part))
            takes.append((arbiter.grant[index] & entry_mask[to_input], entry_part))
            turns.append(arbiter.grant[index] & entry_mask[to_rx])
            drops.append((take & last & hold[to_input] & nothing_kept, part))
        m.d.comb += arbiter.free.eq(~reduce(or_, holds))

        def chosen(of: list[tuple[Value, Value]]) -> tuple[Value, Value]:
            """Whether any of the conditions holds, and the value beside it: one at most does."""
            return (
                reduce(or_, (condition for condition, _ in of)),
                reduce(or_, (Mux(condition, value, 0) for condition, value in of)),
            )

        m.d.comb += [
            buffers[to_input].input_user.eq(chosen(parts)[1]),
            Cat(self.credit.take, self.credit.take_part).eq(Cat(*chosen(takes))),
            Cat(self.credit.drop, self.credit.drop_part).eq(Cat(*chosen(drops))),
            self.rx_credit.take.eq(reduce(or_, turns)),
        ]

        for index, output in enumerate(outputs):
            valid, data, keep, last = [], [], [], []
            for beat, hold, keeps, kept, end, local_end in beats:
                mine = hold[index]
                others = (ready | ~hold | (1 << index)).all()
                here = mine & beat.tvalid & others
                is_local = index in local
                valid.append(here & keeps if is_local else here)
                data.append(Mux(mine, beat.tdata, 0))
                keep.append(Mux(mine, beat.tkeep & kept if is_local else beat.tkeep, 0))
                last.append(mine & (local_end if is_local else end))
            m.d.comb += [
                output.tvalid.eq(reduce(or_, valid)),
                output.tdata.eq(reduce(or_, data)),
                output.tkeep.eq(reduce(or_, keep)),
                output.tlast.eq(reduce(or_, last)),
            ]
        m.d.comb += [
            self.unknown.eq(reduce(or_, unknowns)),
            self.empty.eq(reduce(or_, empties)),
            self.too_long.eq(reduce(or_, longs)),
            self.packet_in.eq(reduce(or_, came)),
            self.packet_out.eq(reduce(or_, went)),
            self.busy.eq(reduce(or_, [*busy, *drains])),
        ]
        return m
