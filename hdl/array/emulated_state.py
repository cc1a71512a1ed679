"""Distribution of a PCM state's words in the emulated array (layout: `spec.pcm_state`)."""

from enum import IntEnum

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip

WORD_BITS = 32
_HEADER = {2: "seed_low", 3: "seed_high", 4: "tile"}
"""Header words in use here; the first two are for files."""


class _Part(IntEnum):
    """Part of the state that the next word belongs to."""

    DONE = 0
    HEADER = 1
    CELLS = 2
    COLUMNS = 3


class EmulatedState(wiring.Component):
    """Receives the words of a state in order, at most one per clock.

    Words beyond the last one are dropped. Counters track the cell of each word, so that no size
    needs to be a power of two.

    Latency: none; write strobes are combinational. Back-pressure: none.

    Args:
        chip: sizes of the array.
        lanes: columns that the emulation computes in parallel; divides the columns.

    Attributes (domain `sync`):
        write, data: a word. first: it is the state's first word.
        cell_write: write strobe of the lane that holds the word's cell, one-hot.
        cell_address: `column // lanes * rows + row`.
        column_write: write strobe, one-hot, of a column's word: gain_p, gain_n, offsets, noise.
        column: number of the column.
        seed_low, seed_high, tile: of the header last written; 0 before.
        noisy: a column of the state has read noise.
    """

    def __init__(self, chip: Chip, lanes: int) -> None:
        self._rows, self._columns, self._lanes = chip.array.rows, chip.array.columns, lanes
        cells = self._rows * self._columns // lanes
        super().__init__(
            {
                "write": In(1),
                "first": In(1),
                "data": In(WORD_BITS),
                "cell_write": Out(lanes),
                "cell_address": Out(range(cells)),
                "column_write": Out(pcm_state.MEMORY_COLUMN_WORDS),
                "column": Out(range(self._columns)),
                "seed_low": Out(WORD_BITS),
                "seed_high": Out(WORD_BITS),
                "tile": Out(WORD_BITS),
                "noisy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        header = Signal(range(pcm_state.MEMORY_HEADER_WORDS))
        lane = Signal(range(max(2, self._lanes)))
        row = Signal(range(self._rows))
        group = Signal(range(max(2, self._columns // self._lanes)))
        field = Signal(range(pcm_state.MEMORY_COLUMN_WORDS))

        part = Signal(_Part)
        m.d.comb += [
            self.cell_write.eq(1 << lane),
            self.column_write.eq(1 << field),
        ]
        with m.If(~self.write | self.first | (part != _Part.CELLS)):
            m.d.comb += self.cell_write.eq(0)
        with m.If(~self.write | self.first | (part != _Part.COLUMNS)):
            m.d.comb += self.column_write.eq(0)

        with m.If(self.write & self.first):
            m.d.sync += [part.eq(_Part.HEADER), header.eq(1), self.noisy.eq(0)]
            m.d.sync += [counter.eq(0) for counter in (lane, row, group, field, self.column)]
            m.d.sync += self.cell_address.eq(0)
        with m.Elif(self.write), m.Switch(part):
            with m.Case(_Part.HEADER):
                m.d.sync += header.eq(header + 1)
                for number, kept in _HEADER.items():
                    with m.If(header == number):
                        m.d.sync += getattr(self, kept).eq(self.data)
                with m.If(header == pcm_state.MEMORY_HEADER_WORDS - 1):
                    m.d.sync += part.eq(_Part.CELLS)
            with m.Case(_Part.CELLS):
                m.d.sync += lane.eq(lane + 1)
                with m.If(lane == self._lanes - 1):
                    m.d.sync += [
                        lane.eq(0),
                        group.eq(group + 1),
                        self.cell_address.eq(self.cell_address + self._rows),
                    ]
                    with m.If(group == self._columns // self._lanes - 1):
                        # On to the next row's first group.
                        m.d.sync += [group.eq(0), row.eq(row + 1), self.cell_address.eq(row + 1)]
                        with m.If(row == self._rows - 1):
                            m.d.sync += part.eq(_Part.COLUMNS)
            with m.Case(_Part.COLUMNS):
                m.d.sync += field.eq(field + 1)
                with m.If(field == pcm_state.MEMORY_COLUMN_WORDS - 1):
                    m.d.sync += [
                        field.eq(0),
                        self.column.eq(self.column + 1),
                        self.noisy.eq(self.noisy | self.data.any()),
                    ]
                    with m.If(self.column == self._columns - 1):
                        m.d.sync += part.eq(_Part.DONE)
        return m
