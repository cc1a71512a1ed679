"""The local digital processing unit: ADC counts in, INT8 results out.

Published: per column, gain and offset of both counters are corrected and N is subtracted from P in
two FP16 fused multiply-adds, then scaled and shifted, ReLU, plus the scaled INT8 RX value, ReLU,
to INT8; one column a clock. Pipeline depth and the number of lanes are our choice.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.convert import Fp16ToInt8, Int8ToFp16, Uint12ToFp16
from hdl.fp16 import Fp16Fma
from spec import formats
from spec.chip import Chip

# Clocks from a group's arrival to the stage that uses what is named.
_CORRECT_P = Uint12ToFp16.LATENCY
_CORRECT_N = _CORRECT_P + Fp16Fma.LATENCY
_AFFINE = _CORRECT_N + Fp16Fma.LATENCY
_RX = _AFFINE + Fp16Fma.LATENCY
_ROUND = _RX + Fp16Fma.LATENCY

_USED_AT = {
    "gain_p": _CORRECT_P,
    "offset": _CORRECT_P,
    "gain_n": _CORRECT_N,
    "scale": _AFFINE,
    "bias": _AFFINE,
}


def _relu(value: Value, enable: Value) -> Value:
    """0 for everything with a sign bit, -0 included; a NaN is canonical and passes."""
    return Mux(value[-1] & enable, 0, value)


class _Delay:
    """A value and its copies one, two, ... clocks later, made as they are asked for."""

    def __init__(self, module: Module, value: Value, name: str) -> None:
        self._module, self._taps, self._name = module, [value], name

    def __getitem__(self, clocks: int) -> Value:
        while len(self._taps) <= clocks:
            tap = Signal(
                len(self._taps[0]), name=f"{self._name}_{len(self._taps)}", reset_less=True
            )
            self._module.d.sync += tap.eq(self._taps[-1])
            self._taps.append(tap)
        return self._taps[clocks]


class Ldpu(wiring.Component):
    """`lanes` columns a clock through correction, affine scaling, RX addition and rounding.

    Nothing stalls inside: who starts a group must have room for its result `LATENCY` clocks later.

    Attributes (all in domain `sync`):
        valid, group, last: a group of columns is here; `last` of its vector.
        p, n: its ADC counts, 12 bits a lane.
        rx: its RX values, INT8 a lane; ignored unless `rx_enable`.
        relu_1, relu_2, rx_enable, rx_scale: quasi-static, see `spec.registers`, MODE.
        result_valid, result_last, result: INT8 a lane, `LATENCY` clocks after `valid`.
        constant_column, constant_index: which constant the host means.
        constant_write, constant_data: write it.
        constant_value: its value, one clock after it was named.
    """

    LATENCY = _ROUND + Fp16ToInt8.LATENCY

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        lanes = chip.ldpu.lanes
        super().__init__(
            {
                "valid": In(1),
                "group": In(range(max(2, chip.column_groups))),
                "last": In(1),
                "p": In(lanes * formats.COUNT_BITS),
                "n": In(lanes * formats.COUNT_BITS),
                "rx": In(lanes * formats.ACTIVATION_BITS),
                "relu_1": In(1),
                "relu_2": In(1),
                "rx_enable": In(1),
                "rx_scale": In(formats.FP16_BITS),
                "result_valid": Out(1),
                "result_last": Out(1),
                "result": Out(lanes * formats.ACTIVATION_BITS),
                "constant_column": In(range(chip.array.columns)),
                "constant_index": In(range(len(formats.COLUMN_CONSTANTS))),
                "constant_write": In(1),
                "constant_data": In(formats.FP16_BITS),
                "constant_value": Out(formats.FP16_BITS),
            }
        )

    def _constants(self, m: Module, lane: int, group: _Delay) -> dict[str, Value]:
        """The lane's constants, each read just in time for the stage that uses it."""
        lanes = self._chip.ldpu.lanes
        chosen_lane = self.constant_column[: (lanes - 1).bit_length()]
        chosen_group = self.constant_column[(lanes - 1).bit_length() :]
        values = {}
        for constant in formats.COLUMN_CONSTANTS:
            memory = Memory(
                shape=formats.FP16_BITS,
                depth=self._chip.column_groups,
                init=[constant.reset] * self._chip.column_groups,
            )
            m.submodules[f"{constant.name}_{lane}"] = memory
            chosen = (self.constant_index == constant.index) & (
                (chosen_lane == lane) if lanes > 1 else 1
            )
            write, host, read = memory.write_port(), memory.read_port(), memory.read_port()
            m.d.comb += [
                write.addr.eq(chosen_group),
                write.data.eq(self.constant_data),
                write.en.eq(self.constant_write & chosen),
                host.addr.eq(chosen_group),
                host.en.eq(chosen),
                # A memory answers one clock after it is asked.
                read.addr.eq(group[_USED_AT[constant.name] - 1]),
            ]
            was_chosen = Signal(name=f"{constant.name}_{lane}_chosen")
            m.d.sync += was_chosen.eq(chosen)
            with m.If(was_chosen):
                m.d.comb += self.constant_value.eq(host.data)
            values[constant.name] = read.data
        return values

    def _lane(self, m: Module, lane: int, group: _Delay) -> Value:
        """One lane, from counts to INT8."""

        def unit(name: str, component: wiring.Component) -> wiring.Component:
            m.submodules[f"{name}_{lane}"] = component
            return component

        constants = self._constants(m, lane, group)
        to_p = unit("convert_p", Uint12ToFp16())
        to_n = unit("convert_n", Uint12ToFp16())
        correct_p = unit("correct_p", Fp16Fma())
        correct_n = unit("correct_n", Fp16Fma(negate_product=True))
        affine = unit("affine", Fp16Fma())
        to_rx = unit("convert_rx", Int8ToFp16())
        add_rx = unit("add_rx", Fp16Fma())
        to_int8 = unit("convert_result", Fp16ToInt8())

        count_n = _Delay(m, to_n.value, f"count_n_{lane}")
        rx = _Delay(m, self.rx.word_select(lane, formats.ACTIVATION_BITS), f"rx_{lane}")
        # Without RX the addition stays, of +0: latency and rounding are the same.
        use_rx = self.rx_enable.replicate(formats.FP16_BITS)
        m.d.comb += [
            to_p.count.eq(self.p.word_select(lane, formats.COUNT_BITS)),
            to_n.count.eq(self.n.word_select(lane, formats.COUNT_BITS)),
            correct_p.a.eq(to_p.value),
            correct_p.b.eq(constants["gain_p"]),
            correct_p.c.eq(constants["offset"]),
            correct_n.a.eq(count_n[_CORRECT_N - _CORRECT_P]),
            correct_n.b.eq(constants["gain_n"]),
            correct_n.c.eq(correct_p.q),
            affine.a.eq(correct_n.q),
            affine.b.eq(constants["scale"]),
            affine.c.eq(constants["bias"]),
            to_rx.integer.eq(rx[_RX - Int8ToFp16.LATENCY]),
            add_rx.a.eq(to_rx.value & use_rx),
            add_rx.b.eq(self.rx_scale & use_rx),
            add_rx.c.eq(_relu(affine.q, self.relu_1)),
            to_int8.value.eq(_relu(add_rx.q, self.relu_2)),
        ]
        return to_int8.integer

    def elaborate(self, platform: object) -> Module:
        m = Module()
        group = _Delay(m, self.group, "group")
        m.d.comb += self.result.eq(
            Cat(self._lane(m, lane, group) for lane in range(self._chip.ldpu.lanes))
        )
        # The bits that say what is real travel beside the datapath, and are reset.
        valid = Signal(self.LATENCY)
        last = Signal(self.LATENCY)
        m.d.sync += [
            valid.eq(Cat(self.valid, valid)),
            last.eq(Cat(self.last, last)),
        ]
        m.d.comb += [self.result_valid.eq(valid[-1]), self.result_last.eq(last[-1])]
        return m
