"""A chip in a simulation as a host's port: registers, packets and reset over its AXI ports."""

from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiStreamFrame

from caduceus.sim.axi_chip import AxiChip
from caduceus.spec.host_port import HostPort

WAIT_CLOCKS = 200
"""Clocks per wait, when there is no room or no packet."""
QUEUED = 8
"""Maximum number of queued packets in front of a host input."""


class ServedPort(HostPort):
    """The port of an `AxiChip`; its queues replace a board's FIFOs."""

    def __init__(self, bench: AxiChip) -> None:
        self._bench = bench
        self._forget()

    def _forget(self) -> None:
        self._open = [b"" for _ in self._bench.inputs]
        self._left = [b"" for _ in self._bench.outputs]

    async def write(self, address: int, value: int) -> int:
        """Write a word."""
        return await self._bench.port.write(address, value)

    async def read(self, address: int) -> tuple[int, int]:
        """Read a word."""
        return await self._bench.port.read(address)

    async def send(self, port: int, data: bytes, last: bool) -> int:
        """Queue a whole packet; if there is no room, queue nothing."""
        source = self._bench.inputs[port]
        if source.count() >= QUEUED:
            await self._wait()
        if source.count() >= QUEUED:
            return 0
        self._open[port] += data
        if last:
            source.send_nowait(AxiStreamFrame(self._open[port]))
            self._open[port] = b""
        return len(data)

    async def receive(self, port: int, most: int) -> tuple[bytes, bool]:
        """Return bytes of the first waiting packet, or let time pass."""
        sink = self._bench.outputs[port]
        if not self._left[port]:
            if sink.empty():
                await self._wait()
            if sink.empty():
                return b"", False
            self._left[port] = bytes(sink.recv_nowait().tdata)
        found, self._left[port] = self._left[port][:most], self._left[port][most:]
        return found, not self._left[port]

    async def reset(self) -> None:
        """Reset the chip and empty the queues."""
        await self._bench.reset()
        self._forget()

    async def _wait(self) -> None:
        await ClockCycles(self._bench.dut.aclk, WAIT_CLOCKS)
