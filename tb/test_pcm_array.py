"""Bench of the PCM macro: random and corner pulses, states and readouts, against the golden twin.

Charges come from `golden.pcm_array` where an MVM is played as the modulator would, and from their
definition (`Window.charge`) where pulses are arbitrary; counts always from `golden.adc`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, Timer
from numpy.typing import NDArray

from golden import adc
from golden.pcm_array import Crossbar
from hdl import pcm_array, verilog
from hdl.pcm_array import PcmArray
from spec import formats, pcm_state
from spec.chip import Chip
from spec.formats import PHASES, ReadMode, Steer
from spec.pcm_state import PcmState
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.pcm_macro import PLUSARG, PcmMacro, Window, array_chip, pwm_windows, window
from tb.scoreboard import compare

MODES = (ReadMode.ONE_PHASE, ReadMode.FOUR_PHASE)


def _prepare(variant: Variant, folder: Path) -> Design:
    chip = array_chip(variant.parameters)
    sources = pcm_array.write_sources(folder, chip)
    top = pcm_array.MODULE
    if variant.parameters["component"]:
        top = "pcm_array_component"
        sources.append(verilog.write(PcmArray(chip), top, folder / f"{top}.v"))
    return Design(sources, top, plusargs=[PLUSARG])


def _sizes(
    rows: int, columns: int, lanes: int, phase_limit: int = 422, mvms: int = 40,
    component: bool = False,
) -> dict:  # fmt: skip
    """Parameters of a variant; with `component` the macro is driven through its component."""
    return {
        "rows": rows, "columns": columns, "lanes": lanes, "phase_limit": phase_limit,
        "mvms": mvms, "component": component,
    }  # fmt: skip


BENCH = Bench(
    name="pcm_array",
    variants=(
        Variant("tiny", _sizes(16, 16, 1)),
        Variant("component", _sizes(12, 8, 2, component=True)),
        # Rows beyond one word and not whole words; a last draw of noise that is cut short; counters
        # that fill up in one conversion.
        Variant("odd", _sizes(36, 6, 2, phase_limit=formats.COUNT_MAX)),
        # The smallest array there can be, and one group of columns.
        Variant("least", _sizes(4, 4, 4, phase_limit=300)),
        Variant("hermes", _sizes(256, 256, 1, mvms=60), simulators=("verilator",)),
        Variant(
            "large",
            _sizes(1024, 512, 2, phase_limit=4095, mvms=10),
            simulators=("verilator",),
            regress=True,
        ),
    ),
    prepare=_prepare,
)


def _random_state(chip: Chip, stimulus: np.random.Generator, tiles: int = 1) -> PcmState:
    """Codes, gains, offsets and noise so that counts spread over their range and clip at times."""
    rows, columns = chip.array.rows, chip.array.columns
    shape = (tiles, columns)

    def pick(low: int, high: int, dtype: type) -> NDArray:
        return stimulus.integers(low, high + 1, shape, dtype=dtype)

    # A random MVM's charge is about 127 * 255 * sqrt(rows) / 2: aim it at half of the limit.
    gain = int(chip.adc.phase_limit * 2**formats.GAIN_FRACTION / (127 * 255 * rows**0.5))
    gain = min(gain, (1 << formats.GAIN_BITS) // 2)
    return PcmState(
        chip=chip.name,
        seed=int(stimulus.integers(1 << 64, dtype=np.uint64)),
        codes=stimulus.integers(0, 256, (tiles, rows, columns, 4), dtype=np.uint8),
        gain_p=pick(gain // 2, 2 * gain, np.uint32),
        gain_n=pick(gain // 2, 2 * gain, np.uint32),
        offset_p=pick(-9000, 9000, np.int16),
        offset_n=pick(-9000, 9000, np.int16),
        # Every other draw of noise covers columns without noise only.
        noise=pick(0, 3000, np.uint16) * (np.arange(columns) // 4 % 2 == 0).astype(np.uint16),
    )


def _random_inputs(stimulus: np.random.Generator, rows: int) -> NDArray[np.int8]:
    """INT8 inputs with many zeros and many extremes."""
    x = stimulus.integers(-127, 128, rows, dtype=np.int8)
    kind = stimulus.integers(0, 8, rows)
    x[kind == 0] = 0
    x[kind == 1] = 127
    x[kind == 2] = -127
    return x


def _random_pulses(stimulus: np.random.Generator, rows: int, mode: ReadMode) -> list[Window]:
    """Windows of any length with pulses that come and go, and that overlap in polarity.

    Where a window is steered to one counter the net pulses of the rows are kept positive, as a
    column's current then has one direction.
    """
    windows = []
    for phase in PHASES[mode]:
        slots = int(stimulus.choice([1, 2, 5, 31, 64, 128, 150]))
        density = stimulus.choice([0, 0.02, 0.5, 0.98, 1])
        # Toggles where a random number is small: long pulses, and gaps in them.
        toggles = stimulus.random((2, slots, rows)) < stimulus.choice([0.02, 0.3])
        start = stimulus.random((2, 1, rows)) < density
        add, sub = np.logical_xor.accumulate(np.concatenate([start, toggles[:, 1:]], 1), 1)
        if phase.steer != Steer.BY_SIGN:
            sub &= add
        windows.append(window(phase, add, sub))
    return windows


class Session:
    """A macro, and the golden model's idea of what its counters hold."""

    def __init__(self, dut: object) -> None:
        parameters = benches.current()
        self.chip = array_chip(parameters)
        self.rows, self.columns = parameters["rows"], parameters["columns"]
        self.mvms = parameters["mvms"]
        clocks = ("mvm_clk", "clk") if parameters["component"] else ("clk", "read_clk")
        self.macro = PcmMacro(dut, self.rows, self.columns, parameters["lanes"], *clocks)
        self.stimulus = benches.generator()
        self.state: PcmState | None = None
        self.tile = 0
        self.reads = 0
        self.compared = 0

    async def load(self, state: PcmState, tile: int = 0, index: int = 0) -> None:
        """Have the macro and golden take a tile of `state`."""
        await self.macro.load(state, tile, index)
        self.state, self.tile, self.reads = state, tile, 0

    def expected(self, charges: NDArray, mode: ReadMode) -> NDArray:
        """Counters P and N [2, columns] after the next MVM with these charges [phases, columns]."""
        counters = adc.convert(
            np.asarray(charges)[:, np.newaxis], self.state, self.tile, mode,
            self.chip.adc.phase_limit, self.reads,
        )  # fmt: skip
        self.reads += 1
        return np.concatenate(counters)

    def expected_pulses(self, windows: list[Window], mode: ReadMode) -> NDArray:
        """Likewise for arbitrary pulses."""
        codes = self.state.codes[self.tile]
        return self.expected([each.charge(codes) for each in windows], mode)

    def expected_mvm(self, x: NDArray[np.int8], mode: ReadMode) -> NDArray:
        """Likewise for an input vector [rows]."""
        return self.expected(
            Crossbar(self.state, self.tile).charges(x[np.newaxis], mode)[:, 0], mode
        )

    def check(self, expected: NDArray, got: NDArray, what: str) -> None:
        """Demand that counters [2, columns] are as expected."""

        def describe(index: tuple[int, ...]) -> str:
            return f"{what}, counter {'PN'[index[0]]}, column {index[1]}"

        self.compared += compare(expected, got, describe).compared

    async def run(self, windows: list[Window], bank: int, gap: int = 0) -> NDArray:
        """Counters after an MVM."""
        await self.macro.mvm(windows, bank, gap)
        return await self.macro.read(bank)


