"""Register ports of a tile or chip in a simulation, and its clocks and reset."""

from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge, Timer
from cocotbext.axi import AxiLiteMaster

from caduceus.spec.host_port import RegisterPort

RESET_NS = 100
PATIENCE = 10_000
"""Clocks before an access counts as hung."""


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


class EventPort(RegisterPort):
    """Register accesses without Python between them.

    A model that runs on every clock would be the slowest part of a long simulation.
    """

    def __init__(self, dut: object, clock: object) -> None:
        self._dut, self._clock = dut, clock
        for name in ("awvalid", "wvalid", "arvalid", "bready", "rready", "awprot", "arprot"):
            self._signal(name).value = 0

    def _signal(self, name: str) -> object:
        return getattr(self._dut, f"s_axil_{name}")

    async def _hand_over(self, *channels: str) -> None:
        """Keep each channel's valid high until its ready was high in a clock."""
        waiting = list(channels)
        await RisingEdge(self._clock)
        for channel in waiting:
            self._signal(f"{channel}valid").value = 1
        for _ in range(PATIENCE):
            # Registers change after a rising edge; on the falling edge all signals have settled.
            await FallingEdge(self._clock)
            ready = [c for c in waiting if int(self._signal(f"{c}ready").value)]
            await RisingEdge(self._clock)
            for channel in ready:
                self._signal(f"{channel}valid").value = 0
                waiting.remove(channel)
            if not waiting:
                return
        raise AssertionError(f"the tile's {waiting} channels were not ready in {PATIENCE} clocks")

    async def _answer(self, channel: str, *values: str) -> list[int]:
        self._signal(f"{channel}ready").value = 1
        for _ in range(PATIENCE):
            await FallingEdge(self._clock)
            if int(self._signal(f"{channel}valid").value):
                break
        else:
            raise AssertionError(f"no answer on channel {channel} in {PATIENCE} clocks")
        got = [int(self._signal(f"{channel}{value}").value) for value in values]
        await RisingEdge(self._clock)
        self._signal(f"{channel}ready").value = 0
        return got

    async def write(self, address: int, value: int) -> int:
        """As `RegisterPort.write`."""
        self._signal("awaddr").value = address
        self._signal("wdata").value = value
        self._signal("wstrb").value = 0xF
        await self._hand_over("aw", "w")
        (response,) = await self._answer("b", "resp")
        return response

    async def read(self, address: int) -> tuple[int, int]:
        """As `RegisterPort.read`."""
        self._signal("araddr").value = address
        await self._hand_over("ar")
        data, response = await self._answer("r", "data", "resp")
        return data, response


def start_clock(signal: object, half_period_ps: int) -> None:
    """A clock that the simulator toggles, not Python."""
    Clock(signal, 2 * half_period_ps, "ps", impl="gpi").start()


async def reset(dut: object) -> None:
    """Hold the tile in reset for a while."""
    dut.aresetn.value = 0
    await Timer(RESET_NS, "ns")
    dut.aresetn.value = 1
    await Timer(RESET_NS, "ns")
