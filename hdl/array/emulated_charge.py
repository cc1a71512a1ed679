"""Charge of the emulated array's columns: block RAM and multiply-accumulate."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from caduceus.hdl.array.emulated_state import WORD_BITS
from caduceus.spec import formats, pcm_write
from caduceus.spec.chip import Chip

SLOT_BITS = 9
"""Bits of a row's signed slots: a window has up to 255."""
_WINDOW_BITS = pcm_write.VERIFY_SLOTS.bit_length() + 1
"""Bits of the signed slots in a verify read, in which all rows are driven throughout, and of a
reference current."""
_VALUE_BITS = formats.REFERENCE_BITS
"""Bits of a row's charge per slot: a cell's, or the reference current's."""


def charge_bits(chip: Chip) -> int:
    """Width of a column's signed charge."""
    cells = chip.array.rows * ((1 << SLOT_BITS - 1) - 1) * formats.CELL_MAX
    reference = pcm_write.VERIFY_SLOTS << formats.REFERENCE_BITS - 1
    return max(cells, reference).bit_length() + 1


def lanes(chip: Chip) -> int:
    """Columns computed in parallel."""
    return chip.emulated_columns


class Cell(data.Struct):
    """A word of the state: the codes of a cell's devices."""

    g1_plus: formats.DEVICE_BITS
    g2_plus: formats.DEVICE_BITS
    g1_minus: formats.DEVICE_BITS
    g2_minus: formats.DEVICE_BITS


