"""The activation buffer: bytes of feature maps to be gathered into input vectors."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from caduceus.spec.chip import Chip
from caduceus.spec.formats import ACTIVATION_BITS


def address_bits(size: int) -> int:
    """Address bits of a buffer of `size` bytes."""
    return ceil_log2(size)


def around(address: Value, step: Value, size: Value) -> Value:
    """`address` + `step` in a ring of `size` bytes; `step` is at most the size."""
    total = address + step
    return Mux(total >= size, total - size, total)


def rotated(value: Value, amount: Value, lane_bits: int = 1) -> Value:
    """`value`, with a power of two of lanes, rotated left by `amount` lanes."""
    for bit in range(exact_log2(len(value) // lane_bits)):
        value = Mux(amount[bit], value.rotate_left(lane_bits << bit), value)
    return value


class ActivationBuffer(wiring.Component):
    """A memory of byte-wide banks; the address modulo the number of banks selects the bank.

    In one clock it writes up to `link.units` bytes at any address, and reads `buffers.gather`
    bytes, one per bank, at any other. A read of a byte that is written in the same clock is
    undefined.

    Accesses do not wrap at the end of a ring: an access across the ring's end must be split. That
    never occurs if the ring's size is a multiple of the pixel's. A read past the last address wraps
    to the first.

    Latency: a written byte can be read in the next clock; `read_data` is valid one clock after
    `read_enable` and stays until the next read. Back-pressure: none.

    Attributes (domain `sync`):
        write_enable, write_address, write_count, write_data: write the first `write_count` bytes of
            the data, the lowest at `write_address`.
        read_enable, read_address: read one byte per bank, starting at `read_address`.
        read_lane: lane of `read_data` for the first byte; the others follow, with wrap-around from
            the highest lane to the lowest.
        read_data: the bytes read.
    """

    def __init__(self, chip: Chip) -> None:
        self._size, self._banks = chip.buffers.activation, chip.buffers.gather
        self._units = chip.link.units
        bits = address_bits(self._size)
        super().__init__(
            {
                "write_enable": In(1),
                "write_address": In(bits),
                "write_count": In(range(self._units + 1)),
                "write_data": In(self._units * ACTIVATION_BITS),
                "read_enable": In(1),
                "read_address": In(bits),
                "read_lane": In(range(max(2, self._banks))),
                "read_data": Out(self._banks * ACTIVATION_BITS),
            }
        )

    def _rows(self, address: Value) -> tuple[Value, list[Value]]:
        """Bank of the byte at `address`, and the row of each bank for an access starting there."""
        bits = exact_log2(self._banks)
        bank, row = address[:bits], address[bits:]
        return bank, [row + (number < bank) for number in range(self._banks)]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        banks = self._banks
        first, write_rows = self._rows(self.write_address)
        data, stored = Signal(banks * ACTIVATION_BITS), Signal(banks)
        spread, enabled = Signal.like(data), Signal.like(stored)
        m.d.comb += [
            data.eq(self.write_data),
            stored.eq(Mux(self.write_enable, (1 << self.write_count) - 1, 0)),
            spread.eq(rotated(data, first, ACTIVATION_BITS)),
            enabled.eq(rotated(stored, first)),
        ]
        bank, read_rows = self._rows(self.read_address)
        turn = Signal(len(bank))
        with m.If(self.read_enable):
            m.d.sync += turn.eq(self.read_lane - bank)
        found = []
        for number in range(banks):
            memory = Memory(shape=ACTIVATION_BITS, depth=self._size // banks, init=[])
            m.submodules[f"bank_{number}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.en.eq(enabled[number]),
                write.addr.eq(write_rows[number]),
                write.data.eq(spread.word_select(number, ACTIVATION_BITS)),
                read.en.eq(self.read_enable),
                read.addr.eq(read_rows[number]),
            ]
            found.append(read.data)
        m.d.comb += self.read_data.eq(rotated(Cat(found), turn, ACTIVATION_BITS))
        return m
