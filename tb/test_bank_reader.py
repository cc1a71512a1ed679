"""Bank reader: every walk over a full counter bank, checked in every clock, at any clock ratio."""

from collections import deque
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time

from caduceus.hdl.array.bank_reader import BankReader
from caduceus.hdl.common.verilog import write
from tb import benches, clocks
from tb.benches import Bench, Design, Variant

BANKS = 2
SEEN_AFTER, SEEN_WITHIN = 2, 3
"""Own clocks after which, and within which, a side sees a token of the other (`Mailbox`)."""


def _prepare(variant: Variant, folder: Path) -> Design:
    reader = BankReader(variant.parameters["groups"])
    return Design([write(reader, "bank_reader", folder / "bank_reader.v")], "bank_reader")


BENCH = Bench(
    name="bank_reader",
    covers=("bank_reader",),
    variants=(
        Variant("tiny", {"groups": 16, "walks": 40}),
        Variant("groups1", {"groups": 1, "walks": 80}, ("icarus",)),
        Variant("groups5", {"groups": 5, "walks": 60}, ("verilator",)),
        Variant("hermes", {"groups": 256, "walks": 40}, ("verilator",)),
        Variant("long", {"groups": 16, "walks": 4000}, ("verilator",), regress=True),
    ),
    prepare=_prepare,
)


