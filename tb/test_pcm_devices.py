"""Devices of the PCM macro under pulses at its ports, against the golden twin."""

from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge
from numpy.typing import NDArray

from caduceus.golden.reference.pcm_devices import PcmDevices
from caduceus.golden.reference.pcm_writer import places
from caduceus.hdl.array import pcm_array
from caduceus.sim.scoreboard import compare
from caduceus.spec import formats, pcm_write
from caduceus.spec.formats import Steer
from caduceus.spec.pcm_write import Pulse
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.pcm_macro import PLUSARG, PcmMacro, array_chip
from tb.pcm_write_session import exact_state


def _prepare(variant: Variant, folder: Path) -> Design:
    sources = pcm_array.write_sources(folder, array_chip(variant.parameters))
    return Design(sources, pcm_array.MODULE, plusargs=[PLUSARG])


def _sizes(rows: int, columns: int, lanes: int, heads: int, pulses: int = 60) -> dict:
    # Reads of two counts per code must stay below the limit.
    return {
        "rows": rows, "columns": columns, "lanes": lanes, "heads": heads, "pulses": pulses,
        "phase_limit": 1023,
    }  # fmt: skip


BENCH = Bench(
    name="pcm_devices",
    covers=("pcm_devices.sv",),
    variants=(
        Variant("tiny", _sizes(16, 16, 1, heads=4)),
        Variant("wide", _sizes(6, 36, 2, heads=4), regress=("verilator",)),
        Variant("tall", _sizes(36, 6, 2, heads=6), regress=("verilator",)),
        Variant("hermes", _sizes(256, 256, 1, heads=32), simulators=("verilator",)),
    ),
    prepare=_prepare,
)


class Testbed:
    """A macro with a loaded state, and golden's copy of its devices."""

    def __init__(self, dut: object) -> None:
        parameters = benches.current()
        self.dut, self.chip, self.random = dut, array_chip(parameters), benches.generator()
        self.heads, self.lines = pcm_write.heads(self.chip), pcm_write.lines(self.chip)
        array, lanes = self.chip.array, self.chip.ldpu.lanes
        self.macro = PcmMacro(dut, array.rows, array.columns, lanes)
        self.codes: NDArray[np.uint8]
        self.pulses = 0

    async def start(self) -> None:
        """Start clocks; load a random state whose every code shows in a verify read."""
        await self.macro.start()
        await self.load()

    async def load(self) -> None:
        """Load another random state of this kind."""
        state, array = exact_state(self.random, self.chip), self.chip.array
        await self.macro.load(state)
        self.codes = state.codes[0].copy()
        self.golden = PcmDevices(state.seed, 0, array.rows, array.columns)
        self.pulses = 0

    async def latch(self, on: NDArray[np.bool_], amplitudes: NDArray[np.int64]) -> None:
        """Write the latches of all heads, in any order."""
        dut, clock = self.dut, self.macro.readout.clock
        await FallingEdge(clock)
        dut.head_write.value = 1
        for head in self.random.permutation(self.heads).tolist():
            dut.head.value = head
            dut.head_on.value = int(on[head])
            dut.head_amplitude.value = int(amplitudes[head])
            await FallingEdge(clock)
        dut.head_write.value = 0

    async def pulse(self, diagonal: int, device: int, shape: Pulse, line: int) -> None:
        """A pulse with random heads and amplitudes, on both sides."""
        on = self.random.random(self.heads) < 0.7
        amplitudes = self.random.integers(0, pcm_write.AMPLITUDE_MAX + 1, self.heads)
        await self.latch(on, amplitudes)
        dut = self.dut
        await self.macro.clocks(1)
        dut.diagonal.value, dut.device.value, dut.line.value = diagonal, device, line
        dut.heat.value, dut.heat_set.value = 1, int(shape)
        await self.macro.clocks(int(self.random.integers(1, 9)))
        # The shape of the pulse is that of its clocks.
        dut.heat.value, dut.heat_set.value = 0, 1 - int(shape)
        await self.macro.clocks(2)
        lines = np.arange(self.heads) * pcm_write.head_lines(self.chip) + line
        there = on & (lines < self.lines)
        rows, columns = (each[lines[there]] for each in places(self.chip, diagonal))
        numbers = np.full(rows.shape, self.pulses)
        self.golden.pulse(self.codes, rows, columns, device, shape, amplitudes[there], numbers)
        self.pulses += 1

    async def check(self, diagonal: int, device: int) -> None:
        """A verify read with pulses of different lengths on the rows; counts of all columns."""
        dut, array = self.dut, self.chip.array
        long = self.random.random(array.rows) < 0.8
        slots = np.where(long, pcm_write.VERIFY_SLOTS, pcm_write.VERIFY_SLOTS // 2)
        await self.macro.clocks(1)
        dut.diagonal.value, dut.device.value, dut.verify.value = diagonal, device, 1
        dut.steer.value = int(Steer.N if device >= 2 else Steer.P)
        # All of these are don't-care.
        dut.select_plus.value, dut.select_minus.value = self.random.integers(2, size=2).tolist()
        dut.reference_level.value = int(self.random.integers(-9, 9))
        await self.macro.clear(0)
        dut.integrate.value = 1
        dut.pulse_add.value = (1 << array.rows) - 1
        await self.macro.clocks(pcm_write.VERIFY_SLOTS // 2)
        dut.pulse_add.value = sum(1 << row for row in np.flatnonzero(long).tolist())
        await self.macro.clocks(pcm_write.VERIFY_SLOTS // 2)
        dut.integrate.value = dut.pulse_add.value = 0
        await self.macro.clocks(1)
        dut.verify.value = dut.reference_level.value = 0
        expected = np.zeros((2, array.columns), np.int64)
        rows, columns = places(self.chip, diagonal)
        gain = (1 << formats.GAIN_BITS) - 1
        charge = slots[rows] * self.codes[rows, columns, device].astype(np.int64)
        expected[device // 2, columns] = charge * gain >> formats.GAIN_FRACTION
        got = await self.macro.read(0)
        what = f"device {device}, diagonal {diagonal}, after {self.pulses} pulses"
        compare(expected, got, lambda index: f"{what}, counter {index[0]}, column {index[1]}")


@cocotb.test()
async def random_pulses(dut: object) -> None:
    """Pulses of either shape anywhere, each followed by a read of its diagonal."""
    bed = Testbed(dut)
    await bed.start()
    random = bed.random
    diagonals = random.integers(pcm_write.diagonals(bed.chip), size=3).tolist()
    for number in range(benches.current()["pulses"]):
        diagonal, device = int(random.choice(diagonals)), int(random.integers(4))
        line = int(random.integers(pcm_write.head_lines(bed.chip)))
        await bed.pulse(diagonal, device, Pulse(number % 3 == 0), line)
        await bed.check(diagonal, device)
        if number % 20 == 19:
            for each in range(4):
                await bed.check(int(random.choice(diagonals)), each)
            await bed.load()


@cocotb.test()
async def no_pulse_without_heat(dut: object) -> None:
    """Heads, lines and diagonals change outside of pulses: every device stays as it is."""
    bed = Testbed(dut)
    await bed.start()
    for device in range(4):
        await bed.latch(np.ones(bed.heads, bool), np.full(bed.heads, 255))
        for diagonal in range(4):
            dut.diagonal.value, dut.device.value, dut.heat_set.value = diagonal, device, 1
            await bed.macro.clocks(3)
        await bed.check(0, device)