class EmulatedCharge(wiring.Component):
    """Counts the pulses of a window, then multiplies and accumulates, `lanes` columns in parallel.

    Latency: one clock per row and `DRAIN` more for each group of columns. Back-pressure: a group
    waits until the one before it was taken.

    Attributes (domain `mvm`):
        pulse_add, pulse_sub, select_plus, select_minus, reference_level, verify, diagonal, device,
            integrate: like the array's, see `hdl.array.pcm_array`. `integrate` is 0 while `busy`.
        busy: 1 from the first clock without `integrate` until all charges of the window are taken.
        valid, charges, take: a group of columns, lowest first, and its acknowledgment.

    Attributes (domain `sync`):
        cell_write, cell_address, cell: from `caduceus.hdl.array.emulated_state`.
    """

    DRAIN = 5

    def __init__(self, chip: Chip) -> None:
        self._chip, self._lanes = chip, lanes(chip)
        rows, columns = chip.array.rows, chip.array.columns
        super().__init__(
            {
                "pulse_add": In(rows),
                "pulse_sub": In(rows),
                "select_plus": In(1),
                "select_minus": In(1),
                "reference_level": In(signed(formats.REFERENCE_BITS)),
                "verify": In(1),
                "diagonal": In(pcm_write.DIAGONAL_BITS),
                "device": In(range(len(formats.DEVICES))),
                "integrate": In(1),
                "busy": Out(1),
                "valid": Out(1),
                "charges": Out(data.ArrayLayout(signed(charge_bits(chip)), self._lanes)),
                "take": In(1),
                "cell_write": In(self._lanes),
                "cell_address": In(range(rows * columns // self._lanes)),
                "cell": In(WORD_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        rows, columns = chip.array.rows, chip.array.columns
        groups = columns // self._lanes

        # Configuration of the window, kept until its end.
        plus, minus, verify = Signal(), Signal(), Signal()
        reference = Signal(signed(formats.REFERENCE_BITS))
        device = Signal.like(self.device)
        begun = Signal()
        window = Signal(_WINDOW_BITS)
        slots = [Signal(signed(SLOT_BITS), name=f"slots_{row}") for row in range(rows)]
        m.d.mvm += begun.eq(self.integrate)
        with m.If(self.integrate):
            connected = ~self.verify & (self.reference_level == 0)
            m.d.mvm += [
                plus.eq(self.select_plus & connected),
                minus.eq(self.select_minus & connected),
                verify.eq(self.verify),
                reference.eq(Mux(self.verify, 0, self.reference_level)),
                device.eq(self.device),
                window.eq(Mux(begun, window, 0) + 1),
            ]
        walking, summing = Signal(), Signal()
        # Cleared after use: counters of one adder and a synchronous reset need half the area of
        # counters that restart with the first slot.
        for row, count in enumerate(slots):
            add, sub = self.pulse_add[row], self.pulse_sub[row]
            with m.If(self.integrate):
                m.d.mvm += count.eq(count + Cat(add ^ sub, sub & ~add).as_signed())
            with m.Elif(~begun & ~walking):
                m.d.mvm += count.eq(0)
        ended = begun & ~self.integrate

        # The walk: for each group first the reference current, as an additional row, then the rows.
        group = Signal(range(max(2, groups)))
        row = Signal(range(rows))
        on_reference = Signal(init=1)
        address = Signal(range(rows * groups))
        drain = Signal(range(self.DRAIN + 1))
        m.d.comb += self.busy.eq(ended | walking | self.valid)
        with m.If(ended):
            m.d.mvm += [
                walking.eq(1), summing.eq(1), on_reference.eq(1), group.eq(0), row.eq(0),
                address.eq(0),
            ]  # fmt: skip
        with m.Elif(summing):
            with m.If(on_reference):
                m.d.mvm += on_reference.eq(0)
            with m.Else():
                m.d.mvm += [row.eq(row + 1), address.eq(address + 1)]
                with m.If(row == rows - 1):
                    m.d.mvm += [row.eq(0), summing.eq(0), drain.eq(self.DRAIN - 1)]
        with m.Elif(walking):
            with m.If(drain != 0):
                m.d.mvm += drain.eq(drain - 1)
            with m.Elif(~self.valid):
                m.d.mvm += [group.eq(group + 1), on_reference.eq(1), summing.eq(1)]
                with m.If(group == groups - 1):
                    m.d.mvm += [walking.eq(0), summing.eq(0)]
        hand_over = walking & ~summing & (drain == 0) & ~self.valid
        with m.If(hand_over):
            m.d.mvm += self.valid.eq(1)
        with m.Elif(self.take):
            m.d.mvm += self.valid.eq(0)

        # Stage 1 behind the walk: the cells, and the pulse length of their row.
        summing_1, reference_1 = Signal(), Signal()
        length_1 = Signal(signed(_WINDOW_BITS))
        crossing = self._crossing(m, row, columns, rows)
        m.d.mvm += [
            summing_1.eq(summing),
            reference_1.eq(on_reference),
            length_1.eq(Mux(on_reference | verify, window, Array(slots)[row])),
        ]
        # Stage 2: a register behind the slow memories, and the selected device. Stage 3: charge per
        # slot. Stage 4: product. Stage 5: sum.
        length_2, length_3 = Signal.like(length_1), Signal.like(length_1)
        m.d.mvm += [length_2.eq(length_1), length_3.eq(length_2)]
        summing_4, first_2, first_4 = (
            self._later(m, value, clocks, name)
            for value, clocks, name in (
                (summing_1, 3, "summing"), (reference_1, 1, "first"), (reference_1, 3, "first_of"),
            )
        )  # fmt: skip
        group_1 = Signal.like(group)
        m.d.mvm += group_1.eq(group)
        for lane in range(self._lanes):
            memory = Memory(shape=Cell, depth=rows * groups, init=[])
            m.submodules[f"cells_{lane}"] = memory
            write, read = memory.write_port(domain="sync"), memory.read_port(domain="mvm")
            m.d.comb += [
                write.en.eq(self.cell_write[lane]),
                write.addr.eq(self.cell_address),
                write.data.eq(self.cell),
                read.addr.eq(address),
            ]
            cell = Signal(Cell, name=f"cell_{lane}")
            value = Signal(signed(_VALUE_BITS), name=f"value_{lane}")
            product = Signal(signed(_VALUE_BITS + len(length_3)), name=f"product_{lane}")
            total = Signal(signed(charge_bits(chip)), name=f"total_{lane}")
            verified = Signal(signed(_VALUE_BITS), name=f"verified_{lane}")
            codes = Array([cell.g1_plus, cell.g2_plus, -cell.g1_minus, -cell.g2_minus])
            here = Signal(name=f"here_{lane}")
            m.d.comb += verified.eq(Mux(here, codes[device], 0))
            m.d.mvm += [
                cell.eq(read.data),
                here.eq(verify & (crossing == group_1 * self._lanes + lane)),
                value.eq(
                    Mux(plus, cell.g1_plus + cell.g2_plus, 0)
                    - Mux(minus, cell.g1_minus + cell.g2_minus, 0)
                    + verified
                ),
                product.eq(value * length_3),
            ]
            with m.If(first_2):
                m.d.mvm += value.eq(reference)
            with m.If(summing_4):
                m.d.mvm += total.eq(Mux(first_4, 0, total) + product)
            with m.If(hand_over):
                m.d.mvm += self.charges[lane].eq(total)
        return m

    def _later(self, m: Module, value: Value, clocks: int, name: str) -> Value:
        """Delay a bit by `clocks` clocks of `mvm`."""
        taps = Signal(clocks, name=name)
        m.d.mvm += taps.eq(Cat(value, taps))
        return taps[-1]

    def _crossing(self, m: Module, row: Value, columns: int, rows: int) -> Signal:
        """Column in which the diagonal crosses a row, one clock later; `columns` if none does."""
        crossing = Signal(range(rows + columns))
        diagonal = Signal.like(self.diagonal)
        with m.If(self.integrate):
            m.d.mvm += diagonal.eq(self.diagonal)
        if rows <= columns:
            over = row + diagonal
            m.d.mvm += crossing.eq(Mux(over >= columns, over - columns, over))
        else:
            under = row - diagonal
            column = Mux(under < 0, under + rows, under)
            m.d.mvm += crossing.eq(Mux(column < columns, column, columns))
        return crossing