class Testbed:
    """Fills banks in turn, takes the groups as the LDPU does, and monitors every output.

    Attributes:
        last_group: number of the last group, as driven to the RTL.
        eager: share of the `mvm` clocks in which a free bank is filled.
        ready: share of the `sync` clocks with `room`.
        read: bank and group of every read, in order.
        finished: times in ps of the last reads of walks, by bank.
    """

    def __init__(self, dut: Any, eager: float, ready: float) -> None:
        self.dut, self.random = dut, benches.generator()
        self.eager, self.ready = eager, ready
        self.last_group = 0
        self.read: list[tuple[int, int]] = []
        self.left = 0  # number of banks to fill
        self._bank = 0  # the next to be filled
        self._put: list[deque[int]] = [deque() for _ in range(BANKS)]
        self.finished: list[int] = [-1] * BANKS
        self._held = [False] * BANKS  # put, not finished
        self._walk = 0, 0  # bank and group of the next read
        self._pending = False

    async def start(self, sync_ps: int, mvm_ps: int, phase_ps: int) -> None:
        """Drive idle inputs, start clocks, reset, and start both sides."""
        self.sync_ps, self.mvm_ps = sync_ps, mvm_ps
        self.dut.bank_put.value = self.dut.room.value = self.dut.last_group.value = 0
        await clocks.start(self.dut, sync_ps, mvm_ps, phase_ps)
        self.run()

    def run(self) -> None:
        """Start both sides."""
        self._tasks = [cocotb.start_soon(self._fill()), cocotb.start_soon(self._take())]

    def stop(self) -> None:
        """Stop driving the inputs."""
        for task in self._tasks:
            task.cancel()

    async def _fill(self) -> None:
        """Fill one bank after the other; check `bank_full` in every `mvm` clock."""
        dut, edge = self.dut, RisingEdge(self.dut.mvm_clk)
        putting = False
        while True:
            await edge
            now, full = get_sim_time("ps"), int(dut.bank_full.value)
            for bank in range(BANKS):
                since = (now - self.finished[bank]) / self.mvm_ps
                gone = not self._held[bank] and (self.finished[bank] < 0 or since > SEEN_WITHIN)
                there = self._held[bank] or (self.finished[bank] >= 0 and since <= SEEN_AFTER)
                assert full >> bank & 1 or not there, f"bank {bank} is not full"
                assert not (full >> bank & 1 and gone), f"bank {bank} is still full"
            if putting:
                self._put[self._bank].append(now)
                self._held[self._bank] = True
                self._bank = 1 - self._bank
                self.left -= 1
            free = not putting and not full >> self._bank & 1 and not self._held[self._bank]
            putting = self.left > 0 and free and self.random.random() < self.eager
            dut.bank_put.value = putting << self._bank

    async def _take(self) -> None:
        """Drive `room` at random; check every output in every `sync` clock."""
        dut, edge = self.dut, RisingEdge(self.dut.clk)
        room = False
        while True:
            await edge
            now, (bank, group) = get_sim_time("ps"), self._walk
            pending = bool(dut.pending.value)
            waits = (now - self._put[bank][0]) / self.sync_ps if self._put[bank] else 0.0
            assert pending or not (self._pending or waits > SEEN_WITHIN), f"bank {bank} waits"
            assert waits > SEEN_AFTER or not pending, f"bank {bank} is pending too early"
            reads = pending and room
            last = group == self.last_group
            assert bool(dut.read_enable.value) == reads, "read_enable differs"
            assert bool(dut.finished.value) == (reads and last), "finished differs"
            if pending:
                named = int(dut.read_bank.value), int(dut.read_group.value)
                assert named == (bank, group), f"got {named}, expected {(bank, group)}"
            self._pending = pending
            if reads:
                self.read.append((bank, group))
                self._walk = bank, group + 1
                if last:
                    self._put[bank].popleft()
                    self._held[bank], self.finished[bank] = False, now
                    self._walk, self._pending = (1 - bank, 0), False
            room = self.random.random() < self.ready
            dut.room.value = int(room)

    async def walk(self, banks: int, last_group: int) -> None:
        """Fill that many banks, up to group `last_group`: each group is read once, in order."""
        self.last_group = last_group
        self.dut.last_group.value = last_group
        first, begun = self._bank, len(self.read)
        self.left = banks
        while self.left or any(self._held):
            await RisingEdge(self.dut.mvm_clk)
        wanted = [
            ((first + number) % BANKS, group)
            for number in range(banks)
            for group in range(last_group + 1)
        ]
        assert self.read[begun:] == wanted, "reads differ from the groups of the banks in order"
        for _ in range(2 * SEEN_WITHIN):
            await RisingEdge(self.dut.mvm_clk)
            await RisingEdge(self.dut.clk)


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(ratio=list(clocks.RATIOS), rates=[(1.0, 1.0), (1.0, 0.4), (0.05, 1.0)])
async def any_rate(dut: Any, ratio: str, rates: tuple[float, float]) -> None:
    """Banks and room at full rate, and either of them slower: the walks stay the same."""
    bed = Testbed(dut, *rates)
    await bed.start(*clocks.RATIOS[ratio])
    walks, groups = benches.current()["walks"], benches.current()["groups"]
    for last_group in {0, int(bed.random.integers(groups)), groups - 1}:
        await bed.walk(walks // 4, last_group)
    await bed.walk(walks // 4 + 1, groups - 1)  # the next walk starts at the other bank


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def any_ratio(dut: Any) -> None:
    """Random periods and phase."""
    bed = Testbed(dut, 0.5, 0.7)
    sync_ps, mvm_ps = (2 * int(half) for half in bed.random.integers(400, 4000, 2))
    await bed.start(sync_ps, mvm_ps, int(bed.random.integers(0, 4000)))
    for _ in range(4):
        groups = benches.current()["groups"]
        await bed.walk(benches.current()["walks"] // 4, int(bed.random.integers(groups)))


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def without_a_gap(dut: Any) -> None:
    """A bank that waits while the other is read is read right after it, one group per clock."""
    bed = Testbed(dut, 1.0, 0.0)
    await bed.start(*clocks.RATIOS["hermes"])
    groups = benches.current()["groups"]
    bed.last_group = groups - 1
    dut.last_group.value = groups - 1
    bed.left = BANKS
    for _ in range(20):
        await RisingEdge(dut.clk)
    assert not bed.read and int(dut.bank_full.value) == 3, "only one bank waits"
    bed.ready = 1.0
    for _ in range(BANKS * groups + 2):
        await RisingEdge(dut.clk)
    assert len(bed.read) == BANKS * groups, f"{len(bed.read)} reads"


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def reset_midway(dut: Any) -> None:
    """A reset of both sides within a walk: the next walk starts at bank 0, group 0."""
    groups = benches.current()["groups"]
    bed = Testbed(dut, 0.7, 0.5)
    await bed.start(*clocks.RATIOS["sync_faster"])
    caught = set()
    for number in range(30):
        # Banks come faster than their readout, or more slowly.
        bed.eager = (0.7, 0.25 / (groups + 1))[number % 2]
        bed.last_group = groups - 1
        dut.last_group.value = groups - 1
        bed.left = 1 << 30
        for _ in range(int(bed.random.integers(1, 6 * groups + 20))):
            await RisingEdge(dut.clk)
        bed.stop()
        caught.add((int(dut.bank_full.value), int(dut.read_bank.value)))
        dut.bank_put.value = dut.room.value = 0
        await clocks.reset(dut)
        assert not dut.bank_full.value and not dut.pending.value, "a bank outlives the reset"
        bed = Testbed(dut, 0.7, 0.5)
        bed.sync_ps, bed.mvm_ps, _ = clocks.RATIOS["sync_faster"]
        bed.run()
        await bed.walk(3, groups - 1)
    full = {full for full, _ in caught} - {0}
    assert 3 in full and len(full) > 1, f"only {full} were full"
    assert {bank for _, bank in caught} == {0, 1}
