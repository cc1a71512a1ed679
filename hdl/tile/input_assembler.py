"""Packets become input vectors: each part goes to its rows, in any order, one vector ahead.

For an LSTM the hidden state comes in one packet from every GDPU slice, whenever that is done, and
makes up a vector together with what the layer itself is given. (Not published, so our choice.)
"""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.common.vector_receiver import VectorReceiver
from caduceus.hdl.fabric.link_credit import InputCredit
from caduceus.spec.chip import Chip
from caduceus.spec.fabric import PART_BITS, PARTS
from caduceus.spec.formats import ACTIVATION_BITS


class PartWrite(wiring.Signature):
    """An entry of the table of parts of `rows` rows on its way there, see `caduceus.spec.program.InputPart`.

    Attributes:
        write: one clock: store the entry.
        part: which entry.
        start, length: its rows; `start` is a multiple of the beat's units.
    """

    def __init__(self, rows: int) -> None:
        super().__init__(
            {
                "write": Out(1),
                "part": Out(PART_BITS),
                "start": Out(range(rows)),
                "length": Out(range(rows + 1)),
            }
        )


class InputAssembler(wiring.Component):
    """Writes packets to the modulator's staging register, and says when a vector is complete.

    With one part, a packet of `rows` elements is a vector. With more, a packet is written to its
    rows if the vector under way does not have its part yet; if it does, the packet is of the vector
    after it, and waits in a spill memory, which has a place for every part. When all parts are
    there the vector is committed. Then, as soon as the modulator takes values again, what waits in
    the spill memory is copied, and the next vector is under way. So there are two places for every
    part, and `credit` tells of them: a packet that is let in by it waits for the copy and for the
    modulator at most, never for another packet.

    Latency: a group is written in the clock in which its beat is taken, and a vector committed with
    its last group. With several parts, a packet whose part is not that of the packet before waits a
    clock for its place to be looked up. Copying takes a clock a group, and two for every part; the
    stream waits from the commit before it to its end.

    Wrong lengths: as `VectorReceiver`, and the part counts nonetheless. A packet of a part that
    there is not is discarded, and is too long. One that there is no place for waits.

    Attributes (domain `sync`):
        parts, rows: see PARTS and ROWS in `caduceus.spec.registers`; quasi-static.
        table: places of the parts; quasi-static. Entries outlive a reset.
        restart: one clock: forget the parts that are there; only while nothing is on its way.
        enable: the stream may be taken.
        stream: packets; part: with every beat, which part its packet is.
        credit: places for parts; all ones with one part. Who cannot wait outside may ignore it.
        full, write_enable, write_group, write_data, write_first, commit: the modulator's.
        too_short, too_long: one clock: a packet was shorter or longer than its part.
        busy: a packet is under way, or is being copied. Parts that wait for others are not busy:
            the clock may stop.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        units = chip.link.units
        self._groups = chip.array.rows // units
        super().__init__(
            {
                "parts": In(range(PARTS + 1)),
                "rows": In(range(chip.array.rows + 1)),
                "table": In(PartWrite(chip.array.rows)),
                "restart": In(1),
                "enable": In(1),
                "stream": In(AxiStream(units)),
                "part": In(PART_BITS),
                "credit": In(InputCredit()),
                "full": In(1),
                "write_enable": Out(1),
                "write_group": Out(range(max(2, self._groups))),
                "write_data": Out(units * ACTIVATION_BITS),
                "write_first": Out(1),
                "commit": Out(1),
                "too_short": Out(1),
                "too_long": Out(1),
                "busy": Out(1),
            }
        )

    def _count_places(self, m: Module, several: Value, parts: Value, complete: Value) -> None:
        """Two places a part: what has set off for them, by part, at least once and twice."""
        one, two = Signal(PARTS), Signal(PARTS)
        credit = self.credit

        def bit(condition: Value, part: Value) -> Value:
            return Mux(condition & several, (1 << part)[:PARTS] & parts, 0)

        once, twice = one, two
        # A vector's commit and an empty packet may give back a place of a part in the same clock.
        for back in (Mux(complete, parts, 0), bit(credit.drop, credit.drop_part)):
            once, twice = once & (twice | ~back), twice & ~back
        more = bit(credit.take, credit.take_part)
        once, twice = once | more, twice | (once & more)
        m.d.sync += [one.eq(once), two.eq(twice)]
        with m.If(self.restart):
            m.d.sync += [one.eq(0), two.eq(0)]
        m.d.comb += credit.room.eq(~two)

    def _look_up(self, m: Module, part: Value, wanted: Value) -> tuple[Value, Value, Value]:
        """First group and length of `part` if `wanted`, and whether it is looked up already."""
        table, units = self.table, self._chip.link.units
        bits = len(self.write_group)
        m.submodules.table = memory = Memory(
            shape=bits + len(table.length),
            depth=PARTS,
            init=[self._chip.array.rows << bits] * PARTS,
        )
        write, read = memory.write_port(), memory.read_port()
        looked_up = Signal(PART_BITS)
        valid = Signal()
        group = table.start >> (units - 1).bit_length()
        m.d.comb += [
            write.en.eq(table.write),
            write.addr.eq(table.part),
            write.data.eq(Cat(group[:bits], Const(0, max(0, bits - len(group))), table.length)),
            read.addr.eq(part),
            read.en.eq(wanted),
        ]
        with m.If(table.write):
            m.d.sync += valid.eq(0)
        with m.Elif(wanted):
            m.d.sync += [looked_up.eq(part), valid.eq(1)]
        return read.data[:bits], read.data[bits:], valid & (looked_up == part)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        units, groups = self._chip.link.units, self._groups
        shift = (units - 1).bit_length()
        m.submodules.receive = receive = VectorReceiver(units, groups)
        m.submodules.spill = spill = Memory(
            shape=units * ACTIVATION_BITS, depth=groups, init=[0] * groups
        )
        spill_write, spill_read = spill.write_port(), spill.read_port()

        several = self.parts != 1
        parts = Signal(PARTS)  # those that there are
        m.d.comb += parts.eq((1 << self.parts) - 1)
        begun = Signal()  # something of the vector under way is in the staging register
        here, spilled = Signal(PARTS), Signal(PARTS)  # parts of that vector, of the one after it
        copying = Signal()  # a vector was complete, and not all that was spilled is copied yet

        # A part is looked up for the packet, or for the copy.
        lowest = spilled & ~(spilled - 1)
        copied = Cat(reduce(or_, (lowest[k] for k in range(PARTS) if k >> b & 1))
                     for b in range(PART_BITS))  # fmt: skip
        # The stream may show the packet after a short one while that is being filled up.
        begins = self.stream.tvalid & ~receive.midway
        part, current = Signal(PART_BITS), Signal(PART_BITS)
        with m.If(begins):
            m.d.sync += current.eq(self.part)
        m.d.comb += part.eq(Mux(copying, copied, Mux(begins, self.part, current)))
        place = Signal(PARTS)
        m.d.comb += place.eq(Mux(several, 1 << part, 1))
        first_group, length, found = self._look_up(
            m, part, several & (copying | receive.midway | self.stream.tvalid)
        )

        # The stream.
        stray = several & ~(place & parts).any()
        ahead = several & (here & place).any()
        crowded = ahead & (spilled & place).any()
        may_write = Mux(several, found & ~copying & ~crowded & (ahead | ~self.full), ~self.full)
        stream = receive.stream
        straying = Signal()  # the rest of a packet of no part is still to come
        discard = straying | (stray & ~copying & ~receive.midway)
        m.d.comb += [
            receive.length.eq(Mux(several, length, self.rows)),
            receive.ready.eq(may_write & self.enable),
            stream.tdata.eq(self.stream.tdata),
            stream.tkeep.eq(self.stream.tkeep),
            stream.tlast.eq(self.stream.tlast),
            stream.tvalid.eq(self.stream.tvalid & self.enable & ~discard),
            self.stream.tready.eq((stream.tready | discard) & self.enable),
        ]
        taken = receive.valid & receive.ready
        strays = discard & self.enable & self.stream.tvalid
        with m.If(strays):
            m.d.sync += straying.eq(~self.stream.tlast)

        # The copy: the memory is read a clock ahead.
        group = Signal(range(max(2, groups)))
        read = Signal()  # the group's values are here
        copy = copying & read & ~self.full
        last = group == ((length - 1) >> shift)[: len(group)]
        m.d.comb += [
            spill_read.addr.eq((first_group + group + copy)[: len(group)]),
            spill_read.en.eq(copying),
        ]
        with m.If(copying & found):
            m.d.sync += read.eq(1)
        with m.If(copy):
            m.d.sync += group.eq(group + 1)
            with m.If(last):
                m.d.sync += [group.eq(0), read.eq(0), spilled.eq(spilled & ~place)]

        there = Signal.like(group)
        m.d.comb += [
            there.eq(Mux(several, first_group, 0) + Mux(copying, group, receive.group)),
            spill_write.en.eq(taken & ahead),
            spill_write.addr.eq(there),
            spill_write.data.eq(receive.data),
            self.write_enable.eq(copy | (taken & ~ahead)),
            self.write_group.eq(there),
            self.write_data.eq(Mux(copying, spill_read.data, receive.data)),
            self.write_first.eq(~begun),
        ]

        ends = Mux(copying, copy & last, taken & receive.last & ~ahead)
        complete = ((here | place) & parts) == parts
        m.d.comb += self.commit.eq(ends & complete)
        with m.If(self.write_enable):
            m.d.sync += begun.eq(1)
        with m.If(taken & receive.last & ahead):
            m.d.sync += spilled.eq(spilled | place)
        with m.If(ends):
            m.d.sync += here.eq(here | place)
            with m.If(complete):
                m.d.sync += [here.eq(0), begun.eq(0)]
        with m.If(self.commit & ~copying):
            m.d.sync += copying.eq(spilled.any())
        with m.Elif(copy & last & ((spilled & ~place) == 0)):
            m.d.sync += copying.eq(0)
        with m.If(self.restart):
            m.d.sync += [begun.eq(0), here.eq(0), spilled.eq(0), copying.eq(0)]
        self._count_places(m, several, parts, self.commit)
        m.d.comb += [
            self.too_short.eq(receive.short),
            self.too_long.eq(receive.long | (strays & self.stream.tlast)),
            self.busy.eq(receive.midway | straying | copying),
        ]
        return m
