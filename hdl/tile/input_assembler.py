"""The input assembler: input vectors from packets, whose parts may arrive in any order.

An LSTM's input vector consists of the layer's own input and of one packet of hidden state per GDPU
slice; each arrives in its own time. (Not published, so our choice.)
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
    """Write port of the part table of an array with `rows` rows, see `spec.program.InputPart`.

    Attributes:
        write: pulse of one clock: store the entry.
        part: number of the entry.
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
    """Writes packets to the modulator's staging register, and commits each complete vector.

    With one part, a packet of `rows` elements is a vector. With several, a packet is written to its
    rows if the present vector lacks its part. Otherwise it belongs to the next vector and is stored
    in the spill memory, which has a place for every part. A vector with all its parts is committed.
    Once the modulator accepts values again, the spill memory is copied, and the next vector begins.

    Back-pressure: there are two places per part, which `credit` counts. An admitted packet waits at
    most for the copy and for the modulator, never for another packet. A packet without a place
    waits.

    Latency: a group is written in the clock in which its beat is accepted, and a vector is
    committed with its last group. With several parts, a packet waits one clock for the look-up of
    its rows if its part differs from that of the packet before. The copy takes one clock per group
    and two per part; the stream waits from the commit to the end of the copy.

    Errors: wrong lengths as in `VectorReceiver`; the part counts as arrived all the same. A packet
    with an undefined part number is dropped and reported as too long.

    Attributes (domain `sync`):
        parts, rows: see PARTS and ROWS in `caduceus.spec.registers`; quasi-static.
        table: rows of the parts; quasi-static. Reset keeps the entries.
        restart: pulse of one clock: discard the parts that have arrived; only while no packet is in
            flight.
        enable: the stream may be accepted.
        stream: packets; part: part number of the packet, with every beat.
        credit: places for parts; all ones with one part. A sender that cannot hold packets back may
            ignore it.
        full, write_enable, write_group, write_data, write_first, commit: the modulator's.
        too_short, too_long: pulse of one clock: a packet was shorter or longer than its part.
        busy: a packet is in progress, or the spill memory is being copied. Parts that wait for
            others do not count: the clock may stop.
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
        """Count places, two per part: masks of the parts with at least one and two taken."""
        one, two = Signal(PARTS), Signal(PARTS)
        credit = self.credit

        def bit(condition: Value, part: Value) -> Value:
            return Mux(condition & several, (1 << part)[:PARTS] & parts, 0)

        once, twice = one, two
        # A vector's commit and an empty packet may return places of a part in the same clock.
        for back in (Mux(complete, parts, 0), bit(credit.drop, credit.drop_part)):
            once, twice = once & (twice | ~back), twice & ~back
        more = bit(credit.take, credit.take_part)
        once, twice = once | more, twice | (once & more)
        m.d.sync += [one.eq(once), two.eq(twice)]
        with m.If(self.restart):
            m.d.sync += [one.eq(0), two.eq(0)]
        m.d.comb += credit.room.eq(~two)

    def _look_up(self, m: Module, part: Value, wanted: Value) -> tuple[Value, Value, Value]:
        """First group and length of `part` if `wanted`, and whether they are valid."""
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
        parts = Signal(PARTS)  # mask of the parts in use
        m.d.comb += parts.eq((1 << self.parts) - 1)
        begun = Signal()  # the staging register holds part of the present vector
        here, spilled = Signal(PARTS), Signal(PARTS)  # parts of that vector, and of the next
        copying = Signal()  # the spill memory is being copied

        # The part to look up: the packet's, or the copy's.
        lowest = spilled & ~(spilled - 1)
        copied = Cat(reduce(or_, (lowest[k] for k in range(PARTS) if k >> b & 1))
                     for b in range(PART_BITS))  # fmt: skip
        # The stream may offer the next packet while a short one is padded.
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
        straying = Signal()  # within a packet with an undefined part number
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

        # The copy reads the memory one clock ahead.
        group = Signal(range(max(2, groups)))
        read = Signal()  # the group's values have been read
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
