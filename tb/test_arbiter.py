"""Arbiter: every grant against a reference in Python, and no starvation."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from caduceus.hdl.common.verilog import write
from caduceus.hdl.fabric.arbiter import Arbiter
from tb import benches
from tb.benches import Bench, Design, Variant

CLOCK_NS = 2


def _prepare(variant: Variant, folder: Path) -> Design:
    arbiter = Arbiter(variant.parameters["requesters"], variant.parameters["resources"])
    return Design([write(arbiter, "arbiter", folder / "arbiter.v")], "arbiter")


def _parameters(requesters: int, resources: int, clocks: int) -> dict[str, int]:
    return {"requesters": requesters, "resources": resources, "clocks": clocks}


BENCH = Bench(
    name="arbiter",
    covers=("arbiter",),
    variants=(
        Variant("one", _parameters(1, 1, 500), regress=("verilator",)),
        Variant("tiny", _parameters(3, 2, 2000)),
        Variant("tile", _parameters(14, 15, 1000), regress=("icarus",)),
        Variant("long", _parameters(14, 15, 100_000), ("verilator",), regress=True),
    ),
    prepare=_prepare,
)


@dataclass
class Reference:
    """Reference arbiter, after its docstring; `turn` is the number of a requester."""

    requesters: int
    turn: int = 0

    def grant(self, wanted: list[int], free: int) -> int | None:
        """Return the grant of this clock, and advance the turn."""
        in_turn = wanted[self.turn]
        granted = None
        for k in range(self.requesters):
            i = (self.turn + k) % self.requesters
            left = free if k == 0 else free & ~in_turn
            if wanted[i] and wanted[i] & ~left == 0:
                granted = i
                break
        if not in_turn or granted == self.turn:
            self.turn = (self.turn + 1) % self.requesters
        return granted


@dataclass
class Crowd:
    """Requesters that wait for a grant, then hold their resources for some clocks.

    Attributes:
        eagerness: probability per clock that an idle requester begins to request.
        breadth: probability that a request includes a resource.
        hold: maximum number of clocks for which a resource is held.
        wanted: masks of requested resources; 0 for no request.
        holds: remaining clocks of each held resource; 0 if it is free.
    """

    random: np.random.Generator
    requesters: int
    resources: int
    eagerness: float
    breadth: float
    hold: int
    wanted: list[int] = field(init=False)
    holds: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.wanted = [0] * self.requesters
        self.holds = [0] * self.resources

    @property
    def free(self) -> int:
        """Mask of the free resources."""
        return sum((clocks == 0) << r for r, clocks in enumerate(self.holds))

    def want(self) -> None:
        """Let idle requesters begin."""
        for i, wanted in enumerate(self.wanted):
            if not wanted and self.random.random() < self.eagerness:
                chosen = self.random.random(self.resources) < self.breadth
                self.wanted[i] = sum(int(bit) << r for r, bit in enumerate(chosen))

    def step(self, granted: int | None) -> None:
        """End a clock: decrement the holds, and give the granted requester its resources."""
        self.holds = [max(clocks - 1, 0) for clocks in self.holds]
        if granted is not None:
            clocks = int(self.random.integers(1, self.hold + 1))
            for r in range(self.resources):
                if self.wanted[granted] >> r & 1:
                    self.holds[r] = clocks
            self.wanted[granted] = 0


def _wanted(dut: Any, i: int) -> Any:
    return getattr(dut, f"wanted_{i}")


async def _reset(dut: Any, requesters: int) -> None:
    for i in range(requesters):
        _wanted(dut, i).value = 0
    dut.free.value = 0
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    dut.rst.value = 0


async def _clock(dut: Any, wanted: list[int], free: int, reference: Reference) -> int | None:
    """Drive a clock, check its grant, return it."""
    for i, mask in enumerate(wanted):
        _wanted(dut, i).value = mask
    dut.free.value = free
    await Timer(CLOCK_NS / 4, "ns")
    turn = reference.turn
    granted = reference.grant(wanted, free)
    expected = 0 if granted is None else 1 << granted
    found = int(dut.grant.value)
    assert found == expected, (
        f"grant {found:b} instead of {expected:b} with turn {turn}, free {free:b}, "
        f"wanted {[f'{mask:b}' for mask in wanted]}"
    )
    await RisingEdge(dut.clk)
    return granted


@cocotb.test()
async def any_requests(dut):
    """Requests and free resources that change at random, also in ways that no requester would."""
    p = benches.current()
    random = benches.generator()
    dut.clk.value = 0
    cocotb.start_soon(Clock(dut.clk, CLOCK_NS, unit="ns").start())
    await _reset(dut, p["requesters"])
    reference = Reference(p["requesters"])
    for _ in range(p["clocks"]):
        requests, breadth, freedom = random.random(3)
        shape = (p["requesters"], p["resources"])
        bits = (random.random(shape) < breadth) & (random.random((shape[0], 1)) < requests)
        wanted = [sum(int(bit) << r for r, bit in enumerate(row)) for row in bits]
        frees = random.random(p["resources"]) < freedom
        await _clock(dut, wanted, sum(int(bit) << r for r, bit in enumerate(frees)), reference)


@cocotb.test()
async def nobody_starves(dut):
    """Every request is granted within the longest time of all other turns."""
    p = benches.current()
    requesters, hold = p["requesters"], 6
    within = requesters * (hold + 1) - 1
    dut.clk.value = 0
    cocotb.start_soon(Clock(dut.clk, CLOCK_NS, unit="ns").start())
    grants = [0] * requesters
    for eagerness, breadth in ((1.0, 0.2), (1.0, 1.0), (0.2, 0.4), (0.02, 0.4)):
        await _reset(dut, requesters)
        reference = Reference(requesters)
        crowd = Crowd(
            benches.generator(), requesters, p["resources"], eagerness, breadth, hold
        )  # fmt: skip
        waits = [0] * requesters
        for _ in range(p["clocks"] // 4):
            crowd.want()
            granted = await _clock(dut, crowd.wanted, crowd.free, reference)
            for i, wanted in enumerate(crowd.wanted):
                waits[i] = waits[i] + 1 if wanted and granted != i else 0
                assert waits[i] <= within, f"requester {i} waits for {waits[i]} clocks"
            if granted is not None:
                grants[granted] += 1
            crowd.step(granted)
    assert min(grants) > 0, grants
