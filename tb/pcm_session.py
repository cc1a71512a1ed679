"""Random states, inputs and pulses for the PCM macro, and a session that checks it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.reference import adc
from caduceus.golden.reference.pcm_array import Crossbar
from caduceus.sim.scoreboard import compare
from caduceus.spec import formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import PHASES, ReadMode, Steer
from caduceus.spec.pcm_state import PcmState
from tb import benches
from tb.pcm_macro import PcmMacro, Window, array_chip, window


def random_state(chip: Chip, stimulus: np.random.Generator, tiles: int = 1) -> PcmState:
    """Random codes, gains, offsets and noise: counts spread over their range and sometimes clip."""
    rows, columns = chip.array.rows, chip.array.columns
    shape = (tiles, columns)

    def pick(low: int, high: int, dtype: type) -> NDArray:
        return stimulus.integers(low, high + 1, shape, dtype=dtype)

    # A random MVM's charge is about 127 * 255 * sqrt(rows) / 2: aim for half of the limit.
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
        # Every other draw of noise covers only noiseless columns.
        noise=pick(0, 3000, np.uint16) * (np.arange(columns) // 4 % 2 == 0).astype(np.uint16),
    )


def random_inputs(stimulus: np.random.Generator, rows: int) -> NDArray[np.int8]:
    """INT8 inputs with many zeros and many extreme values."""
    x = stimulus.integers(-127, 128, rows, dtype=np.int8)
    kind = stimulus.integers(0, 8, rows)
    x[kind == 0] = 0
    x[kind == 1] = 127
    x[kind == 2] = -127
    return x


def random_pulses(stimulus: np.random.Generator, rows: int, mode: ReadMode) -> list[Window]:
    """Windows of random length with intermittent pulses that overlap in polarity.

    In a window that steers to a single counter, the net pulses of the rows stay positive: the
    current of a column has one direction.
    """
    windows = []
    for phase in PHASES[mode]:
        slots = int(stimulus.choice([1, 2, 5, 31, 64, 128, 150]))
        density = stimulus.choice([0, 0.02, 0.5, 0.98, 1])
        # A small random number toggles the drive: long pulses with gaps.
        toggles = stimulus.random((2, slots, rows)) < stimulus.choice([0.02, 0.3])
        start = stimulus.random((2, 1, rows)) < density
        add, sub = np.logical_xor.accumulate(np.concatenate([start, toggles[:, 1:]], 1), 1)
        if phase.steer != Steer.BY_SIGN:
            sub &= add
        windows.append(window(phase, add, sub))
    return windows


class Session:
    """A macro, and the golden model's copy of its counters."""

    def __init__(self, dut: object) -> None:
        parameters = benches.current()
        self.chip = array_chip(parameters)
        self.rows, self.columns = parameters["rows"], parameters["columns"]
        self.mvms = parameters["mvms"]
        clocks = ("mvm_clk", "clk") if parameters["component"] else ("clk", "read_clk")
        self.macro = PcmMacro(
            dut, self.rows, self.columns, parameters["lanes"], *clocks,
            by_words=parameters["by_words"],
        )  # fmt: skip
        self.stimulus = benches.generator()
        self.state: PcmState | None = None
        self.tile = 0
        self.reads = 0
        self.compared = 0

    async def load(self, state: PcmState, tile: int = 0, index: int = 0) -> None:
        """Load a tile of `state` into the macro and golden."""
        await self.macro.load(state, tile, index)
        self.state, self.tile, self.reads = state, tile, 0

    def expected(self, charges: NDArray, mode: ReadMode) -> NDArray:
        """Expected counters P, N [2, columns] after an MVM with charges [phases, columns]."""
        counters = adc.convert(
            np.asarray(charges)[:, np.newaxis], self.state, self.tile, mode,
            self.chip.adc.phase_limit, self.reads,
        )  # fmt: skip
        self.reads += 1
        return np.concatenate(counters)

    def expected_pulses(self, windows: list[Window], mode: ReadMode) -> NDArray:
        """Expected counters after arbitrary pulses."""
        codes = self.state.codes[self.tile]
        return self.expected([each.charge(codes) for each in windows], mode)

    def expected_mvm(self, x: NDArray[np.int8], mode: ReadMode) -> NDArray:
        """Expected counters after an input vector [rows]."""
        return self.expected(
            Crossbar(self.state, self.tile).charges(x[np.newaxis], mode)[:, 0], mode
        )

    def check(self, expected: NDArray, got: NDArray, what: str) -> None:
        """Check that counters [2, columns] are as expected."""

        def describe(index: tuple[int, ...]) -> str:
            return f"{what}, counter {'PN'[index[0]]}, column {index[1]}"

        self.compared += compare(expected, got, describe).compared

    async def run(self, windows: list[Window], bank: int, gap: int = 0) -> NDArray:
        """Run an MVM; returns its counters."""
        await self.macro.mvm(windows, bank, gap)
        return await self.macro.read(bank)


def edge_states(chip: Chip, stimulus: np.random.Generator) -> tuple[PcmState, PcmState]:
    """A state that exposes the last bit of every field, and the same with much noise (two tiles).

    Half the rows get +127, half -127, and both polarities of every cell add up to 255, so the four
    phases have equal charge. With offset and noise 0, the gains bring it as close below a whole
    count as they can: any bit that changes from 0 to 1 raises the count. Gains differ between
    columns, so every bit of the gain is 0 in some column.
    """
    rows, columns = chip.array.rows, chip.array.columns
    codes = np.empty((2, rows, columns, 4), np.uint8)
    codes[:, :, 0::2] = [0x55, 0xAA, 0x55, 0xAA]
    codes[:, :, 1::2] = [0xAA, 0x55, 0xAA, 0x55]
    edge = pcm_state.ideal(chip, codes, seed=int(stimulus.integers(1 << 63)))
    charge = 127 * 255 * rows // 2
    one = 2**formats.GAIN_FRACTION
    # Two phases add to a counter, which must not saturate; and no gain exceeds its code.
    largest = ((1 << formats.GAIN_BITS) - 1) * charge // one
    most = min(chip.adc.phase_limit - 1, formats.COUNT_MAX // 2, largest)
    # A gain bit worth more than a count shows in any case.
    low_bits = (1 << (one // charge).bit_length()) - 1
    gain = np.full(columns, -1)
    while np.bitwise_and.reduce(gain) & low_bits:
        # In the upper half, the smallest device step is worth more than the remainder.
        counts = stimulus.integers(most // 2, most, columns, endpoint=True)
        gain = -(-counts * one // charge) - 1
    edge.gain_p[:], edge.gain_n[:] = gain, gain
    return edge, replace(edge, noise=np.full((2, columns), 2000, np.uint16))


def inversions(state: PcmState) -> Iterator[tuple[str, PcmState]]:
    """`state` with one bit of one field of tile 0 inverted: of one device, or of all columns."""
    for device, name in enumerate(formats.DEVICES):
        for bit in range(formats.DEVICE_BITS):
            codes = state.codes.copy()
            # The first cell, among neighbors with complementary codes, in which the bit is 0.
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
