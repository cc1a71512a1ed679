"""Clocks and resets of a design with the domains `sync` and `mvm`, and waiting with an end."""

from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, SimTimeoutError, Timer, with_timeout

RATIOS = {
    "hermes": (2500, 1000, 0),
    "sync_faster": (2000, 3100, 700),
    "sync_much_slower": (7300, 1700, 0),
    "same": (2000, 2000, 0),
}
"""Periods of `sync` and `mvm`, and how much later `mvm` starts, all in ps."""

RESET_CLOCKS = 4
"""Clocks of the slower domain that a reset lasts."""

PATIENCE_US = 20
"""Simulated time in which whatever a bench waits for has come, if it comes at all."""


async def start(dut: Any, sync_ps: int, mvm_ps: int, phase_ps: int = 0) -> None:
    """Start `clk` and `mvm_clk`, whose first edge is `phase_ps` later, and reset both domains.

    Returns just after a rising edge of `clk`. Clocks run until the test ends. Both rise in the same
    simulation step whenever their periods and phase make them.
    """
    dut.rst.value = dut.mvm_rst.value = 1
    # Both simulators agree on what a clock's first edge sees only if it is not at time 0.
    await Timer(sync_ps, "ps")
    Clock(dut.clk, sync_ps, "ps", impl="gpi").start()
    if phase_ps:
        await Timer(phase_ps, "ps")
    Clock(dut.mvm_clk, mvm_ps, "ps", impl="gpi").start()
    await reset(dut)


async def reset(dut: Any) -> None:
    """Reset both domains together; returns just after a rising edge of `clk`."""
    dut.rst.value = dut.mvm_rst.value = 1
    await ClockCycles(dut.clk, RESET_CLOCKS)
    await ClockCycles(dut.mvm_clk, RESET_CLOCKS)
    dut.mvm_rst.value = 0
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


async def patiently(trigger: Any, what: str) -> Any:
    """Wait for a trigger or coroutine that is sure to come; returns its result.

    Raises:
        AssertionError: it did not come within `PATIENCE_US`; the sentence says `what` that was.
    """
    try:
        return await with_timeout(trigger, PATIENCE_US, "us")
    except SimTimeoutError:
        raise AssertionError(f"waited {PATIENCE_US} us in vain for {what}") from None