@cocotb.test()
async def nothing_before_the_first_load(dut) -> None:
    """Without a state every device and gain is 0."""
    session = Session(dut)
    await session.macro.start()
    got = await session.run(pwm_windows(np.full(session.rows, 127, np.int8), MODES[0]), bank=0)
    session.check(np.zeros((2, session.columns), int), got, "before any load")


@cocotb.test()
async def random_mvms(dut) -> None:
    """Both modes, both banks, with the last MVM's bank read while the next one is counted."""
    session = Session(dut)
    stimulus, macro = session.stimulus, session.macro
    # A readout clock that has no simple ratio to the array's.
    await macro.start(mvm_ps=1000, read_ps=int(stimulus.choice([370, 1730, 2510])))
    await session.load(_random_state(session.chip, stimulus))
    before = reading = None
    for number in range(session.mvms):
        mode = MODES[stimulus.integers(2)]
        x = _random_inputs(stimulus, session.rows)
        bank = number % 2
        expected = session.expected_mvm(x, mode)
        await macro.mvm(pwm_windows(x, mode), bank, gap=int(stimulus.integers(3)))
        if reading:
            session.check(before, await reading, f"MVM {number - 1}")
        before = expected
        reading = cocotb.start_soon(macro.read(bank))
    session.check(before, await reading, f"MVM {session.mvms - 1}")
    assert session.compared == 2 * session.columns * session.mvms
    assert session.state.noise.any()


