"""Clocks and reset of a tile or chip in a simulation."""

from cocotb.clock import Clock
from cocotb.triggers import Timer

RESET_NS = 100


def start_clock(signal: object, half_period_ps: int) -> None:
    """A clock that the simulator toggles, not Python."""
    Clock(signal, 2 * half_period_ps, "ps", impl="gpi").start()


async def reset(dut: object) -> None:
    """Hold the tile in reset for a while."""
    dut.aresetn.value = 0
    await Timer(RESET_NS, "ns")
    dut.aresetn.value = 1
    await Timer(RESET_NS, "ns")
