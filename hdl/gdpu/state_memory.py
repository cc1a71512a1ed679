"""State of LSTM units: one value per unit, in banks, with a clear of all values in one clock."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from caduceus.spec.errors import UserError


class StateMemory(wiring.Component):
    """`units` values; unit u is in bank u % banks and row u // banks; 0 until written.

    One bit per unit marks the values written since the last `clear` or reset; the memories
    themselves have neither.

    Latency: one clock for reads. Back-pressure: none.

    Attributes (domain `sync`):
        read_row, read: number of a row, and its values one clock later, bank 0 lowest.
        write_row, write_enable, write: write the enabled banks of a row.
        host_unit, host_value: number of a unit, and its value one clock later.
        host_write, host_data: write the value of `host_unit`; not together with `write_enable`.
        clear: sets every value to 0 from the next clock on.

    Raises:
        UserError: `banks` is not a power of two.
    """

    def __init__(self, width: int, units: int, banks: int) -> None:
        if banks < 1 or banks.bit_count() != 1:
            raise UserError(f"StateMemory: banks: got {banks}, expected a power of two")
        self._width, self._units, self._banks = width, units, banks
        self._rows = -(-units // banks)
        super().__init__(
            {
                "read_row": In(range(max(2, self._rows))),
                "read": Out(banks * width),
                "write_row": In(range(max(2, self._rows))),
                "write_enable": In(banks),
                "write": In(banks * width),
                "host_unit": In(range(max(2, units))),
                "host_value": Out(width),
                "host_write": In(1),
                "host_data": In(width),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shift = (self._banks - 1).bit_length()
        host_bank, host_row = self.host_unit[:shift], self.host_unit[shift:]
        for bank in range(self._banks):
            memory = Memory(shape=self._width, depth=self._rows, init=[])
            m.submodules[f"bank_{bank}"] = memory
            write, read, host = memory.write_port(), memory.read_port(), memory.read_port()
            by_host = self.host_write & (host_bank == bank if shift else 1)
            m.d.comb += [
                write.en.eq(self.write_enable[bank] | by_host),
                write.addr.eq(Mux(by_host, host_row, self.write_row)),
                write.data.eq(
                    Mux(by_host, self.host_data, self.write.word_select(bank, self._width))
                ),
                read.addr.eq(self.read_row),
                host.addr.eq(host_row),
            ]
            written = Signal(self._rows, name=f"written_{bank}")
            with m.If(self.clear):
                m.d.sync += written.eq(0)
            with m.Elif(write.en):
                m.d.sync += written.bit_select(write.addr, 1).eq(1)

            def known(row: Value, name: str, bits: Signal = written) -> Signal:
                answer = Signal(name=name)
                m.d.sync += answer.eq(bits.bit_select(row, 1))
                return answer

            m.d.comb += self.read.word_select(bank, self._width).eq(
                Mux(known(self.read_row, f"known_{bank}"), read.data, 0)
            )
            asked = Signal(name=f"asked_{bank}")
            m.d.sync += asked.eq(host_bank == bank if shift else 1)
            host_known = known(host_row, f"host_known_{bank}")
            with m.If(asked & host_known):
                m.d.comb += self.host_value.eq(host.data)
        return m