@cocotb.test()
async def arbitrary_pulses(dut) -> None:
    """Pulses with gaps, of both polarities at once, in windows of any length."""
    session = Session(dut)
    stimulus = session.stimulus
    await session.macro.start()
    await session.load(_random_state(session.chip, stimulus))
    for number in range(session.mvms):
        mode = MODES[stimulus.integers(2)]
        windows = _random_pulses(stimulus, session.rows, mode)
        expected = session.expected_pulses(windows, mode)
        got = await session.run(windows, bank=int(stimulus.integers(2)), gap=number % 3)
        session.check(expected, got, f"MVM {number}")


@cocotb.test()
async def extreme_inputs(dut) -> None:
    """All rows at an extreme or at rest; devices at their limits."""
    session = Session(dut)
    await session.macro.start()
    plain = pcm_state.ideal(
        session.chip, np.zeros((1, session.rows, session.columns, 4), np.uint8), seed=1
    )
    for largest in range(16):
        # Each device at 0 or 255: every combination in turn.
        plain.codes[0] = [255 * (largest >> device & 1) for device in range(4)]
        await session.load(plain)
        for value in (127, -127, 1, -1, 0, -128):
            for mode in MODES:
                x = np.full(session.rows, value, np.int8)
                expected = session.expected_mvm(x, mode)
                got = await session.run(pwm_windows(x, mode), bank=largest % 2)
                session.check(expected, got, f"devices {largest:04b}, input {value}, {mode}")


