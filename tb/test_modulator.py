"""Input modulator: every output in every `mvm` clock, against the golden pulses of each vector."""

from collections.abc import Callable, Iterator
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, Event, FallingEdge, RisingEdge
from cocotb.utils import get_sim_time
from numpy.typing import NDArray

from caduceus.hdl.array.modulator import InputModulator
from caduceus.hdl.common.verilog import write
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.formats import PHASES, SLOTS, ReadMode
from tb import benches, clocks
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.copies import pack
from tb.pulse_trace import Played, Sent, Trace

PUBLISHED_PERIOD = {ReadMode.ONE_PHASE: 133, ReadMode.FOUR_PHASE: 520}
"""`mvm` clocks from one MVM to the next on HERMES: 133 ns and 520 ns."""


def _prepare(variant: Variant, folder: Path) -> Design:
    component = InputModulator(sized(variant.parameters))
    return Design([write(component, "modulator", folder / "modulator.v")], "modulator")


BENCH = Bench(
    name="modulator",
    covers=("modulator",),
    variants=(
        Variant("tiny", {"chip": "tiny", "vectors": 3}),
        Variant("units2", {"chip": "tiny", "rows": 20, "lanes": 2, "columns": 20, "vectors": 1,
                           "overhead_1phase": 2, "overhead_4phase": 7}, ("icarus",)),
        Variant("units4", {"chip": "tiny", "rows": 4, "lanes": 4, "columns": 4, "gdpu_units": 1,
                           "vectors": 1, "overhead_1phase": 9, "overhead_4phase": 3}, ("icarus",)),
        Variant("hermes", {"chip": "hermes", "vectors": 3}, ("verilator",), True),
        Variant("hermes_units4", {"chip": "hermes", "lanes": 4, "vectors": 100}, ("verilator",),
                regress=True),
        Variant("tiny_long", {"chip": "tiny", "vectors": 150}, regress=True),
    ),
    prepare=_prepare,
)  # fmt: skip


