"""A tile or chip in a simulation: its registers behind a bus model, its clocks and reset."""

from cocotb.clock import Clock
from cocotb.triggers import Timer
from cocotbext.axi import AxiLiteMaster

from caduceus.spec.host_port import RegisterPort

RESET_NS = 100


class CocotbextPort(RegisterPort):
    """Register accesses through the AXI4-Lite model of cocotbext-axi."""

    def __init__(self, master: AxiLiteMaster) -> None:
        self._master = master

    async def write(self, address: int, value: int) -> int:
        """As `RegisterPort.write`."""
        response = await self._master.write(address, value.to_bytes(4, "little"))
        return int(response.resp)

    async def read(self, address: int) -> tuple[int, int]:
        """As `RegisterPort.read`."""
        response = await self._master.read(address, 4)
        return int.from_bytes(response.data, "little"), int(response.resp)


def start_clock(signal: object, half_period_ps: int) -> None:
    """A clock that the simulator toggles, not Python."""
    Clock(signal, 2 * half_period_ps, "ps", impl="gpi").start()


async def reset(dut: object) -> None:
    """Hold the tile in reset for a while."""
    dut.aresetn.value = 0
    await Timer(RESET_NS, "ns")
    dut.aresetn.value = 1
    await Timer(RESET_NS, "ns")
