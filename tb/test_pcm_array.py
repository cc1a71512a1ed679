"""Bench of the PCM macro: random and corner pulses, states and readouts, against the golden twin.

Where the MVM is played as by the modulator, charges come from `golden.reference.pcm_array`; for
arbitrary pulses they come from the definition (`Window.charge`). Counts always come from
`caduceus.golden.reference.adc`.
"""

from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, Timer
from numpy.typing import NDArray

from caduceus.golden.reference.pcm_array import reference_charges
from caduceus.hdl.array import pcm_array
from caduceus.hdl.array.pcm_array import PcmArray
from caduceus.hdl.common import verilog
from caduceus.spec import formats, pcm_state
from caduceus.spec.formats import PHASES, ReadMode, Steer
from caduceus.spec.pcm_state import PcmState
from tb.benches import Bench, Design, Variant
from tb.pcm_macro import PLUSARG, array_chip, pwm_windows, replaced, window
from tb.pcm_session import (
    Session,
    edge_states,
    inversions,
    random_inputs,
    random_pulses,
    random_state,
)

MODES = (ReadMode.ONE_PHASE, ReadMode.FOUR_PHASE)


def _prepare(variant: Variant, folder: Path) -> Design:
    chip = array_chip(variant.parameters)
    sources = pcm_array.write_sources(folder, chip)
    top = pcm_array.MODULE
    if variant.parameters["component"]:
        top = "pcm_array_component"
        sources.append(verilog.write(PcmArray(chip), top, folder / f"{top}.v"))
    return Design(sources, top, plusargs=[PLUSARG])


def sizes(
    rows: int, columns: int, lanes: int, phase_limit: int = 422, mvms: int = 40,
    component: bool = False, by_words: bool = False,
) -> dict:  # fmt: skip
    """Parameters of a variant.

    With `component` the bench drives the macro's component; with `by_words` states come through
    ports instead of files.
    """
    return {
        "rows": rows, "columns": columns, "lanes": lanes, "phase_limit": phase_limit,
        "mvms": mvms, "component": component, "by_words": by_words,
    }  # fmt: skip


BENCH = Bench(
    name="pcm_array",
    covers=("pcm_array.sv", "pcm_memory.sv"),
    variants=(
        Variant("tiny", sizes(16, 16, 1)),
        Variant("component", sizes(12, 8, 2, component=True), regress=("verilator",)),
        Variant("by_words", sizes(8, 16, 2, by_words=True), regress=("verilator",)),
        # Rows beyond one word and not whole words; a last draw of noise that is cut short;
        # counters that saturate in one conversion.
        Variant("odd", sizes(36, 6, 2, phase_limit=formats.COUNT_MAX), regress=("icarus",)),
        # The smallest possible array, and one group of columns.
        Variant("least", sizes(4, 4, 4, phase_limit=300), regress=("verilator",)),
        Variant("hermes", sizes(256, 256, 1, mvms=20), simulators=("verilator",)),
        Variant(
            "large",
            sizes(256, 512, 2, phase_limit=4095, mvms=10),
            simulators=("verilator",),
            regress=True,
        ),
    ),
    prepare=_prepare,
)


@cocotb.test(stage=-1)
async def nothing_before_the_first_load(dut) -> None:
    """Before any load, every device and gain is 0."""
    session = Session(dut)
    await session.macro.start()
    got = await session.run(pwm_windows(np.full(session.rows, 127, np.int8), MODES[0]), bank=0)
    session.check(np.zeros((2, session.columns), int), got, "before any load")


@cocotb.test()
async def random_mvms(dut) -> None:
    """Both modes, both banks; the last MVM's bank is read during the next MVM."""
    session = Session(dut)
    stimulus, macro = session.stimulus, session.macro
    # A readout clock without a simple ratio to the array's clock.
    await macro.start(mvm_ps=1000, read_ps=int(stimulus.choice([370, 1730, 2510])))
    await session.load(random_state(session.chip, stimulus))
    before = reading = None
    for number in range(session.mvms):
        mode = MODES[stimulus.integers(2)]
        x = random_inputs(stimulus, session.rows)
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
    await session.load(random_state(session.chip, stimulus))
    for number in range(session.mvms):
        mode = MODES[stimulus.integers(2)]
        windows = random_pulses(stimulus, session.rows, mode)
        expected = session.expected_pulses(windows, mode)
        got = await session.run(windows, bank=int(stimulus.integers(2)), gap=number % 3)
        session.check(expected, got, f"MVM {number}")