@cocotb.test()
async def saturation(dut) -> None:
    """One conversion stops at the phase limit, a counter at its largest value."""
    session = Session(dut)
    await session.macro.start()
    limit = session.chip.adc.phase_limit
    codes = np.full((1, session.rows, session.columns, 4), 255, np.uint8)
    codes[..., 2:] = 0
    state = pcm_state.ideal(session.chip, codes)
    top = (1 << formats.GAIN_BITS) - 1
    state.gain_p[:], state.gain_n[:] = top, top
    await session.load(state)
    x = np.full(session.rows, 127, np.int8)
    for mode in MODES:
        expected = session.expected_mvm(x, mode)
        assert (expected[0] == limit).all(), "the stimulus does not reach the limit"
        session.check(expected, await session.run(pwm_windows(x, mode), 0), f"limit, {mode}")
    # Offsets alone count, too: windows without pulses until the counters are full.
    state.offset_p[:], state.offset_n[:] = 32767, 32767
    await session.load(state)
    await session.macro.clear(0)
    idle = np.zeros((1, session.rows), bool)
    count = min(32767 >> formats.OFFSET_FRACTION, limit)
    for windows in range(1, 2 * formats.COUNT_MAX // count):
        for phase in PHASES[ReadMode.FOUR_PHASE][1:3]:
            await session.macro.window(window(phase, idle, idle), 0)
        full = min(windows * count, formats.COUNT_MAX)
        expected = np.full((2, session.columns), full)
        session.check(expected, await session.macro.read(0), f"after {windows} windows")
    assert full == formats.COUNT_MAX


@cocotb.test()
async def clear_and_windows_touch_only_their_bank(dut) -> None:
    """What the other bank holds stays, whatever happens to this one."""
    session = Session(dut)
    stimulus, macro = session.stimulus, session.macro
    await macro.start()
    await session.load(_random_state(session.chip, stimulus))
    mode = ReadMode.FOUR_PHASE
    for bank in (0, 1, 0):
        x = _random_inputs(stimulus, session.rows)
        expected = session.expected_mvm(x, mode)
        session.check(expected, await session.run(pwm_windows(x, mode), bank), "this bank")
        await macro.clear(1 - bank)
        session.reads += 1
        await macro.clocks(1)
        session.check(expected, await macro.read(bank), "other bank cleared")
        zero = np.zeros_like(expected)
        session.check(zero, await macro.read(1 - bank), "an MVM without windows")
        for each in pwm_windows(_random_inputs(stimulus, session.rows), mode):
            await macro.window(each, 1 - bank)
        session.check(expected, await macro.read(bank), "other bank counted into")
    assert session.reads == 6


@cocotb.test()
async def clear_in_the_clock_of_a_conversion(dut) -> None:
    """The next MVM is cleared in the very clock in which the last window of this one ends."""
    session = Session(dut)
    stimulus, macro = session.stimulus, session.macro
    await macro.start()
    await session.load(_random_state(session.chip, stimulus))
    before = None
    for number in range(6):
        mode = MODES[number // 3]
        windows = _random_pulses(stimulus, session.rows, mode)
        expected = session.expected_pulses(windows, mode)
        if number == 0:
            await macro.clear(0)
        for index, each in enumerate(windows):
            last = index == len(windows) - 1
            after = {"clear": 1, "bank": 1 - number % 2} if last else None
            await macro.window(each, number % 2, after)
        dut.clear.value = 0
        session.check(expected, await macro.read(number % 2), f"MVM {number}")
        if before is not None:
            zero = np.zeros_like(expected)
            session.check(zero, await macro.read(1 - number % 2), f"after MVM {number}")
        before = expected


@cocotb.test()
async def pulses_outside_windows_do_nothing(dut) -> None:
    """Row drives move while nothing is integrated, and are on when a window begins."""
    session = Session(dut)
    stimulus, macro = session.stimulus, session.macro
    await macro.start()
    await session.load(_random_state(session.chip, stimulus))
    every = (1 << session.rows) - 1
    for number in range(4):
        mode = MODES[number % 2]
        windows = _random_pulses(stimulus, session.rows, mode)
        expected = session.expected_pulses(windows, mode)
        await macro.clear(0)
        for each in windows:
            for drive in (every, 0, every):
                dut.pulse_add.value, dut.pulse_sub.value = drive, every & ~drive
                await macro.clocks(3)
            await macro.window(each, 0)
            dut.pulse_add.value, dut.pulse_sub.value = every, 0
            await macro.clocks(2)
        session.check(expected, await macro.read(0), f"MVM {number}")


@cocotb.test()
async def set_up_of_a_window_may_change_when_it_is_over(dut) -> None:
    """Select, steer and bank hold to the last slot; the clock after it belongs to what is next."""
    session = Session(dut)
    stimulus, macro = session.stimulus, session.macro
    await macro.start()
    await session.load(_random_state(session.chip, stimulus))
    for mode in MODES:
        x = _random_inputs(stimulus, session.rows)
        expected = session.expected_mvm(x, mode)
        await macro.clear(1)
        for each in pwm_windows(x, mode):
            other = {"bank": 0, "steer": int(Steer.N if each.steer == Steer.P else Steer.P)}
            other |= {"select_plus": int(not each.select_plus), "select_minus": 0}
            await macro.window(each, 1, after=other)
        session.check(expected, await macro.read(1), f"{mode}")


@cocotb.test()
async def reading_keeps_its_word_and_its_order(dut) -> None:
    """Groups in any order; the outputs stay without `read_enable`."""
    session = Session(dut)
    stimulus, macro = session.stimulus, session.macro
    await macro.start()
    await session.load(_random_state(session.chip, stimulus))
    mode = ReadMode.FOUR_PHASE
    x = _random_inputs(stimulus, session.rows)
    expected = session.expected_mvm(x, mode)
    await macro.mvm(pwm_windows(x, mode), 0)
    groups = [int(group) for group in stimulus.permutation(session.columns // macro.readout.lanes)]
    session.check(expected, await macro.read(0, groups), "shuffled")
    held = int(dut.read_p.value), int(dut.read_n.value)
    for group in groups:
        dut.read_group.value = group
        dut.read_bank.value = 1
        await ClockCycles(macro.readout.clock, 1)
        await Timer(1, "ps")
        assert held == (int(dut.read_p.value), int(dut.read_n.value)), f"group {group} moved it"


@cocotb.test()
async def loads_any_state_at_any_time(dut) -> None:
    """Several tiles and files in turn; each load starts the read index anew."""
    session = Session(dut)
    stimulus = session.stimulus
    await session.macro.start()
    states = [_random_state(session.chip, stimulus, tiles=3) for _ in range(2)]
    for index in (0, 7, 65534, 7):
        state, tile = states[index % 2], int(stimulus.integers(3))
        await session.load(state, tile, index)
        for mode in (*MODES, MODES[0]):
            x = _random_inputs(stimulus, session.rows)
            expected = session.expected_mvm(x, mode)
            got = await session.run(pwm_windows(x, mode), bank=0)
            session.check(expected, got, f"state {index}, tile {tile}, MVM {session.reads - 1}")


@cocotb.test()
async def every_bit_of_the_state_matters(dut) -> None:
    """Inverting any one bit gives other counts, and those that golden gives for it."""
    session = Session(dut)
    await session.macro.start()
    mode = ReadMode.FOUR_PHASE
    x = np.full(session.rows, 127, np.int8)
    x[1::2] = -127

    async def measure(state: PcmState, tile: int, what: str) -> NDArray:
        await session.load(state, tile)
        expected = session.expected_mvm(x, mode)
        session.check(expected, await session.run(pwm_windows(x, mode), 0), what)
        return expected

    edge, noisy = _edge_states(session.chip, session.stimulus)
    at_edge = await measure(edge, 0, "at the edge")
    with_noise = await measure(noisy, 0, "with noise")
    blind = []
    for what, state in _inversions(edge):
        if (await measure(state, 0, what) == at_edge).all():
            blind.append(what)
    for bit in range(64):
        what = f"bit {bit} of seed inverted"
        if (await measure(replace(noisy, seed=noisy.seed ^ 1 << bit), 0, what) == with_noise).all():
            blind.append(what)
    if (await measure(noisy, 1, "same state in another tile") == with_noise).all():
        blind.append("tile number")
    assert not blind, f"no effect: {', '.join(blind)}"


def _edge_states(chip: Chip, stimulus: np.random.Generator) -> tuple[PcmState, PcmState]:
    """A state in which the last bit of anything shows, and the same with much noise (two tiles).

    Half the rows get +127, half -127, and both polarities of every cell add up to 255, so each of
    the four phases has the same charge. The gains bring it as close under a whole count as they
    can, with offset and noise 0: a bit that changes from 0 to 1 anywhere pushes it over. Columns
    differ in their gains so that every bit of the gain is 0 in one of them.
    """
    rows, columns = chip.array.rows, chip.array.columns
    codes = np.empty((2, rows, columns, 4), np.uint8)
    codes[:, :, 0::2] = [0x55, 0xAA, 0x55, 0xAA]
    codes[:, :, 1::2] = [0xAA, 0x55, 0xAA, 0x55]
    edge = pcm_state.ideal(chip, codes, seed=int(stimulus.integers(1 << 63)))
    charge = 127 * 255 * rows // 2
    one = 2**formats.GAIN_FRACTION
    # Two phases add to a counter, which must not be full; and no gain exceeds its code.
    largest = ((1 << formats.GAIN_BITS) - 1) * charge // one
    most = min(chip.adc.phase_limit - 1, formats.COUNT_MAX // 2, largest)
    # Losing a bit of the gain that is worth more than a count shows in any case.
    low_bits = (1 << (one // charge).bit_length()) - 1
    gain = np.full(columns, -1)
    while np.bitwise_and.reduce(gain) & low_bits:
        # In the upper half, where the smallest device step is worth more than what is left over.
        counts = stimulus.integers(most // 2, most, columns, endpoint=True)
        gain = -(-counts * one // charge) - 1
    edge.gain_p[:], edge.gain_n[:] = gain, gain
    return edge, replace(edge, noise=np.full((2, columns), 2000, np.uint16))


def _inversions(state: PcmState) -> Iterator[tuple[str, PcmState]]:
    """`state` with one bit of a field of tile 0 inverted: of one device, of all columns."""
    for device, name in enumerate(formats.DEVICES):
        for bit in range(formats.DEVICE_BITS):
            codes = state.codes.copy()
            # The first cell, among neighbours with complementary codes, in which the bit is 0.
            column = int(codes[0, 0, 0, device]) >> bit & 1
            codes[0, 0, column, device] ^= 1 << bit
            yield f"bit {bit} of {name} inverted", replace(state, codes=codes)
    for name, bits in (
        ("gain_p", formats.GAIN_BITS),
        ("gain_n", formats.GAIN_BITS),
        ("offset_p", formats.OFFSET_BITS),
        ("offset_n", formats.OFFSET_BITS),
        ("noise", formats.NOISE_BITS),
    ):
        for bit in range(bits):
            array = getattr(state, name).copy()
            unsigned = array.view(f"u{array.itemsize}")
            unsigned[0] ^= unsigned.dtype.type(1 << bit)
            yield f"bit {bit} of {name} inverted", replace(state, **{name: array})
