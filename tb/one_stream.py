"""Base of the benches of blocks with one stream in and one out."""

from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from tb import benches

CLOCK_NS = 2
Beat = tuple[int, int, int]
"""tdata, tkeep, tlast."""


class OneStream:
    """Clock, reset and random numbers for a block with streams `input` and `output`.

    Attributes:
        offered, readiness: share of clocks with a beat offered, and with `tready`.
        edge: the next rising edge.
    """

    def __init__(self, dut: Any) -> None:
        self.dut, self.random = dut, benches.generator()
        self.offered = self.readiness = 1.0
        self.edge = RisingEdge(dut.clk)
        self.start_afresh()

    def start_afresh(self) -> None:
        """Reset the bench's own state: nothing inside, nothing offered."""
        raise AssertionError("every bench defines its own")

    async def start(self) -> None:
        """Start the clock, and reset."""
        await Timer(CLOCK_NS, "ns")
        Clock(self.dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        await self.reset()

    async def reset(self) -> None:
        """Reset the bench's state and the RTL."""
        dut = self.dut
        for name in ("tvalid", "tdata", "tkeep", "tlast"):
            getattr(dut, f"input_{name}").value = 0
        dut.output_tready.value = 0
        dut.rst.value = 1
        await self.edge
        await self.edge
        dut.rst.value = 0
        self.start_afresh()