class Testbed:
    """Sends vectors, and acts as the array and as the counter banks' reader.

    Args:
        dut: the modulator.
        chip: the chip description.
        random: for pauses.
        bank_hold: draws the number of clocks for which a full counter bank waits for its reader.
        busy: draws the number of clocks of conversion after a window.
    """

    def __init__(
        self,
        dut: Any,
        chip: Chip,
        random: np.random.Generator,
        bank_hold: Callable[[], int] = lambda: 20,
        busy: Callable[[], int] = lambda: 0,
    ) -> None:
        self.dut, self.chip, self.random = dut, chip, random
        self.bank_hold, self.busy = bank_hold, busy
        self.trace = Trace()
        self.sent: list[Sent] = []
        self.writes: list[int] = []  # times at which rows were written
        self.finished = 0
        self.mvm_over = Event()
        self.mode = ReadMode.ONE_PHASE

    async def start(self, ratio: str) -> None:
        """Drive idle inputs, start clocks, reset, and start all tasks."""
        for name in ("write_enable", "commit", "array_busy", "bank_full", "four_phase"):
            getattr(self.dut, name).value = 0
        await clocks.start(self.dut, *clocks.RATIOS[ratio])
        cocotb.start_soon(self.watch())

    async def watch(self) -> None:
        """Record every `mvm` clock; act as the array and the banks' reader."""
        dut, trace = self.dut, self.trace
        columns = [(getattr(dut, name), getattr(trace, name)) for name in Trace.OUTPUTS]
        full = [0, 0]  # remaining clocks of the full bank
        busy = 0
        busy_left = 0
        edge = RisingEdge(dut.mvm_clk)
        while True:
            await edge
            trace.time.append(get_sim_time("ps"))
            for handle, values in columns:
                values.append(int(handle.value))
            bank_full = (full[0] > 0) | (full[1] > 0) << 1
            trace.bank_full.append(bank_full)
            trace.array_busy.append(busy)
            # A conversion is announced during its window, and then takes its time.
            if trace.integrate[-1]:
                if len(trace.integrate) < 2 or not trace.integrate[-2]:
                    busy_left = self.busy()
            elif busy_left:
                busy_left -= 1
            if busy != (busy_left > 0):
                busy = int(busy_left > 0)
                dut.array_busy.value = busy
            full = [max(0, clocks - 1) for clocks in full]
            for bank in range(2):
                if trace.bank_put[-1] >> bank & 1:
                    full[bank] = self.bank_hold()
                    self.finished += 1
                    self.mvm_over.set()
            now_full = (full[0] > 0) | (full[1] > 0) << 1
            if now_full != bank_full:
                dut.bank_full.value = now_full

    def _runs(self, length: int) -> list[tuple[int, int]]:
        """Neighboring rows to write together, first and count of each, in any order.

        Some runs are short, empty, or not at a multiple of the lanes.
        """
        lanes, runs, row = self.chip.buffers.gather, [], 0
        while row < length:
            count = int(min(self.random.integers(lanes + 1), length - row))
            runs.append((row, count))
            row += count
        return [runs[k] for k in self.random.permutation(len(runs))]

    async def send(
        self, vector: NDArray[np.int8], pause: float | None = None, commit: bool = True
    ) -> None:
        """Wait for the staging register, and write the vector.

        With `pause`, in random order and with random pauses, else at full rate.
        """
        dut, lanes = self.dut, self.chip.buffers.gather
        edge = RisingEdge(dut.clk)
        await edge
        if int(dut.full.value):
            await clocks.patiently(FallingEdge(dut.full), "room for a vector")
            await edge
        rows = self.chip.array.rows
        padded = np.zeros(rows, dtype=np.int8)
        padded[: len(vector)] = vector
        runs = [(first, lanes) for first in range(0, len(vector), lanes)]
        if pause is not None:
            runs = self._runs(len(vector))
        for number, (first, count) in enumerate(runs):
            # Invalid values are don't-care.
            data = self.random.integers(1 << formats.ACTIVATION_BITS, size=lanes)
            while pause and self.random.random() < pause:
                dut.write_enable.value = 0
                dut.write_data.value = pack(data, formats.ACTIVATION_BITS)
                await edge
            places = np.arange(first, first + count)
            data[places % lanes] = padded.view(np.uint8)[places]
            dut.write_enable.value = 1
            dut.write_row.value, dut.write_count.value = first, count
            dut.write_first.value = int(number == 0)
            dut.write_data.value = pack(data, formats.ACTIVATION_BITS)
            dut.commit.value = int(commit and number == len(runs) - 1)
            await edge
            self.writes.append(get_sim_time("ps"))
        dut.write_enable.value = 0
        dut.commit.value = 0
        if commit:
            self.sent.append(Sent(padded, self.mode, get_sim_time("ps")))

    async def finish(self) -> None:
        """Wait until every vector sent has been played, and a while longer."""
        while self.finished < len(self.sent):
            self.mvm_over.clear()
            await clocks.patiently(self.mvm_over.wait(), "the end of an MVM")
        await ClockCycles(self.dut.mvm_clk, 2 * SLOTS)

    async def set_mode(self, mode: ReadMode) -> None:
        """Change the read mode while nothing is in flight."""
        await self.finish()
        self.mode = mode
        self.dut.four_phase.value = int(mode == ReadMode.FOUR_PHASE)
        await RisingEdge(self.dut.clk)

    def check(self) -> Played:
        """Compare the whole trace with its reference."""
        return Played.check(self.trace, self.sent, self.chip)


