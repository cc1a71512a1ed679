"""The global digital processing unit's datapath: INT8 pre-activations in, INT8 hidden state out.

Published: in binary16, a pre-activation is scaled and offset by its gate's constants, passes the
tanh table, and is scaled and offset again, which gives a sigmoid for three of the four gates: three
fused multiply-adds. Two multiplications, three more fused multiply-adds and a second table compute
the new cell state and the hidden state. Throughput: one pre-activation per clock, one unit per four
clocks. Pipeline depth, the number of lanes, and the order of the operations behind the gates are
our choice.
"""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.convert import Fp16ToInt8, Int8ToFp16
from caduceus.hdl.common.delay import Delay
from caduceus.hdl.common.fp16 import Fp16Fma
from caduceus.hdl.gdpu.fp16_tanh import Fp16Tanh
from caduceus.hdl.gdpu.state_memory import StateMemory
from caduceus.spec import gdpu
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ACTIVATION_BITS, FP16_BITS
from caduceus.spec.gdpu import GATES

# Clocks from a group's arrival to the named pipeline stage.
_SCALE = Int8ToFp16.LATENCY
_TANH = _SCALE + Fp16Fma.LATENCY
_SQUASH = _TANH + Fp16Tanh.LATENCY


def _zero(value: Value) -> Value:
    """+0, the addend of a multiply-add that only multiplies.

    Not a constant: constant folding would leave an adder in which constant and variable bits share
    a wire, which Verilator reports as a loop.
    """
    return value & 0


