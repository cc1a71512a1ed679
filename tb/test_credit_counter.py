"""Credit counter: its outputs after random takes and gives, against a count in Python."""

from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from caduceus.hdl.common.credit_counter import CreditCounter
from caduceus.hdl.common.verilog import write
from tb import benches
from tb.benches import Bench, Design, Variant

CLOCK_NS = 2


def _prepare(variant: Variant, folder: Path) -> Design:
    counter = CreditCounter(variant.parameters["limit"])
    path = folder / "credit_counter.v"
    return Design([write(counter, "credit_counter", path)], "credit_counter")


BENCH = Bench(
    name="credit_counter",
    covers=("credit_counter",),
    variants=(
        Variant("limit1", {"limit": 1, "clocks": 1000}, regress=("verilator",)),
        Variant("limit5", {"limit": 5, "clocks": 2000}),
        Variant("limit64", {"limit": 64, "clocks": 3000}, regress=("verilator",)),
    ),
    prepare=_prepare,
)


async def _reset(dut: Any) -> None:
    dut.take.value = dut.give.value = 0
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    dut.rst.value = 0


@cocotb.test()
async def counts_what_is_in_flight(dut):
    """Phases with many takes, then with many gives, so both ends are reached again and again."""
    limit, clocks = benches.current()["limit"], benches.current()["clocks"]
    random = benches.generator()
    dut.clk.value = 0
    cocotb.start_soon(Clock(dut.clk, CLOCK_NS, unit="ns").start())
    await _reset(dut)
    used, seen = 0, set()
    for clock in range(clocks):
        filling = (clock // (4 * limit)) % 2 == 0
        take = used < limit and random.random() < (0.9 if filling else 0.3)
        give = used + take > 0 and random.random() < (0.3 if filling else 0.9)
        dut.take.value, dut.give.value = int(take), int(give)
        await Timer(CLOCK_NS / 4, "ns")
        assert int(dut.used.value) == used, f"clock {clock}"
        assert bool(dut.available.value) == (used < limit), f"clock {clock} with {used} used"
        seen.add((used, take, give))
        await RisingEdge(dut.clk)
        used += take - give
    assert {state for state, _, _ in seen} == set(range(limit + 1)), "some counts were not reached"
    assert (0, True, True) in seen, "no give returned the take of the same clock"


@cocotb.test()
async def a_reset_gives_everything_back(dut):
    limit = benches.current()["limit"]
    dut.clk.value = 0
    cocotb.start_soon(Clock(dut.clk, CLOCK_NS, unit="ns").start())
    await _reset(dut)
    dut.take.value = 1
    for _ in range(limit):
        await RisingEdge(dut.clk)
    dut.take.value = 0
    await Timer(CLOCK_NS / 4, "ns")
    assert int(dut.used.value) == limit
    assert not dut.available.value
    await _reset(dut)
    await Timer(CLOCK_NS / 4, "ns")
    assert int(dut.used.value) == 0
    assert dut.available.value
