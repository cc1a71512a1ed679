"""Clocks and resets of a design with the domains `sync` and `mvm`, and waits with a limit."""

from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, SimTimeoutError, Timer, with_timeout

RATIOS = {
    "hermes": (2500, 1000, 0),
    "sync_faster": (2000, 3100, 700),
    "sync_much_slower": (7300, 1700, 0),
    "same": (2000, 2000, 0),
}
"""Periods of `sync` and `mvm`, and the phase of `mvm`, all in ps."""

RESET_CLOCKS = 4
"""Length of a reset in clocks of the slower domain."""

PATIENCE_US = 20
"""Simulated time before a wait fails."""


async def start(dut: Any, sync_ps: int, mvm_ps: int, phase_ps: int = 0) -> None:
    """Start `clk` and `mvm_clk`, whose first edge is `phase_ps` later, and reset both domains.

    Returns just after a rising edge of `clk`. Clocks run until the test ends. Their edges fall in
    the same simulation step whenever periods and phase make them coincide.
    """
    dut.rst.value = dut.mvm_rst.value = 1
    # An edge at time 0 would differ between the simulators.
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
    """Wait for a trigger or coroutine, with a limit; returns its result.

    Raises:
        AssertionError: it did not fire within `PATIENCE_US`; the message names `what`.
    """
    try:
        return await with_timeout(trigger, PATIENCE_US, "us")
    except SimTimeoutError:
        raise AssertionError(f"waited {PATIENCE_US} us for {what}") from None