def units_per_group(chip: Chip) -> int:
    """Units computed in parallel: the number of cell paths."""
    return max(1, chip.gdpu.lanes // len(GATES))


class Gdpu(wiring.Component):
    """LSTM units: `lanes` pre-activations per clock; a unit's four, I, A, F and O, are adjacent.

    With up to four lanes there is one cell path, which processes a unit after its last
    pre-activation; with more, one path per four lanes.

    Latency: `latency` clocks from a unit's last pre-activation to its hidden state. Back-pressure:
    none. The groups of a vector arrive in order, with any gaps. The first group of the next vector
    may arrive `latency` clocks after the last group of a vector, whose cell state it needs.

    Attributes (domain `sync`):
        valid, group, values: a group of pre-activations, and its number; INT8 each, never -128.
        units: number of units in use; groups of other units have no effect.
        input_scale, input_offset: binary16 per gate, gate I lowest; quasi-static, as are the next
            two.
        output_scale, output_offset: binary16.
        result_valid, result_group, result: the hidden state of a group of units, and its number;
            INT8 each.
        clear: sets every cell state to 0.
        cell_unit, cell_write, cell_data: the host's access to a unit's cell state.
        cell_value: the cell state, one clock after `cell_unit`.
    """

    GATE_LATENCY = _SQUASH + Fp16Fma.LATENCY
    """Clocks from a group of pre-activations to its gate values."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._lanes, self._paths = chip.gdpu.lanes, units_per_group(chip)
        units = chip.gdpu.units
        # Groups per unit.
        self._phases = max(1, len(GATES) // self._lanes)
        # I * A starts when A arrives; without gaps that is some clocks before O.
        self._product = Fp16Fma.LATENCY - (self._phases - 1 - self._phase_of("a"))
        self.latency = (
            self.GATE_LATENCY + self._product + 3 * Fp16Fma.LATENCY + Fp16Tanh.LATENCY
            + Fp16ToInt8.LATENCY
        )  # fmt: skip
        """Clocks from a unit's last pre-activation to its hidden state: 34, 35 with two lanes, 36
        with more."""
        super().__init__(
            {
                "valid": In(1),
                "group": In(range(max(2, len(GATES) * units // self._lanes))),
                "values": In(self._lanes * ACTIVATION_BITS),
                "units": In(range(units + 1)),
                "input_scale": In(len(GATES) * FP16_BITS),
                "input_offset": In(len(GATES) * FP16_BITS),
                "output_scale": In(FP16_BITS),
                "output_offset": In(FP16_BITS),
                "result_valid": Out(1),
                "result_group": Out(range(max(2, units // self._paths))),
                "result": Out(self._paths * ACTIVATION_BITS),
                "clear": In(1),
                "cell_unit": In(range(max(2, units))),
                "cell_write": In(1),
                "cell_data": In(FP16_BITS),
                "cell_value": Out(FP16_BITS),
            }
        )

    def _phase_of(self, gate: str) -> int:
        """Number of a unit's group that contains a gate."""
        return GATES.index(gate) // self._lanes

    def _of_gate(self, values: list[Value], lane: int, phase: Value) -> Value:
        """The value (one per gate) for the gate on `lane` in this phase of a unit."""
        return Array(values[lane % len(GATES) :: self._lanes])[phase]

    def _gate(self, m: Module, lane: int, phase: Delay) -> Value:
        """One lane, from a pre-activation to its gate value."""
        units = {
            "convert": Int8ToFp16(),
            "scale": Fp16Fma(),
            "tanh": Fp16Tanh(),
            "squash": Fp16Fma(),
        }
        for name, unit in units.items():
            m.submodules[f"{name}_{lane}"] = unit
        convert, scale, tanh, squash = units.values()
        by_gate = range(len(GATES))
        scales = [self.input_scale.word_select(gate, FP16_BITS) for gate in by_gate]
        offsets = [self.input_offset.word_select(gate, FP16_BITS) for gate in by_gate]
        gate_scales = [Const(bits, FP16_BITS) for bits in gdpu.GATE_SCALE]
        gate_offsets = [Const(bits, FP16_BITS) for bits in gdpu.GATE_OFFSET]
        m.d.comb += [
            convert.integer.eq(self.values.word_select(lane, ACTIVATION_BITS)),
            scale.a.eq(convert.value),
            scale.b.eq(self._of_gate(scales, lane, phase[_SCALE])),
            scale.c.eq(self._of_gate(offsets, lane, phase[_SCALE])),
            tanh.x.eq(scale.q),
            squash.a.eq(tanh.q),
            squash.b.eq(self._of_gate(gate_scales, lane, phase[_SQUASH])),
            squash.c.eq(self._of_gate(gate_offsets, lane, phase[_SQUASH])),
        ]
        return squash.q

    def _cell(
        self, m: Module, path: int, gates: dict[str, Value], product: Value, cell: Value
    ) -> tuple[Value, Value]:
        """One path, from a unit's gate values to cell state and hidden state.

        `gates` are "f" and "o", in the clock in which both are valid; `product`, I * A, and the
        cell state follow `_product` clocks later.
        """
        units = {
            "cell": Fp16Fma(),
            "cell_tanh": Fp16Tanh(),
            "hidden": Fp16Fma(),
            "output": Fp16Fma(),
            "round": Fp16ToInt8(),
        }
        for name, unit in units.items():
            m.submodules[f"{name}_{path}"] = unit
        new, tanh, hidden, output, to_int8 = units.values()
        f, o = (Delay(m, gates[name], f"gate_{name}_{path}") for name in ("f", "o"))
        m.d.comb += [
            new.a.eq(f[self._product]),
            new.b.eq(cell),
            new.c.eq(product),
            tanh.x.eq(new.q),
            hidden.a.eq(o[self._product + Fp16Fma.LATENCY + Fp16Tanh.LATENCY]),
            hidden.b.eq(tanh.q),
            hidden.c.eq(_zero(tanh.q)),
            output.a.eq(hidden.q),
            output.b.eq(self.output_scale),
            output.c.eq(self.output_offset),
            to_int8.value.eq(output.q),
        ]
        return new.q, to_int8.integer

    def elaborate(self, platform: object) -> Module:
        m = Module()
        phase_bits = (self._phases - 1).bit_length()
        phase = Delay(m, self.group[:phase_bits] if phase_bits else Const(0, 1), "phase")
        row = Delay(m, self.group[phase_bits:], "row")

        # Valid bits travel beside the datapath, with reset.
        def travel(name: str, value: Value, clocks: int) -> Signal:
            taps = Signal(clocks, name=name)
            m.d.sync += taps.eq(Cat(value, taps))
            return taps

        def kept(name: str, value: Value, here: Value) -> Value:
            """Hold the last valid value until the unit's other gates have arrived."""
            last = Signal(FP16_BITS, name=name, reset_less=True)
            with m.If(here):
                m.d.sync += last.eq(value)
            return Mux(here, value, last)

        gates_here = travel("gates_here", self.valid, self.GATE_LATENCY)[-1]
        gate_phase = phase[self.GATE_LATENCY]
        lanes = [self._gate(m, lane, phase) for lane in range(self._lanes)]
        complete = gates_here & (gate_phase == self._phases - 1)
        units_here = travel("units_here", complete, self.latency - self.GATE_LATENCY)

        m.submodules.state = state = StateMemory(FP16_BITS, self._chip.gdpu.units, self._paths)
        to_cell = self.GATE_LATENCY + self._product
        to_new = self._product + Fp16Fma.LATENCY
        m.d.comb += [
            # A memory answers one clock after its address.
            state.read_row.eq(row[to_cell - 1]),
            state.write_row.eq(row[self.GATE_LATENCY + to_new]),
            state.clear.eq(self.clear),
            state.host_unit.eq(self.cell_unit),
            state.host_write.eq(self.cell_write),
            state.host_data.eq(self.cell_data),
            self.cell_value.eq(state.host_value),
        ]

        def of_unit(path: int, name: str, used_with: str) -> Value:
            """A gate value of the path's unit, stable while the gate used with it is valid."""
            number = GATES.index(name)
            gate = lanes[(len(GATES) * path + number) % self._lanes]
            if self._phase_of(name) == self._phase_of(used_with):
                return gate
            here = gates_here & (gate_phase == self._phase_of(name))
            return kept(f"kept_{name}_{path}", gate, here)

        for path in range(self._paths):
            gates = {name: of_unit(path, name, "o") for name in ("f", "o")}
            m.submodules[f"product_{path}"] = multiply = Fp16Fma()
            m.d.comb += [
                multiply.a.eq(of_unit(path, "i", "a")),
                multiply.b.eq(of_unit(path, "a", "a")),
                multiply.c.eq(_zero(lanes[0])),
            ]
            product: Value = multiply.q
            if self._phases > 1:
                both = gates_here & (gate_phase == self._phase_of("a"))
                done = travel(f"multiplying_{path}", both, Fp16Fma.LATENCY)[-1]
                product = kept(f"kept_product_{path}", product, done)
            cell = state.read.word_select(path, FP16_BITS)
            new, hidden = self._cell(m, path, gates, product, cell)
            written_unit = row[self.GATE_LATENCY + to_new] * self._paths + path
            m.d.comb += [
                state.write.word_select(path, FP16_BITS).eq(new),
                state.write_enable[path].eq(units_here[to_new - 1] & (written_unit < self.units)),
                self.result.word_select(path, ACTIVATION_BITS).eq(hidden),
            ]
        m.d.comb += [
            self.result_valid.eq(units_here[-1]),
            self.result_group.eq(row[self.latency]),
        ]
        return m
