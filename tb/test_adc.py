"""Bench of the converters: random and corner charges against golden, down to the last bit."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from numpy.typing import NDArray

from caduceus.golden.reference import adc
from caduceus.hdl.array import pcm_array
from caduceus.sim.scoreboard import With, compare, named
from caduceus.spec import formats, pcm_state
from caduceus.spec.formats import PHASES, ReadMode, Steer
from caduceus.spec.pcm_state import PcmState
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.pcm_macro import array_chip
from tb.readout import Readout

UNIT = 1 << formats.GAIN_FRACTION
"""One count, in units of gain codes."""
LARGEST_CHARGE = formats.INT8_MAX * formats.CELL_MAX * 1024
"""Charge of a column of the largest array."""


def _prepare(variant: Variant, folder: Path) -> Design:
    chip = array_chip(variant.parameters)
    *sources, _ = pcm_array.write_sources(folder, chip)
    return Design([*sources, Path(__file__).with_name("sv") / "adc_bench.sv"], "adc_bench")


def _sizes(columns: int, lanes: int, phase_limit: int, mvms: int = 50) -> dict:
    return {"rows": 4, "columns": columns, "lanes": lanes, "phase_limit": phase_limit, "mvms": mvms}


BENCH = Bench(
    name="adc",
    covers=("adc.sv",),
    variants=(
        Variant("tiny", _sizes(16, 1, 422)),
        # The last draw of noise is cut short, and counters saturate in one conversion.
        Variant("odd", _sizes(6, 2, formats.COUNT_MAX), regress=("verilator",)),
        # All columns are read at once, and conversions saturate together.
        Variant("least", _sizes(4, 4, 1), regress=("verilator",)),
        Variant("hermes", _sizes(256, 1, 422), simulators=("verilator",)),
        Variant("long", _sizes(256, 1, 422, mvms=5000), simulators=("verilator",), regress=True),
    ),
    prepare=_prepare,
)


def _packed(values: NDArray, width: int) -> int:
    """Column values as one integer, first lowest."""
    return int.from_bytes(np.asarray(values).astype(f"<i{width // 8}").tobytes(), "little")


class Converters:
    """Drives the converters."""

    def __init__(self, dut: object) -> None:
        parameters = benches.current()
        self.dut = dut
        self.chip = array_chip(parameters)
        self.columns, self.mvms = parameters["columns"], parameters["mvms"]
        self.limit = parameters["phase_limit"]
        self.readout = Readout(dut, self.columns, parameters["lanes"])
        self.stimulus = benches.generator()
        self.state: PcmState | None = None
        self.tile = 0

    async def start(self) -> None:
        """Start clocks, drive idle inputs."""
        for name in ("set", "clear", "convert"):
            getattr(self.dut, name).value = 0
        self.readout.idle()
        Clock(self.dut.clk, 2, "ns", impl="gpi").start()
        Clock(self.dut.read_clk, 3, "ns", impl="gpi").start()
        await RisingEdge(self.dut.clk)

    async def set(self, state: PcmState, tile: int = 0) -> None:
        """Load the characteristics of a tile of `state`."""
        self.state, self.tile = state, tile
        for name, width in (
            ("gain_p", 32), ("gain_n", 32), ("offset_p", 16), ("offset_n", 16), ("noise", 16)
        ):  # fmt: skip
            getattr(self.dut, name).value = _packed(getattr(state, name)[tile], width)
        self.dut.seed.value = state.seed
        self.dut.tile.value = tile
        await self.strobe("set")

    async def strobe(self, name: str) -> None:
        """Set an input for one clock edge."""
        getattr(self.dut, name).value = 1
        await RisingEdge(self.dut.clk)
        getattr(self.dut, name).value = 0

    async def mvm(
        self, charges: Iterable[NDArray], mode: ReadMode, read: int, bank: int
    ) -> NDArray[np.uint16]:
        """Counters [2, columns] after the windows of an MVM with these charges [columns]."""
        self.dut.bank.value = bank
        await self.strobe("clear")
        for number, (phase, charge) in enumerate(zip(PHASES[mode], charges, strict=True)):
            self.dut.charge.value = _packed(charge, 32)
            self.dut.steer.value = int(phase.steer)
            self.dut.read.value = read
            self.dut.phase.value = number
            await self.strobe("convert")
        return await self.readout.read(bank)

    def expected(self, charges: NDArray, mode: ReadMode, read: int) -> NDArray:
        """Golden's counters for charges [phases, columns]."""
        counters = adc.convert(
            np.asarray(charges)[:, np.newaxis], self.state, self.tile, mode, self.limit, read
        )
        return np.concatenate(counters)

    async def check(self, charges: NDArray, mode: ReadMode, read: int = 0, bank: int = 0) -> None:
        """Convert these charges and compare with golden."""
        got = await self.mvm(charges, mode, read, bank)
        compare(self.expected(charges, mode, read), got, self.describe(charges, mode))

    def describe(
        self, charges: Sequence[NDArray], mode: ReadMode
    ) -> Callable[[tuple[int, ...]], With]:
        """Place of a count, with all its settings."""

        def describe(index: tuple[int, ...]) -> With:
            side, column = index
            fields = {
                name: int(getattr(self.state, name)[self.tile, column])
                for name in ("gain_p", "gain_n", "offset_p", "offset_n", "noise")
            }
            charge = {f"charge_{i}": int(charge[column]) for i, charge in enumerate(charges)}
            return With(
                f"column {column}, counter {'PN'[side]}",
                named(read_mode=mode, tile=self.tile, **charge, **fields),
            )

        return describe

    def random_state(self, tiles: int = 1, noise: int = 3000) -> PcmState:
        """Random codes, with extra weight on the extreme ones."""
        shape = (tiles, self.columns)

        def pick(low: int, high: int, dtype: type) -> NDArray:
            values = self.stimulus.integers(low, high + 1, shape, dtype=np.int64)
            kind = self.stimulus.integers(0, 10, shape)
            values[kind == 0], values[kind == 1], values[kind == 2] = low, high, 0
            return values.astype(dtype)

        return PcmState(
            chip=self.chip.name,
            seed=int(self.stimulus.integers(1 << 64, dtype=np.uint64)),
            codes=np.zeros((tiles, 4, self.columns, 4), np.uint8),
            gain_p=pick(0, (1 << formats.GAIN_BITS) - 1, np.uint32),
            gain_n=pick(0, (1 << formats.GAIN_BITS) - 1, np.uint32),
            offset_p=pick(-(1 << 15), (1 << 15) - 1, np.int16),
            offset_n=pick(-(1 << 15), (1 << 15) - 1, np.int16),
            noise=pick(0, noise, np.uint16),
        )

    def random_charges(self, mode: ReadMode) -> NDArray[np.int32]:
        """Random charges up to the largest possible one, and 0: [phases, columns]."""
        size = 2.0 ** self.stimulus.uniform(0, 26, (len(PHASES[mode]), self.columns))
        charges = size.astype(np.int32) * self.stimulus.integers(0, 2, size.shape, dtype=np.int32)
        if mode == ReadMode.ONE_PHASE:
            charges *= self.stimulus.choice(np.array([-1, 1], np.int32), size.shape)
        return charges


