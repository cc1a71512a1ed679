"""Pooling unit: windows of random maps against golden, full rate, and latency."""

from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer
from numpy.typing import NDArray

from caduceus.golden.reference import pool
from caduceus.hdl.common.verilog import write
from caduceus.hdl.tile.ldpu import value_bits
from caduceus.hdl.tile.pool import FIELDS, Pool
from caduceus.sim.scoreboard import With, compare, named
from caduceus.spec import feature_map_registers
from caduceus.spec.feature_map import Pooling
from caduceus.spec.feature_map_check import POOL_MAX
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized

CLOCK_NS = 2
LATENCY = 2
"""Clocks from a window's last group to the output of the pooled group."""
PATIENCE = 200
RESULTS_MAX = 150
"""Maximum size of a map, to keep the bench short."""
Group = tuple[int, int]
"""data, last."""


def _prepare(variant: Variant, folder: Path) -> Design:
    component = Pool(sized(variant.parameters))
    return Design([write(component, "pool", folder / "pool.v")], "pool")


BENCH = Bench(
    name="pool",
    covers=("pool",),
    variants=(
        Variant("tiny", {"chip": "tiny", "jobs": 30}),
        Variant("lanes4", {"chip": "tiny", "lanes": 4, "pool": 16, "jobs": 30}, ("icarus",)),
        Variant("binary16", {"chip": "tiny", "lanes": 2, "partial_sums": "binary16", "jobs": 30},
                ("icarus",)),
        Variant("hermes", {"chip": "hermes", "jobs": 30}, ("verilator",), True),
        Variant("long", {"chip": "tiny", "lanes": 2, "jobs": 2000}, ("verilator",), regress=True),
    ),
    prepare=_prepare,
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """Configuration of the unit: pooling or None, and groups per result."""

    pooling: Pooling | None
    groups: int

    def ports(self) -> dict[str, int]:
        """Port values of the configuration, by name."""
        if self.pooling is None:
            return {"kind": 0}
        found = {name: getattr(self.pooling, name) for name in FIELDS}
        return found | {"kind": feature_map_registers.POOL_KINDS.index(self.pooling.kind)}


class Testbed:
    """Drives both ends at random; monitors every clock.

    Attributes:
        offered, readiness: share of clocks with a group offered, and with one accepted.
        taken, left: clocks in which groups were taken, and in which groups left.
        got: the groups that left.
    """

    def __init__(self, dut: Any) -> None:
        self.dut, self.random = dut, benches.generator()
        self.chip = sized(benches.current())
        self.lanes, self.bits = self.chip.ldpu.lanes, value_bits(self.chip)
        self.edge = RisingEdge(dut.clk)
        self.offered = self.readiness = 1.0
        self._forget()

    def _forget(self) -> None:
        self.queue: deque[Group] = deque()
        self.expected: list[Group] = []
        self.got: list[Group] = []
        self.taken: list[int] = []
        self.left: list[int] = []
        self.clock = 0
        self._offering = False
        self._held_back: Group | None = None

    async def start(self) -> None:
        """Start the clock, and reset."""
        dut = self.dut
        await Timer(CLOCK_NS, "ns")
        Clock(dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        for name in ("input_valid", "input_data", "input_last", "output_ready", "restart"):
            getattr(dut, name).value = 0
        for name in FIELDS:
            getattr(dut, f"config_{name}").value = 0
        dut.rst.value = 1
        await self.edge
        await self.edge
        dut.rst.value = 0

    async def configure(self, job: Job, instead: Job | None = None) -> None:
        """Restart with another job; the RTL gets `instead`, if given."""
        for name, value in (instead or job).ports().items():
            getattr(self.dut, f"config_{name}").value = value
        self.dut.input_valid.value = 0
        self.dut.restart.value = 1
        await self.edge
        self.dut.restart.value = 0
        self._forget()
        self.job = job

    def draw(self, kind: str | None, largest: int = 12) -> Job:
        """Any job of a kind that the chip supports."""
        random = self.random
        places = self.chip.buffers.pool // self.lanes
        while kind:
            height, width = (int(size) for size in random.integers(1, largest + 1, 2))
            most = min(height, width, POOL_MAX if kind == "average" else largest)
            size = int(random.integers(1, most + 1))
            if kind == "average":
                size = 1 << size.bit_length() - 1
            pooling = Pooling(kind, size, height, width)
            groups = int(random.integers(1, places + 1))
            small = height * width * groups <= RESULTS_MAX
            if small and pooling.across * groups <= places:
                return Job(pooling, groups)
        return Job(None, int(random.integers(1, 9)))

    def _groups(self, values: NDArray) -> list[Group]:
        """Groups of results, [n, groups * lanes]."""
        mask, found = (1 << self.bits) - 1, []
        for result in values.reshape(len(values), -1, self.lanes).tolist():
            for number, group in enumerate(result):
                data = sum((value & mask) << lane * self.bits for lane, value in enumerate(group))
                found.append((data, int(number == len(result) - 1)))
        return found

    def bring_map(self, extreme: bool = False) -> None:
        """Queue another map of results; without pooling, a few results."""
        random, columns = self.random, self.job.groups * self.lanes
        pooling = self.job.pooling
        if pooling is None:
            half = 1 << self.bits - 1
            values = random.integers(-half, half, (8, columns))
            self.queue += self._groups(values)
            self.expected += self._groups(values)
            return
        shape = (1, pooling.height, pooling.width, columns)
        values = random.integers(-127, 128, shape, dtype=np.int8)
        if extreme:
            values = random.choice(np.array([-127, 127], np.int8), (1, 1, 1, columns))
            values = np.broadcast_to(values, shape)
        sent = values.reshape(-1, columns).astype(int)
        pooled = pool.pool(pooling, values).reshape(-1, columns)
        # Bits above an INT8 in a lane are don't-care.
        rubbish = random.integers(0, 1 << self.bits, sent.shape) & ~0xFF
        self.queue += self._groups(sent & 0xFF | rubbish)
        self.expected += self._groups(pooled)

    async def step(self) -> None:
        """A clock."""
        dut, random = self.dut, self.random
        if not self._offering:
            self._offering = bool(self.queue) and bool(random.random() < self.offered)
        junk = int.from_bytes(random.bytes(self.lanes * self.bits // 8), "little")
        # Invalid values are don't-care.
        data, last = self.queue[0] if self._offering else (junk, int(random.integers(2)))
        dut.input_valid.value = int(self._offering)
        dut.input_data.value, dut.input_last.value = data, last
        ready = bool(random.random() < self.readiness)
        dut.output_ready.value = int(ready)
        await self.edge
        group = None
        if dut.output_valid.value:
            group = int(dut.output_data.value.resolve("zeros")), int(dut.output_last.value)
            assert dut.busy.value or not self.job.pooling, "busy is 0 with a result inside"
        assert self._held_back in (None, group), "group changed or left before it was accepted"
        if group and ready:
            self.got.append(group)
            self.left.append(self.clock)
        self._held_back = None if ready else group
        if self._offering and dut.input_ready.value:
            self.queue.popleft()
            self.taken.append(self.clock)
            self._offering = False
        self.clock += 1

    async def finish(self) -> None:
        """Let everything in and out, and compare."""
        idle = 0
        while self.queue or len(self.got) < len(self.expected):
            before = len(self.taken), len(self.got)
            await self.step()
            idle = 0 if before != (len(self.taken), len(self.got)) else idle + 1
            assert idle < PATIENCE, f"{len(self.got)} of {len(self.expected)} groups arrived"
        for _ in range(5):
            await self.step()
        assert not self.dut.busy.value, "busy without work"
        names = (*(f"lane {lane}" for lane in range(self.lanes)), "last")
        compare(
            [self._fields(group) for group in self.expected],
            [self._fields(group) for group in self.got],
            lambda at: With(
                f"group {at[0]}{f', {names[at[1]]}' if at[1:] else ''}",
                named(groups=self.job.groups, **self.job.ports()),
            ),
        )

    def _fields(self, group: Group) -> list[int]:
        data, last = group
        kept = 0xFF if self.job.pooling else (1 << self.bits) - 1
        lanes = [data >> lane * self.bits & kept for lane in range(self.lanes)]
        return [*lanes, last]


KINDS = (None, "max", "average")


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pressure=["none", "source", "sink", "both"])
async def any_map(dut: Any, pressure: str) -> None:
    """Maps of every size, kind and window, one after the other."""
    bed = Testbed(dut)
    bed.offered = 0.5 if pressure in ("source", "both") else 1.0
    bed.readiness = 0.4 if pressure in ("sink", "both") else 1.0
    await bed.start()
    for number in range(benches.current()["jobs"]):
        await bed.configure(bed.draw(KINDS[number % len(KINDS)]))
        for _ in range(3):
            bed.bring_map()
        await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def largest_sums(dut: Any) -> None:
    """The largest windows of the largest values; and ties, which round to even."""
    bed = Testbed(dut)
    await bed.start()
    for size in (1, 2, 4, 8, POOL_MAX):
        await bed.configure(Job(Pooling("average", size, size, size + 1), 1))
        for extreme in (True, True, True, False):
            bed.bring_map(extreme)
        await bed.finish()
    # Sums of two by two with every remainder.
    await bed.configure(Job(Pooling("average", 2, 2, 2), 1))
    for total in range(-10, 11):
        for values in ([total, 0, 0, 0], [total + 40, 60, -50, -50]):
            maps = np.array(values, np.int8).reshape(1, 2, 2, 1).repeat(bed.lanes, axis=-1)
            bed.queue += bed._groups(maps.reshape(-1, bed.lanes))
            pooled = pool.pool(bed.job.pooling, maps)
            bed.expected += bed._groups(pooled.reshape(-1, bed.lanes))
    await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(kind=KINDS)
async def rate_and_latency(dut: Any, kind: str | None) -> None:
    """One group per clock for any window; the first leaves as in the docstring."""
    bed = Testbed(dut)
    await bed.start()
    sizes = (1, 2, 4) if kind else (1,)
    for size in sizes:
        pooling = Pooling(kind, size, 2 * size + size // 2, 2 * size + size // 2) if kind else None
        for groups in (1, 2):
            await bed.configure(Job(pooling, groups))
            for _ in range(3):
                bed.bring_map()
            await bed.finish()
            assert bed.taken == list(range(len(bed.taken))), "not one group per clock"
            if pooling is None:
                assert bed.left == bed.taken
                continue
            # The last result of the first window, then the next window's.
            first = (size - 1) * pooling.width + size - 1
            begins = [(first + size * n) * groups for n in range(pooling.across)]
            ends = [LATENCY + begin + group for begin in begins for group in range(groups)]
            assert bed.left[: len(ends)] == ends, f"windows of {size}: {bed.left}"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def restart_midway(dut: Any) -> None:
    """An unfinished window waits without busy, and a restart clears it."""
    bed = Testbed(dut)
    await bed.start()
    for number in range(30):
        await bed.configure(bed.draw(KINDS[1 + number % 2]))
        bed.bring_map()
        pending = bed.queue
        some = int(bed.random.integers(0, len(pending)))
        # Whole results: a tile that is not busy has nothing else.
        bed.queue = deque(list(pending)[: some - some % bed.job.groups])
        while bed.queue or bed.dut.busy.value:
            await bed.step()
        for _ in range(LATENCY + 2):
            await bed.step()
        assert not dut.busy.value, "busy without work"
        await bed.configure(bed.draw(KINDS[1 + number % 2]))
        for _ in range(2):
            bed.bring_map()
        await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(what=["kind", "size", "height", "width"])
async def the_check_can_fail(dut: Any, what: str) -> None:
    """One input differs between RTL and reference: the bench must see it."""
    bed = Testbed(dut)
    await bed.start()
    right = Pooling("average", 2, 6, 6)
    wrong = {
        "kind": replace(right, kind="max"),
        "size": replace(right, size=1),
        "height": replace(right, height=5),
        "width": replace(right, width=7),
    }
    await bed.configure(Job(right, 1), Job(wrong[what], 1))
    for _ in range(3):
        bed.bring_map()
    try:
        await bed.finish()
    except AssertionError as error:
        dut._log.info("seen: %s", error)
        return
    raise RuntimeError(f"wrong {what} was not detected")
