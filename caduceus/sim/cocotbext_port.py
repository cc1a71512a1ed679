"""Registers of a tile or chip in a simulation, behind the bus model of cocotbext-axi."""

from cocotbext.axi import AxiLiteMaster

from caduceus.spec.host_port import RegisterPort


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
