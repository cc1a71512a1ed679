"""Converters and counters of the emulated array (the law is in `adc.sv`)."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from caduceus.hdl.array.emulated_charge import charge_bits, lanes
from caduceus.hdl.array.emulated_noise import SAMPLE_BITS
from caduceus.hdl.array.emulated_state import WORD_BITS
from caduceus.spec import formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import Steer

_HALF = formats.GAIN_BITS // 2
_OFFSET_SHIFT = formats.GAIN_FRACTION - formats.OFFSET_FRACTION
_NOISE_SHIFT = formats.GAIN_FRACTION - formats.NOISE_FRACTION - formats.SAMPLE_FRACTION
_FIELDS = (formats.GAIN_BITS, formats.GAIN_BITS, 2 * formats.OFFSET_BITS, formats.NOISE_BITS)
"""Bits in use of each of a column's words."""


class EmulatedAdc(wiring.Component):
    """Converts one column per clock, once its charge and, with noise, its sample are available.

    Latency: nine clocks of `mvm` from a column's charge to its counter. Back-pressure: charges wait
    for noise samples.

    Attributes (domain `mvm`):
        valid, charges, take: groups of columns from `caduceus.hdl.array.emulated_charge`.
        noisy, sample_valid, sample, sample_take: noise samples of the columns, if `noisy`.
        steer, bank: of the window; stable until `busy` is 0.
        clear: like the array's, for `clear_bank`.
        busy: a conversion is in progress.

    Attributes (domain `sync`):
        column_write, column, word: the converters' characteristics, see `hdl.array.emulated_state`.
        read_enable, read_bank, read_group, read_p, read_n: like the array's.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip, self._lanes = chip, lanes(chip)
        columns = chip.array.columns
        counters = chip.ldpu.lanes * formats.COUNT_BITS
        super().__init__(
            {
                "valid": In(1),
                "charges": In(data.ArrayLayout(signed(charge_bits(chip)), self._lanes)),
                "take": Out(1),
                "noisy": In(1),
                "sample_valid": In(1),
                "sample": In(signed(SAMPLE_BITS)),
                "sample_take": Out(1),
                "steer": In(Steer),
                "bank": In(1),
                "clear": In(1),
                "clear_bank": In(1),
                "busy": Out(1),
                "column_write": In(pcm_state.MEMORY_COLUMN_WORDS),
                "column": In(range(columns)),
                "word": In(WORD_BITS),
                "read_enable": In(1),
                "read_bank": In(1),
                "read_group": In(range(max(2, chip.column_groups))),
                "read_p": Out(counters),
                "read_n": Out(counters),
            }
        )

    def _characteristics(self, m: Module, column: Value) -> list[Value]:
        """The words of a column, one clock after its number."""
        words = []
        for index, width in enumerate(_FIELDS):
            memory = Memory(shape=width, depth=self._chip.array.columns, init=[])
            m.submodules[f"characteristic_{index}"] = memory
            write, read = memory.write_port(domain="sync"), memory.read_port(domain="mvm")
            m.d.comb += [
                write.en.eq(self.column_write[index]),
                write.addr.eq(self.column),
                write.data.eq(self.word),
                read.addr.eq(column),
            ]
            words.append(read.data)
        return words

    def elaborate(self, platform: object) -> Module:
        m = Module()
        columns = self._chip.array.columns
        by_sign, to_p = self.steer == Steer.BY_SIGN, self.steer == Steer.P

        # 0: a column starts when its charge and its noise sample are available.
        column = Signal(range(columns))
        lane = Signal(range(max(2, self._lanes)))
        go = Signal()
        m.d.comb += [
            go.eq(self.valid & (self.sample_valid | ~self.noisy)),
            self.sample_take.eq(go & self.noisy),
            self.take.eq(go & (lane == self._lanes - 1)),
        ]
        with m.If(go):
            m.d.mvm += [lane.eq(lane + 1), column.eq(column + 1)]
            with m.If(lane == self._lanes - 1):
                m.d.mvm += lane.eq(0)
            with m.If(column == columns - 1):
                m.d.mvm += column.eq(0)
        stages = 9
        valids = Signal(stages)
        numbers = [Signal(range(columns), name=f"column_{i}") for i in range(1, stages + 1)]
        m.d.mvm += valids.eq(Cat(go, valids))
        m.d.mvm += [new.eq(old) for new, old in zip(numbers, [column, *numbers], strict=False)]
        m.d.comb += self.busy.eq(valids.any())

        # 1: magnitude, and the gain of the converter in use.
        gain_p, gain_n, offsets_1, noise_1 = self._characteristics(m, column)
        charge_1 = Signal(signed(charge_bits(self._chip)))
        sample_1, sample_2 = Signal.like(self.sample), Signal.like(self.sample)
        m.d.mvm += [
            charge_1.eq(self.charges[lane]),
            sample_1.eq(Mux(self.noisy, self.sample, 0)),
        ]
        negative_1 = charge_1 < 0
        magnitude_2 = Signal(charge_bits(self._chip) - 1)
        gain_2 = Signal(formats.GAIN_BITS)
        negative_2 = Signal()
        offsets_2, noise_2 = Signal.like(offsets_1), Signal.like(noise_1)
        m.d.mvm += [
            magnitude_2.eq(Mux(negative_1, -charge_1, charge_1)),
            gain_2.eq(Mux(Mux(by_sign, ~negative_1, to_p), gain_p, gain_n)),
            negative_2.eq(negative_1 & by_sign),
            sample_2.eq(sample_1),
            noise_2.eq(noise_1),
            offsets_2.eq(offsets_1),
        ]

        # 2 to 5: magnitude times gain, from four products of halves; sample times noise.
        low, high = magnitude_2[:_HALF], magnitude_2[_HALF:]
        gain_low, gain_high = gain_2[:_HALF], gain_2[_HALF:]
        parts = [
            Signal(len(a) + len(b), name=f"part_{i}")
            for i, (a, b) in enumerate(
                ((low, gain_low), (low, gain_high), (high, gain_low), (high, gain_high))
            )
        ]
        m.d.mvm += [
            parts[0].eq(low * gain_low), parts[1].eq(low * gain_high),
            parts[2].eq(high * gain_low), parts[3].eq(high * gain_high),
        ]  # fmt: skip
        low_4, high_4 = Signal.like(parts[0]), Signal.like(parts[3])
        middle_4 = Signal(max(len(parts[1]), len(parts[2])) + 1)
        low_5, high_5 = Signal(_HALF), Signal.like(parts[3])
        middle_5 = Signal(len(middle_4) + 1)
        product = Signal(len(magnitude_2) + formats.GAIN_BITS)
        m.d.mvm += [
            low_4.eq(parts[0]), middle_4.eq(parts[1] + parts[2]), high_4.eq(parts[3]),
            low_5.eq(low_4), middle_5.eq(middle_4 + low_4[_HALF:]), high_5.eq(high_4),
            product.eq(Cat(low_5, middle_5[:_HALF], high_5 + middle_5[_HALF:])),
        ]  # fmt: skip
        disturbance = Signal(signed(SAMPLE_BITS + formats.NOISE_BITS))
        m.d.mvm += disturbance.eq(sample_2 * noise_2)
        disturbance_6 = _later(m, disturbance, 3, "disturbance")
        negative_6 = _later(m, negative_2, 4, "negative")
        offsets_7 = _later(m, offsets_2, 5, "offsets")

        # 6: with the sign and the noise. 7: with the offset.
        width = max(len(product), len(disturbance) + _NOISE_SHIFT) + 3
        total_7, total_8 = Signal(signed(width)), Signal(signed(width))
        noise_6 = disturbance_6 << _NOISE_SHIFT
        m.d.mvm += total_7.eq(Mux(negative_6, noise_6 - product, noise_6 + product))
        counts_p_7 = Mux(by_sign, total_7 >= 0, to_p)
        offset_7 = Signal(signed(formats.OFFSET_BITS))
        m.d.comb += offset_7.eq(
            Mux(counts_p_7, offsets_7[: formats.OFFSET_BITS], offsets_7[formats.OFFSET_BITS :])
        )
        counts_p_8, counts_p_9 = Signal(), Signal()
        m.d.mvm += [
            total_8.eq((offset_7 << _OFFSET_SHIFT) + Mux(by_sign & ~counts_p_7, -total_7, total_7)),
            counts_p_8.eq(counts_p_7),
            counts_p_9.eq(counts_p_8),
        ]

        # 8: whole counts, limited. 9: into the counter.
        limit = self._chip.adc.phase_limit
        whole = total_8 >> formats.GAIN_FRACTION
        counts_9 = Signal(range(limit + 1))
        m.d.mvm += counts_9.eq(Mux(whole < 0, 0, Mux(whole > limit, limit, whole)))
        self._count(m, numbers[-2], numbers[-1], valids[-1], counts_p_9, counts_9)
        return m

    def _count(
        self,
        m: Module,
        next_column: Value,
        column: Value,
        valid: Value,
        counts_p: Value,
        counts: Value,
    ) -> None:
        """Add to a counter; after `clear`, the first window and the readout see 0."""
        fresh = Signal(2, init=0b11)
        with m.If(valid & (column == self._chip.array.columns - 1)):
            m.d.mvm += fresh.bit_select(self.bank, 1).eq(0)
        with m.If(self.clear):
            m.d.mvm += fresh.bit_select(self.clear_bank, 1).eq(1)
        read_fresh = Signal()
        with m.If(self.read_enable):
            m.d.sync += read_fresh.eq(fresh.bit_select(self.read_bank, 1))

        ports, shift = self._chip.ldpu.lanes, (self._chip.ldpu.lanes - 1).bit_length()
        depth = 1 << (self._chip.column_groups - 1).bit_length()
        for name, chosen, output in (
            ("p", counts_p, self.read_p), ("n", ~counts_p, self.read_n),
        ):  # fmt: skip
            for port in range(ports):
                # One copy per reader: a memory with readers in two domains does not fit block RAM.
                memories = {
                    reader: Memory(shape=formats.COUNT_BITS, depth=2 * depth, init=[])
                    for reader in ("counting", "reading")
                }
                for reader, memory in memories.items():
                    m.submodules[f"{reader}_{name}_{port}"] = memory
                writes = [memory.write_port(domain="mvm") for memory in memories.values()]
                old = memories["counting"].read_port(domain="mvm")
                read = memories["reading"].read_port(domain="sync")
                own = column[:shift] == port if shift else 1

                counter = Mux(fresh.bit_select(self.bank, 1), 0, old.data)
                added = counter + Mux(chosen, counts, 0)
                counted = Signal(formats.COUNT_BITS, name=f"counted_{name}_{port}")
                counting = Signal(name=f"counting_{name}_{port}")
                m.d.comb += [
                    counted.eq(Mux(added > formats.COUNT_MAX, formats.COUNT_MAX, added)),
                    counting.eq(valid & own & (chosen | fresh.bit_select(self.bank, 1))),
                    old.addr.eq(self._place(next_column[shift:], self.bank)),
                    read.en.eq(self.read_enable),
                    read.addr.eq(self._place(self.read_group, self.read_bank)),
                    output.word_select(port, formats.COUNT_BITS).eq(Mux(read_fresh, 0, read.data)),
                ]
                for write in writes:
                    m.d.comb += [
                        write.addr.eq(self._place(column[shift:], self.bank)),
                        write.data.eq(counted),
                        write.en.eq(counting),
                    ]

    def _place(self, group: Value, bank: Value) -> Value:
        """Address of the counters of a group of columns."""
        bits = (self._chip.column_groups - 1).bit_length()
        return Cat(group[:bits], bank)


def _later(m: Module, value: Value, clocks: int, name: str) -> Value:
    """Delay `value` by `clocks` clocks of `mvm`."""
    for number in range(clocks):
        kept = Signal(value.shape(), name=f"{name}_{number}")
        m.d.mvm += kept.eq(value)
        value = kept
    return value
