"""A GDPU slice's registers, built from the table in `caduceus.spec.gdpu_registers`."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.axi_lite import DATA_BITS, RegisterBus
from caduceus.spec import gdpu_registers, registers
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ACTIVATION_BITS, FP16_BITS
from caduceus.spec.gdpu_registers import BY_NAME
from caduceus.spec.register import Register

COUNTERS = {"VECTORS_IN": "vector_accepted", "VECTORS_OUT": "packet_sent"}
"""Counting registers, and the input that each counts the clocks of."""

_LOWEST = 1 << ACTIVATION_BITS - 1  # -128

_MODE = ("north", "south")
_STREAMS = ("first", "stream", "last")


class GdpuRegisters(wiring.Component):
    """Configuration out, status, events and states in.

    Attributes (domain `sync`):
        bus: the host's accesses; each takes two clocks.
        clear, start: one clock: what CONTROL was told to do, never while `busy` or `running`.
        north, south, first, stream, last, units, length, input_scale, input_offset, output_scale,
            output_offset: configuration; the gates' constants side by side, gate I's lowest.
        busy, running, steps: status.
        vector_accepted, packet_sent: counted in every clock that they are 1.
        errors: one clock each: sets the bit of ERROR, see `caduceus.spec.gdpu_registers.Error`.
        error: some bit of ERROR is set.
        state_unit: which unit's states the host means.
        hidden_write, cell_write, state_data: write one; a hidden state of -128 becomes -127.
        hidden_value, cell_value: the states, one clock after the unit was named.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        units = chip.gdpu.units
        # Every writable field is a flip-flop of its own, but those of the gates' constants.
        members = {
            **{name: Out(1) for name in _MODE},
            **{name: Out(BY_NAME["STREAMS"].field(name).width) for name in _STREAMS},
            "units": Out(range(units + 1), init=BY_NAME["UNITS"].reset),
            "length": Out(BY_NAME["LENGTH"].field("value").width),
            "output_scale": Out(FP16_BITS, init=BY_NAME["OUTPUT_SCALE"].reset),
            "output_offset": Out(FP16_BITS, init=BY_NAME["OUTPUT_OFFSET"].reset),
        }
        for name in ("input_scale", "input_offset"):
            resets = [BY_NAME[register].reset for register in _by_gate(name)]
            init = sum(reset << FP16_BITS * gate for gate, reset in enumerate(resets))
            members[name] = Out(len(resets) * FP16_BITS, init=init)
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
                "errors": In(len(BY_NAME["ERROR"].fields)),
                "error": Out(1),
                "state_unit": Out(range(max(2, units))),
                "hidden_write": Out(1),
                "cell_write": Out(1),
                "state_data": Out(FP16_BITS),
                "hidden_value": In(ACTIVATION_BITS),
                "cell_value": In(FP16_BITS),
            }
        )

    def _fields(self, error: Value) -> dict[str, dict[str, Value | int]]:
        """What each field of each readable register shows."""
        shown: dict[str, dict[str, Value | int]] = {
            "ID": {"value": gdpu_registers.ID},
            "VERSION": {"value": registers.VERSION},
            "SHAPE": {"units": self._chip.gdpu.units, "lanes": self._chip.gdpu.lanes},
            "CONTROL": {},
            "STATUS": {"busy": self.busy, "running": self.running, "error": error.any()},
            "STEPS": {"value": self.steps},
            "ERROR": {
                field.name: error.bit_select(field.low, 1) for field in BY_NAME["ERROR"].fields
            },
        }
        for name, register in BY_NAME.items():
            if register.access == "rw":
                shown[name] = {
                    field.name: self._stored(register, field.name) for field in register.fields
                }
        return shown

    def _stored(self, register: Register, field: str) -> Value:
        """The flip-flops of a field of a writable register."""
        for port in ("input_scale", "input_offset"):
            if register.name in _by_gate(port):
                gate = _by_gate(port).index(register.name)
                return getattr(self, port).word_select(gate, FP16_BITS)
        # A register's only field has no name of its own.
        return getattr(self, register.name.lower() if field == "value" else field)

    def _write(self, m: Module, register: Register, allowed: Value, do: Value) -> None:
        """Store what is written to `register` when `do` is 1, unless it is out of range."""
        data = self.bus.write_data
        if register.name == "UNITS":
            units = data[: register.fields[0].width]
            m.d.comb += allowed.eq((units >= 1) & (units <= self._chip.gdpu.units))
        else:
            m.d.comb += allowed.eq(1)
        with m.If(do):
            for field in register.fields:
                written = data[field.low : field.low + field.width]
                if register.access == "wo":
                    m.d.comb += getattr(self, field.name).eq(written)
                else:
                    m.d.sync += self._stored(register, field.name).eq(written)

    def _refused(self, register: Register) -> Value | int:
        """Whether a write to `register` is refused because of what goes on."""
        if not register.locked:
            return 0
        within = register.name in gdpu_registers.BETWEEN_SEQUENCES
        return self.busy | self.running if within else self.busy

    def _in_window(self, base: int) -> Value:
        """Whether the address is that of a unit's state in the window at `base`."""
        offset = self.bus.address - base
        stride = gdpu_registers.STATE_STRIDE
        return (
            (self.bus.address >= base)
            & (offset[: registers.ADDRESS_BITS] < stride * self._chip.gdpu.units)
            & (self.bus.address[: stride.bit_length() - 1] == 0)
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        asked = Signal()  # the second clock of an access: memories have answered
        known = Signal()  # the address is in the map
        writable = Signal()
        in_range = Signal()
        refused = Signal()
        value = Signal(DATA_BITS)
        done_write = Signal()

        m.d.sync += asked.eq(bus.request & ~asked)
        m.d.comb += [
            bus.done.eq(bus.request & asked),
            bus.error.eq(~known | (bus.write & (~writable | ~in_range | refused))),
            bus.read_data.eq(value),
            done_write.eq(bus.done & bus.write & ~bus.error),
        ]

        error = Signal.like(self.errors)
        clear = Signal.like(self.errors)
        m.d.sync += error.eq((error & ~clear) | self.errors)
        m.d.comb += self.error.eq(error.any())

        fields = self._fields(error)
        for name, event in COUNTERS.items():
            count = Signal(DATA_BITS, name=name.lower())
            with m.If(getattr(self, event)):
                m.d.sync += count.eq(count + 1)
            fields[name] = {"value": count}

        # Both windows begin at multiples of the largest size they could have.
        stride_bits = gdpu_registers.STATE_STRIDE.bit_length() - 1
        data = bus.write_data
        lowest = data[:ACTIVATION_BITS] == _LOWEST
        in_hidden = self._in_window(gdpu_registers.HIDDEN_BASE)
        in_cell = self._in_window(gdpu_registers.CELL_BASE)
        m.d.comb += [
            self.state_unit.eq(bus.address[stride_bits:]),
            self.state_data.eq(Cat(data[0] | (in_hidden & lowest), data[1:])),
        ]

        with m.Switch(bus.address):
            for register in gdpu_registers.REGISTERS:
                with m.Case(register.address):
                    m.d.comb += [
                        known.eq(1),
                        writable.eq(register.access != "ro"),
                        refused.eq(self._refused(register)),
                    ]
                    for field in register.fields:
                        if field.name in fields[register.name]:
                            shown = fields[register.name][field.name]
                            m.d.comb += value[field.low : field.low + field.width].eq(shown)
                    if register.name == "ERROR":
                        m.d.comb += [in_range.eq(1), clear.eq(Mux(done_write, data, 0))]
                    elif register.access != "ro":
                        self._write(m, register, in_range, done_write)
            with m.Default():
                for window, write, shown in (
                    (in_hidden, self.hidden_write, self.hidden_value.as_signed()),
                    (in_cell, self.cell_write, self.cell_value),
                ):
                    with m.If(window):
                        m.d.comb += [
                            known.eq(1),
                            writable.eq(1),
                            in_range.eq(1),
                            refused.eq(self.busy),
                            value.eq(shown),
                            write.eq(done_write),
                        ]
        return m


def _by_gate(port: str) -> list[str]:
    """The registers of the gates' constants of a kind."""
    return [f"{port.upper()}_{gate.upper()}" for gate in gdpu_registers.GATES]
