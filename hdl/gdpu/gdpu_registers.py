"""A GDPU slice's registers: the register block of `spec.gdpu_registers` and its connections."""

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_lite import DATA_BITS, RegisterBus
from caduceus.hdl.common.register_block import RegisterBlock
from caduceus.spec import gdpu_registers, registers
from caduceus.spec.formats import ACTIVATION_BITS, FP16_BITS
from caduceus.spec.gdpu import GATES
from caduceus.spec.gdpu_registers import BY_NAME
from caduceus.spec.register import Register

COUNTERS = {"VECTORS_IN": "vector_accepted", "VECTORS_OUT": "packet_sent"}
"""Counting registers, and the input whose clocks each counts."""

_LOWEST = 1 << ACTIVATION_BITS - 1  # -128

_MODE = ("north", "south")
_STREAMS = ("first", "stream", "last")


class GdpuRegisters(wiring.Component):
    """Registers of a GDPU slice: outputs configuration, reads status, events and states.

    Latency: an access takes two clocks. Refused accesses: see `spec.gdpu_registers`.

    Attributes (domain `sync`):
        bus: the host's accesses.
        clear, start: pulse of one clock on a write of CONTROL; never while `busy` or `running`.
        north, south, first, stream, last, units, length, input_scale, input_offset, output_scale,
            output_offset: configuration; the gates' constants side by side, gate I's lowest.
        busy, running, steps: status.
        vector_accepted, packet_sent: counted in every clock in which they are 1.
        errors: pulse of one clock each: sets the flag of ERROR.
        error: a bit of ERROR is set.
        state_unit: the unit whose states the host accesses.
        hidden_write, cell_write, state_data: write a state; a hidden state of -128 becomes -127.
        hidden_value, cell_value: the states, one clock after `state_unit`.
    """

    def __init__(self, units: int, lanes: int) -> None:
        """Make the registers of a slice of `units` LSTM units with `lanes` lanes."""
        self._units, self._lanes = units, lanes
        members = {
            **{name: Out(1) for name in _MODE},
            **{name: Out(BY_NAME["STREAMS"].field(name).width) for name in _STREAMS},
            "units": Out(range(units + 1)),
            "length": Out(BY_NAME["LENGTH"].field("value").width),
            "output_scale": Out(FP16_BITS),
            "output_offset": Out(FP16_BITS),
            "input_scale": Out(len(GATES) * FP16_BITS),
            "input_offset": Out(len(GATES) * FP16_BITS),
        }
        super().__init__(
            {
                "bus": In(RegisterBus()),
                "clear": Out(1),
                "start": Out(1),
                **members,
                "busy": In(1),
                "running": In(1),
                "steps": In(DATA_BITS),
                "vector_accepted": In(1),
                "packet_sent": In(1),
                "errors": In(gdpu_registers.Error),
                "error": Out(1),
                "state_unit": Out(range(max(2, units))),
                "hidden_write": Out(1),
                "cell_write": Out(1),
                "state_data": Out(FP16_BITS),
                "hidden_value": In(ACTIVATION_BITS),
                "cell_value": In(FP16_BITS),
            }
        )

    def _port(self, register: Register, field: str) -> Value:
        """The output for a field of an `rw` register."""
        for port in ("input_scale", "input_offset"):
            if register.name in _by_gate(port):
                gate = _by_gate(port).index(register.name)
                return getattr(self, port).word_select(gate, FP16_BITS)
        # A register's only field has no name of its own.
        return getattr(self, register.name.lower() if field == "value" else field)

    def _connect_registers(self, m: Module, block: RegisterBlock) -> None:
        """Connect stored fields to the outputs, and status, counters and refusals to the block."""
        for register, field, stored in block.stored():
            m.d.comb += self._port(register, field.name).eq(stored)
        m.d.comb += [
            block.id.value.eq(gdpu_registers.ID),
            block.version.value.eq(registers.VERSION),
            block.shape.units.eq(self._units),
            block.shape.lanes.eq(self._lanes),
            block.status.busy.eq(self.busy),
            block.status.running.eq(self.running),
            block.status.error.eq(self.error),
            block.steps.value.eq(self.steps),
            block.error.events.eq(self.errors),
            self.error.eq(block.error.any),
            self.clear.eq(block.control.write & block.control.clear),
            self.start.eq(block.control.write & block.control.start),
            *(
                getattr(block, register.lower()).event.eq(getattr(self, event))
                for register, event in COUNTERS.items()
            ),
            block.locked.eq(self.busy),
            *(
                getattr(block, register.lower()).refuse.eq(self.running)
                for register in gdpu_registers.BETWEEN_SEQUENCES
            ),
        ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = block = RegisterBlock(
            gdpu_registers.REGISTERS,
            gdpu_registers.tables(self._units),
            COUNTERS,
            {"UNITS": self._units},
        )
        connect(m, flipped(self.bus), block.bus)
        self._connect_registers(m, block)
        hidden, cell, data = block.hidden_state, block.cell_state, block.write_data
        lowest = data[:ACTIVATION_BITS] == _LOWEST
        m.d.comb += [
            # The same address bits select the unit in both tables.
            self.state_unit.eq(hidden.entry),
            self.state_data.eq(Cat(data[0] | (hidden.selected & lowest), data[1:])),
            self.hidden_write.eq(hidden.write),
            self.cell_write.eq(cell.write),
            hidden.value.eq(self.hidden_value.as_signed()),
            cell.value.eq(self.cell_value),
        ]
        return m


def _by_gate(port: str) -> list[str]:
    """Names of the registers, one per gate, behind a port."""
    return [f"{port.upper()}_{gate.upper()}" for gate in GATES]
