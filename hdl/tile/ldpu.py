"""The local digital processing unit: ADC counts in, INT8 results out.

Published: per column, two FP16 fused multiply-adds correct gain and offset of both counters and
subtract N from P; then scale and offset, ReLU, addition of the scaled INT8 RX value, ReLU, rounding
to INT8; one column per clock. Pipeline depth, the number of lanes, and partial sums in binary16
between tiles are our choice.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from caduceus.hdl.common.convert import Fp16ToInt8, Int8ToFp16, Uint12ToFp16
from caduceus.hdl.common.credit_counter import CreditCounter
from caduceus.hdl.common.delay import Delay
from caduceus.hdl.common.fp16 import Fp16Fma
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ACTIVATION_BITS

# Clocks from a group's arrival to the named pipeline stage.
_CORRECT_P = Uint12ToFp16.LATENCY
_CORRECT_N = _CORRECT_P + Fp16Fma.LATENCY
_AFFINE = _CORRECT_N + Fp16Fma.LATENCY
_SCALED = _AFFINE + Fp16Fma.LATENCY

# Clocks from the start of the RX addition.
_ADD = Int8ToFp16.LATENCY
_ROUND = _ADD + Fp16Fma.LATENCY

_USED_AT = {
    "gain_p": _CORRECT_P,
    "offset": _CORRECT_P,
    "gain_n": _CORRECT_N,
    "scale": _AFFINE,
    "bias": _AFFINE,
}


def _relu(value: Value, enable: Value) -> Value:
    """0 for every value with a sign bit, including -0; a NaN is canonical and passes."""
    return Mux(value[-1] & enable, 0, value)


def value_bits(chip: Chip) -> int:
    """Bits of an RX value or a result."""
    return ACTIVATION_BITS * chip.link.value_bytes


class Ldpu(wiring.Component):
    """A pipeline of `lanes` columns: correction, affine scaling, RX addition, and rounding.

    Latency: a group is corrected and scaled on arrival, in `SCALE_LATENCY` clocks. It then waits in
    a FIFO of `DEPTH` groups for its RX values and for room for its result, which follows
    `ADD_LATENCY` clocks later. Late RX values therefore delay only the addition and rounding.
    Throughput: one group per clock.

    Back-pressure: `room` to the reader; groups in the FIFO wait for `rx_valid` and `result_room`.

    Attributes (domain `sync`):
        group: number of the group of columns that may arrive in the next clock.
        valid, last: the group arrives; it is the last of its vector. Only one clock after `room`.
        room: a group may arrive in the next clock.
        p, n: its ADC counts, 12 bits per lane.
        rx_valid, rx: RX values of the oldest waiting group, `value_bits` per lane, INT8 in the
            lowest eight; ignored while `rx_enable` is 0.
        rx_take: the RX values are consumed in this clock.
        result_room: there is room for the result of a group that starts its addition now.
        going: a group starts its addition in this clock.
        waiting: a group waits and does not start in this clock.
        busy: a group arrives, or is inside.
        relu_1, relu_2, rx_enable, rx_binary16, tx_binary16, rx_scale: quasi-static, see MODE and
            RX_SCALE in `spec.registers`. The binary16 modes exist only on chips with them.
        result_valid, result_last, result: results, with lanes like `rx`; bits above an INT8 are
            undefined.
        constant_column, constant_index: column and number of the constant that the host accesses.
        constant_write, constant_data: write the constant.
        constant_value: its value, one clock after column and number.
    """

    SCALE_LATENCY = _SCALED
    ADD_LATENCY = _ROUND + Fp16ToInt8.LATENCY
    DEPTH = SCALE_LATENCY + 6
    """Groups between `valid` and the RX addition: enough for one per clock."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._binary16 = chip.link.partial_sums == "binary16"
        lanes, bits = chip.ldpu.lanes, value_bits(chip)
        super().__init__(
            {
                "valid": In(1),
                "group": In(range(max(2, chip.column_groups))),
                "last": In(1),
                "room": Out(1),
                "p": In(lanes * formats.COUNT_BITS),
                "n": In(lanes * formats.COUNT_BITS),
                "rx_valid": In(1),
                "rx": In(lanes * bits),
                "rx_take": Out(1),
                "result_room": In(1),
                "going": Out(1),
                "waiting": Out(1),
                "busy": Out(1),
                "relu_1": In(1),
                "relu_2": In(1),
                "rx_enable": In(1),
                "rx_binary16": In(1),
                "tx_binary16": In(1),
                "rx_scale": In(formats.FP16_BITS),
                "result_valid": Out(1),
                "result_last": Out(1),
                "result": Out(lanes * bits),
                "constant_column": In(range(chip.array.columns)),
                "constant_index": In(range(len(formats.COLUMN_CONSTANTS))),
                "constant_write": In(1),
                "constant_data": In(formats.FP16_BITS),
                "constant_value": Out(formats.FP16_BITS),
            }
        )

    def _constants(self, m: Module, lane: int, group: Delay) -> dict[str, Value]:
        """The lane's constants, each read in time for its pipeline stage."""
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
                # Addressed two clocks before use: one for the memory, one for the register behind
                # it.
                read.addr.eq(group[_USED_AT[constant.name] - 1]),
            ]
            was_chosen = Signal(name=f"{constant.name}_{lane}_chosen")
            m.d.sync += was_chosen.eq(chosen)
            with m.If(was_chosen):
                m.d.comb += self.constant_value.eq(host.data)
            value = Signal(formats.FP16_BITS, name=f"{constant.name}_{lane}_used", reset_less=True)
            m.d.sync += value.eq(read.data)
            values[constant.name] = value
        return values

    def _scale(self, m: Module, lane: int, group: Delay) -> Value:
        """One lane, from counts to binary16, ReLU included."""
        constants = self._constants(m, lane, group)
        units = {
            "convert_p": Uint12ToFp16(),
            "convert_n": Uint12ToFp16(),
            "correct_p": Fp16Fma(),
            "correct_n": Fp16Fma(negate_product=True),
            "affine": Fp16Fma(),
        }
        for name, unit in units.items():
            m.submodules[f"{name}_{lane}"] = unit
        to_p, to_n, correct_p, correct_n, affine = units.values()
        count_n = Delay(m, to_n.value, f"count_n_{lane}")
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
        ]
        return _relu(affine.q, self.relu_1)

    def _add(self, m: Module, lane: int, scaled: Value) -> Value:
        """One lane, from binary16 and RX to the result."""
        m.submodules[f"convert_rx_{lane}"] = to_rx = Int8ToFp16()
        m.submodules[f"add_rx_{lane}"] = add_rx = Fp16Fma()
        m.submodules[f"convert_result_{lane}"] = to_int8 = Fp16ToInt8()
        value = Delay(m, scaled, f"scaled_{lane}")
        # Without RX, +0 is added: latency and rounding stay the same.
        use_rx = self.rx_enable.replicate(formats.FP16_BITS)
        rx = self.rx.word_select(lane, value_bits(self._chip))
        addend: Value = to_rx.value
        if self._binary16:
            same = Delay(m, rx, f"rx_{lane}")
            addend = Mux(self.rx_binary16, same[_ADD], addend)
        result = _relu(add_rx.q, self.relu_2)
        m.d.comb += [
            to_rx.integer.eq(rx[:ACTIVATION_BITS]),
            add_rx.a.eq(addend & use_rx),
            add_rx.b.eq(self.rx_scale & use_rx),
            add_rx.c.eq(value[_ADD]),
            to_int8.value.eq(result),
        ]
        if self._binary16:
            unrounded = Delay(m, result, f"result_{lane}")[Fp16ToInt8.LATENCY]
            return Mux(self.tx_binary16, unrounded, to_int8.integer.as_unsigned())
        return to_int8.integer

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self._chip.ldpu.lanes
        group = Delay(m, self.group, "group")
        m.submodules.scaled = scaled = SyncFIFOBuffered(
            width=lanes * formats.FP16_BITS + 1, depth=self.DEPTH
        )
        m.submodules.credit = credit = CreditCounter(self.DEPTH - 1)
        # One place is reserved for the group that `room` admits before its predecessor arrives.
        m.d.comb += [
            self.room.eq(credit.available),
            credit.take.eq(self.valid),
            credit.give.eq(self.going),
        ]

        # Valid bits travel beside the datapath, with reset.
        def travel(name: str, value: Value, clocks: int) -> Signal:
            taps = Signal(clocks, name=name)
            m.d.sync += taps.eq(Cat(value, taps))
            return taps

        scaling = travel("scaling", self.valid, self.SCALE_LATENCY)
        adding = travel("adding", self.going, self.ADD_LATENCY)
        m.d.comb += [
            self.busy.eq(self.valid | scaling.any() | scaled.level.any() | adding.any()),
            scaled.w_en.eq(scaling[-1]),
            scaled.w_data.eq(
                Cat(
                    *(self._scale(m, lane, group) for lane in range(lanes)),
                    travel("scaling_last", self.last, self.SCALE_LATENCY)[-1],
                )
            ),
            self.going.eq(scaled.r_rdy & self.result_room & (self.rx_valid | ~self.rx_enable)),
            self.rx_take.eq(self.going & self.rx_enable),
            self.waiting.eq(scaled.r_rdy & ~self.going),
            scaled.r_en.eq(self.going),
            self.result.eq(
                Cat(
                    self._add(m, lane, scaled.r_data.word_select(lane, formats.FP16_BITS))
                    for lane in range(lanes)
                )
            ),
            self.result_valid.eq(adding[-1]),
            self.result_last.eq(travel("adding_last", scaled.r_data[-1], self.ADD_LATENCY)[-1]),
        ]
        return m
