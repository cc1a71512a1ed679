"""A walk over the lines of a diagonal, one per clock."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from caduceus.hdl.array.device_update import DeviceUpdate
from caduceus.spec import pcm_write
from caduceus.spec.chip import Chip


class LineWalk(wiring.Component):
    """Visits all lines in order, or one line of each head.

    Latency: `passed` follows `active` by one clock, when memories and counters have answered;
    `last_place` follows `place` by `DeviceUpdate.LATENCY` clocks. Back-pressure: none; a walk
    visits one line per clock.

    Attributes (domain `sync`):
        start, first, by_heads: start a walk at line `first` in the next clock, over one line of
            each head (`by_heads`) or over all lines. Only between walks, or in the clock of
            `finished`.
        diagonal: quasi-static.
        active: the line's memories and counters are being read.
        number, group: number of the line, and group of columns that contains the line's column.
        passed, place, head, lane: one clock later: valid bit, the line's number, its head's number,
            and the lane of the line's column in its group.
        last_place: number of the line whose updated record is available.
        finished: no line of a walk is in flight.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        lines = range(pcm_write.lines(chip))
        super().__init__(
            {
                "start": In(1),
                "first": In(pcm_write.LINE_BITS),
                "by_heads": In(1),
                "diagonal": In(pcm_write.DIAGONAL_BITS),
                "active": Out(1),
                "number": Out(lines),
                "group": Out(range(max(2, chip.column_groups))),
                "passed": Out(1),
                "place": Out(lines),
                "head": Out(pcm_write.HEAD_BITS),
                "lane": Out(range(max(2, chip.ldpu.lanes))),
                "last_place": Out(lines),
                "finished": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        array, lanes = self._chip.array, exact_log2(self._chip.ldpu.lanes)
        step, head = Signal(range(pcm_write.head_lines(self._chip) + 1)), Signal.like(self.head)
        column = Signal(range(array.columns))
        after = self.number + step
        m.d.comb += self.group.eq(column >> lanes)
        with m.If(self.active):
            m.d.sync += [
                self.number.eq(after),
                head.eq(head + 1),
                column.eq(Mux(column == array.columns - 1, 0, column + 1)),
                self.active.eq(after < pcm_write.lines(self._chip)),
            ]
        with m.If(self.start):
            m.d.sync += [
                self.active.eq(1),
                self.number.eq(self.first),
                head.eq(0),
                step.eq(Mux(self.by_heads, pcm_write.head_lines(self._chip), 1)),
                # Line k of diagonal d is in column (k + d) modulo their number, or in column k.
                column.eq(self.diagonal if array.rows <= array.columns else 0),
            ]
        flying = Signal(DeviceUpdate.LATENCY + 1)
        places = [Signal.like(self.place, name=f"place_{n}") for n in range(len(flying))]
        m.d.sync += [
            flying.eq(Cat(self.active, flying)),
            *(new.eq(old) for new, old in zip(places, [self.number, *places[:-1]], strict=True)),
            self.head.eq(head),
            self.lane.eq(column[:lanes] if lanes else 0),
        ]
        m.d.comb += [
            self.passed.eq(flying[0]),
            self.place.eq(places[0]),
            self.last_place.eq(places[-1]),
            self.finished.eq(~self.active & ~flying.any()),
        ]
        return m