@cocotb.test()
async def reference_currents(dut) -> None:
    """Reference currents replace the cells' currents, in windows of any length, with any pulses."""
    session = Session(dut)
    stimulus = session.stimulus
    await session.macro.start()
    await session.load(random_state(session.chip, stimulus))
    lowest = -(1 << formats.REFERENCE_BITS - 1)
    extremes = (1, -1, lowest, -1 - lowest)
    for number in range(session.mvms):
        mode = MODES[number % 2]
        level = int(stimulus.integers(-6000, 6000)) or 1
        if number < 2 * len(extremes):
            level = extremes[number // 2]
        windows = pwm_windows(random_inputs(stimulus, session.rows), mode)
        if number % 3 == 0:
            windows = random_pulses(stimulus, session.rows, mode)
            charges = [each.charge(session.state.codes[0]) for each in replaced(windows, level)]
        else:
            charges = reference_charges(level, mode, 1, session.columns)[:, 0]
        expected = session.expected(charges, mode)
        got = await session.run(replaced(windows, level), bank=number // 2 % 2)
        session.check(expected, got, f"MVM {number}, reference {level}")
        if number % 5 == 0:
            expected = session.expected_pulses(windows, mode)
            got = await session.run(windows, bank=number // 2 % 2)
            session.check(expected, got, f"the cells again after MVM {number}")


@cocotb.test()
async def extreme_inputs(dut) -> None:
    """All rows at an extreme or at rest; devices at their limits."""
    session = Session(dut)
    await session.macro.start()
    plain = pcm_state.ideal(
        session.chip, np.zeros((1, session.rows, session.columns, 4), np.uint8), seed=1
    )
    for largest in range(16):
        # Every combination of devices at 0 or 255, in turn.
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
    """A conversion saturates at the phase limit, a counter at its largest value."""
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
    # Offsets alone count, too: windows without pulses until the counters saturate.
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
    """A bank keeps its contents while the other one is used."""
    session = Session(dut)
    stimulus, macro = session.stimulus, session.macro
    await macro.start()
    await session.load(random_state(session.chip, stimulus))
    mode = ReadMode.FOUR_PHASE
    for bank in (0, 1, 0):
        x = random_inputs(stimulus, session.rows)
        expected = session.expected_mvm(x, mode)
        session.check(expected, await session.run(pwm_windows(x, mode), bank), "this bank")
        await macro.clear(1 - bank)
        session.reads += 1
        await macro.clocks(1)
        session.check(expected, await macro.read(bank), "other bank cleared")
        zero = np.zeros_like(expected)
        session.check(zero, await macro.read(1 - bank), "an MVM without windows")
        for each in pwm_windows(random_inputs(stimulus, session.rows), mode):
            await macro.window(each, 1 - bank)
        session.check(expected, await macro.read(bank), "other bank counted into")
    assert session.reads == 6


@cocotb.test()
async def clear_in_the_clock_of_a_conversion(dut) -> None:
    """The next MVM is cleared in the clock of the last slot of this one's last window."""
    session = Session(dut)
    stimulus, macro = session.stimulus, session.macro
    await macro.start()
    await session.load(random_state(session.chip, stimulus))
    before = None
    for number in range(6):
        mode = MODES[number // 3]
        windows = random_pulses(stimulus, session.rows, mode)
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
    """Row drives toggle outside windows, and are on when a window begins."""
    session = Session(dut)
    stimulus, macro = session.stimulus, session.macro
    await macro.start()
    await session.load(random_state(session.chip, stimulus))
    every = (1 << session.rows) - 1
    for number in range(4):
        mode = MODES[number % 2]
        windows = random_pulses(stimulus, session.rows, mode)
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
    """Select, steer and bank hold to the last slot; the next clock belongs to the next window."""
    session = Session(dut)
    stimulus, macro = session.stimulus, session.macro
    await macro.start()
    await session.load(random_state(session.chip, stimulus))
    for mode in MODES:
        x = random_inputs(stimulus, session.rows)
        expected = session.expected_mvm(x, mode)
        await macro.clear(1)
        for each in pwm_windows(x, mode):
            other = {"bank": 0, "steer": int(Steer.N if each.steer == Steer.P else Steer.P)}
            other |= {"select_plus": int(not each.select_plus), "select_minus": 0}
            other |= {"reference_level": 99}
            await macro.window(each, 1, after=other)
        session.check(expected, await macro.read(1), f"{mode}")


@cocotb.test()
async def reading_keeps_its_word_and_its_order(dut) -> None:
    """Groups in any order; the outputs hold without `read_enable`."""
    session = Session(dut)
    stimulus, macro = session.stimulus, session.macro
    await macro.start()
    await session.load(random_state(session.chip, stimulus))
    mode = ReadMode.FOUR_PHASE
    x = random_inputs(stimulus, session.rows)
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
        assert held == (int(dut.read_p.value), int(dut.read_n.value)), f"group {group} changed it"


@cocotb.test()
async def loads_any_state_at_any_time(dut) -> None:
    """Several tiles and files in turn; each load resets the read index."""
    session = Session(dut)
    stimulus = session.stimulus
    await session.macro.start()
    states = [random_state(session.chip, stimulus, tiles=3) for _ in range(2)]
    for index in (0, 7, 65534, 7):
        state, tile = states[index % 2], int(stimulus.integers(3))
        await session.load(state, tile, index)
        for mode in (*MODES, MODES[0]):
            x = random_inputs(stimulus, session.rows)
            expected = session.expected_mvm(x, mode)
            got = await session.run(pwm_windows(x, mode), bank=0)
            session.check(expected, got, f"state {index}, tile {tile}, MVM {session.reads - 1}")


@cocotb.test()
async def every_bit_of_the_state_matters(dut) -> None:
    """Any inverted bit changes the counts, to those of golden for this bit."""
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

    edge, noisy = edge_states(session.chip, session.stimulus)
    at_edge = await measure(edge, 0, "at the edge")
    with_noise = await measure(noisy, 0, "with noise")
    blind = []
    for what, state in inversions(edge):
        if (await measure(state, 0, what) == at_edge).all():
            blind.append(what)
    for bit in range(64):
        what = f"bit {bit} of seed inverted"
        if (await measure(replace(noisy, seed=noisy.seed ^ 1 << bit), 0, what) == with_noise).all():
            blind.append(what)
    if (await measure(noisy, 1, "same state in another tile") == with_noise).all():
        blind.append("tile number")
    assert not blind, f"no effect: {', '.join(blind)}"