def vectors(random: np.random.Generator, rows: int, count: int) -> Iterator[NDArray[np.int8]]:
    """Corner vectors, each followed by a shorter one, then random ones of random lengths."""
    for value in (-128, 127, 0):
        yield np.full(rows, value, dtype=np.int8)
        yield random.integers(-128, 128, random.integers(1, rows), dtype=np.int8)
    yield np.linspace(-128, 127, rows).astype(np.int8)
    for _ in range(count):
        vector = random.integers(-128, 128, random.integers(1, rows + 1), dtype=np.int8)
        yield np.where(random.random(len(vector)) < 0.2, 0, vector).astype(np.int8)


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(ratio=list(clocks.RATIOS))
async def random_vectors(dut: Any, ratio: str) -> None:
    """Every slot of every row, in both read modes; the next vector is staged while one plays."""
    random = benches.generator()
    chip = sized(benches.current())
    bed = Testbed(
        dut, chip, random,
        bank_hold=lambda: int(random.integers(1, 2 * SLOTS)),
        busy=lambda: int(random.choice([0, 0, 1, 2, 3, 5, 12])),
    )  # fmt: skip
    await bed.start(ratio)
    for mode in (ReadMode.ONE_PHASE, ReadMode.FOUR_PHASE, ReadMode.ONE_PHASE):
        await bed.set_mode(mode)
        for vector in vectors(random, chip.array.rows, benches.current()["vectors"]):
            await bed.send(vector, pause=float(random.choice([0, 0.3])))
    await bed.finish()
    played = bed.check()
    clock = np.searchsorted(bed.trace.time, bed.writes)
    assert played.in_window[clock].any(), "no row write during a vector"
    assert any(bed.trace.array_busy[put - 1] for put in played.put), "no wait for the array"


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(mode=list(ReadMode))
async def full_speed(dut: Any, mode: ReadMode) -> None:
    """With vectors and banks always available, MVMs follow each other at the published period."""
    chip = sized(benches.current())
    random = benches.generator()
    bed = Testbed(dut, chip, random)
    await bed.start("hermes")
    await bed.set_mode(mode)
    # Short enough to be staged within a 1-phase MVM.
    length = min(4 * chip.buffers.gather, chip.array.rows)
    for _ in range(8):
        await bed.send(random.integers(-128, 128, length, dtype=np.int8))
    await bed.finish()
    cleared = bed.check().cleared
    overhead = (chip.mvm.overhead_1phase, chip.mvm.overhead_4phase)
    period = len(PHASES[mode]) * (SLOTS + overhead[mode == ReadMode.FOUR_PHASE])
    if overhead == (5, 2):
        assert period == PUBLISHED_PERIOD[mode]
    assert [b - a for a, b in pairwise(cleared)] == [period] * 7


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def banks_full(dut: Any) -> None:
    """An MVM waits for its own bank, and for no other."""
    random = benches.generator()
    chip = sized(benches.current())
    # Two in a row are full at once, and become free one after the other.
    holds = cycle([1500, 1500, 1])
    bed = Testbed(dut, chip, random, bank_hold=lambda: next(holds))
    await bed.start("hermes")
    for _ in range(12):
        await bed.send(random.integers(-128, 128, 3, dtype=np.int8))
    await bed.finish()
    played = bed.check()
    waited = [clear - 1 > due for clear, due in zip(played.cleared, played.due, strict=True)]
    assert any(waited), "no MVM had to wait for its bank"
    # `check` has seen each start as soon as its own bank allowed; the other was full at times.
    others = [bed.trace.bank_full[clear - 1] for clear in played.cleared]
    assert any(others), "no MVM started while the other bank was full"


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def dropped_vectors(dut: Any) -> None:
    """A vector without a commit leaves no trace in the next one."""
    random = benches.generator()
    chip = sized(benches.current())
    bed = Testbed(dut, chip, random)
    await bed.start("sync_faster")
    for length in (chip.array.rows, 1, chip.array.rows - 1):
        await bed.send(np.full(chip.array.rows, -77, dtype=np.int8), commit=False)
        await bed.send(random.integers(-128, 128, length, dtype=np.int8))
    await bed.finish()
    bed.check()


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(after=[3, 40, 131, 200])
async def reset_in_an_mvm(dut: Any, after: int) -> None:
    """A reset `after` clocks into an MVM clears all of it, and the staged vector."""
    random = benches.generator()
    chip = sized(benches.current())
    bed = Testbed(dut, chip, random)
    for name in ("write_enable", "commit", "array_busy", "bank_full", "four_phase"):
        getattr(dut, name).value = 0
    await clocks.start(dut, *clocks.RATIOS["hermes"])
    await bed.send(np.full(chip.array.rows, 127, dtype=np.int8))
    await RisingEdge(dut.clear)
    staging = cocotb.start_soon(bed.send(np.full(chip.buffers.gather, -127, dtype=np.int8)))
    await ClockCycles(dut.mvm_clk, after)
    staging.cancel()
    dut.write_enable.value = dut.commit.value = 0
    await clocks.reset(dut)
    bed = Testbed(dut, chip, random)
    cocotb.start_soon(bed.watch())
    for length in (1, chip.array.rows):
        await bed.send(random.integers(-128, 128, length, dtype=np.int8))
    await bed.finish()
    bed.check()