@cocotb.test()
async def random_charges(dut) -> None:
    """Random charge, characteristics and read index; both modes, both banks, several tiles."""
    converters = Converters(dut)
    stimulus = converters.stimulus
    await converters.start()
    for number in range(converters.mvms):
        if number % 10 == 0:
            state = converters.random_state(tiles=3, noise=(0, 3000, 65535)[number // 10 % 3])
            await converters.set(state, int(stimulus.integers(3)))
        mode = (ReadMode.ONE_PHASE, ReadMode.FOUR_PHASE)[number % 2]
        read = int(stimulus.integers(1 << 31))
        await converters.check(converters.random_charges(mode), mode, read, bank=number // 2 % 2)


@cocotb.test()
async def edges_of_a_count(dut) -> None:
    """The charge at which the next count begins, and the one below it, in exact arithmetic."""
    converters = Converters(dut)
    await converters.start()
    shift = formats.GAIN_FRACTION - formats.OFFSET_FRACTION
    compared = 0
    for _ in range(converters.mvms):
        state = converters.random_state(noise=0)
        state.gain_n[:] |= 1 << 12
        await converters.set(state)
        gains, offsets = state.gain_n[0].tolist(), (state.offset_n[0].astype(int) << shift).tolist()
        counts = converters.stimulus.integers(1, converters.limit + 1, converters.columns).tolist()
        edges = np.array([
            -((offset - count * UNIT) // gain)
            for count, gain, offset in zip(counts, gains, offsets, strict=True)
        ])  # fmt: skip
        # An offset may exceed the count already, and a small gain may put it out of reach.
        within = (edges > 1) & (edges < LARGEST_CHARGE)
        for below in (0, 1):
            charge = -np.where(within, edges - below, 0).astype(np.int32)
            got = await converters.mvm([charge], ReadMode.ONE_PHASE, read=0, bank=0)
            expected = np.array(counts)[within] - below
            compared += compare(expected, got[1][within], lambda index: f"edge {index[0]}").compared
            describe = converters.describe([charge], ReadMode.ONE_PHASE)
            compare(converters.expected([charge], ReadMode.ONE_PHASE, 0), got, describe)
    assert compared > converters.mvms


@cocotb.test()
async def limits(dut) -> None:
    """A conversion saturates at 0 and at the phase limit, a counter at its largest value."""
    converters = Converters(dut)
    await converters.start()
    codes = np.zeros((1, 4, converters.columns, 4), np.uint8)
    state = pcm_state.ideal(converters.chip, codes)
    mode = ReadMode.FOUR_PHASE
    # One count per unit of charge exceeds every gain code: 2**8 units make one.
    state.gain_p[:] = state.gain_n[:] = 1 << formats.GAIN_BITS - 1
    unit = UNIT >> formats.GAIN_BITS - 1
    limit = converters.limit
    for offset in (0, -3, 5):
        state.offset_p[:] = offset << formats.OFFSET_FRACTION
        state.offset_n[:] = (offset << formats.OFFSET_FRACTION) - 1
        await converters.set(state)
        for count in (0, 1, 2, 3, 4, limit - 1, limit, limit + 1, 2 * limit, 100 * limit):
            charges = np.full((4, converters.columns), count * unit, np.int32)
            got = await converters.mvm(charges, mode, read=0, bank=1)
            p = min(2 * min(max(count + offset, 0), limit), formats.COUNT_MAX)
            n = min(2 * min(max(count + offset - 1, 0), limit), formats.COUNT_MAX)
            plain = np.array([[p] * converters.columns, [n] * converters.columns])
            compare(plain, got, converters.describe(charges, mode))
            await converters.check(charges, mode)
    # Windows keep adding until the counter saturates, and no further.
    dut.bank.value = 0
    await converters.strobe("clear")
    dut.charge.value = _packed(np.full(converters.columns, 2 * limit * unit), 32)
    for steer, side in ((Steer.P, 0), (Steer.N, 1)):
        dut.steer.value = int(steer)
        for windows in range(1, formats.COUNT_MAX // limit + 3 if limit > 1 else 5):
            await converters.strobe("convert")
            got = await converters.readout.read(0)
            full = min(windows * limit, formats.COUNT_MAX)
            compare(np.full(converters.columns, full), got[side], lambda i: f"column {i[0]}")


@cocotb.test()
async def banks_are_apart(dut) -> None:
    """Clearing and counting leave the other bank alone."""
    converters = Converters(dut)
    await converters.start()
    await converters.set(converters.random_state())
    mode = ReadMode.FOUR_PHASE
    held = await converters.readout.read(1)
    for number in range(8):
        charges = converters.random_charges(mode)
        await converters.check(charges, mode, read=number, bank=number % 2)
        other = await converters.readout.read(1 - number % 2)
        compare(held, other, lambda i: f"other bank, counter {'PN'[i[0]]}, column {i[1]}")
        held = converters.expected(charges, mode, number)


@cocotb.test()
async def noise_moves_with_its_address(dut) -> None:
    """Read, phase, tile and seed each change the noise; the same address repeats it."""
    converters = Converters(dut)
    await converters.start()
    state = converters.random_state(tiles=2)
    state.gain_p[:] = state.gain_n[:] = 20_000
    state.offset_p[:] = state.offset_n[:] = 0
    # Deviations of 20 counts.
    state.noise[:] = 20 << formats.NOISE_FRACTION
    mode = ReadMode.FOUR_PHASE
    charges = np.full((4, converters.columns), 40 * UNIT // 20_000, np.int32)
    results = []
    for seed, tile, read in ((1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0), (1, 0, 0)):
        await converters.set(replace(state, seed=seed), tile)
        await converters.check(charges, mode, read)
        results.append(converters.expected(charges, mode, read).tobytes())
    assert results[0] == results[4]
    if converters.limit > 1:
        assert len(set(results)) == 4
