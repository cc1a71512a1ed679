"""Serial pins in a simulation as a line of the host; the line can damage bytes."""

from typing import Any

import numpy as np
from cocotb.task import resume
from cocotb.triggers import Timer
from cocotb.utils import get_sim_time
from cocotbext.uart import UartSink, UartSource


class Damage:
    """Damage on the line: a share of the bytes is dropped, doubled, or gets a bit flipped.

    Attributes:
        done: number of damaged bytes.
    """

    def __init__(self, random: np.random.Generator, share: float) -> None:
        self._random, self._share = random, share
        self.done = 0

    def __call__(self, data: bytes) -> bytes:
        """Bytes after the damage."""
        found = bytearray()
        for byte in data:
            if self._random.random() >= self._share:
                found.append(byte)
                continue
            self.done += 1
            kind = int(self._random.integers(3))
            found += (b"", bytes((byte, byte)), bytes((byte ^ 1 << self._random.integers(8),)))[
                kind
            ]
        return bytes(found)


class PinLine:
    """A `host.line.Line` in simulated time, for a thread that `cocotb.task.bridge` started."""

    def __init__(self, dut: Any, baud: float, damage: Damage) -> None:
        self._source = UartSource(dut.rx, baud=baud)
        self._sink = UartSink(dut.tx, baud=baud)
        for model in (self._source, self._sink):
            model.log.setLevel("WARNING")
        self._damage = damage

    @resume
    async def write(self, data: bytes) -> None:
        """Send bytes, and wait for the end of the last one."""
        self._source.write_nowait(self._damage(data))
        await self._source.wait()

    @resume
    async def read(self, seconds: float) -> bytes:
        """Received bytes."""
        if self._sink.empty():
            await self._sink.wait(max(1, round(seconds * 1e9)), "ns")
        return self._damage(bytes(self._sink.read_nowait()))

    @resume
    async def now(self) -> float:
        """Simulated seconds."""
        return get_sim_time("ns") / 1e9

    @resume
    async def rest(self, microseconds: int) -> None:
        """Let time pass."""
        await Timer(microseconds, "us")

    def close(self) -> None:
        """Nothing to close: the pins stay."""
