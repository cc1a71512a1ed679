"""Serial pins in a simulation as a line of the host, which damages bytes if it is to."""

from typing import Any

import numpy as np
from cocotb.task import resume
from cocotb.triggers import Timer
from cocotb.utils import get_sim_time
from cocotbext.uart import UartSink, UartSource


class Damage:
    """What happens to bytes: a share of them is dropped, doubled, or has a bit flipped.

    Attributes:
        done: how many.
    """

    def __init__(self, random: np.random.Generator, share: float) -> None:
        self._random, self._share = random, share
        self.done = 0

    def __call__(self, data: bytes) -> bytes:
        """What arrives of bytes."""
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
    """A `host.line.Line` in simulated time; of a thread that `cocotb.task.bridge` started."""

    def __init__(self, dut: Any, baud: float, damage: Damage) -> None:
        self._source = UartSource(dut.rx, baud=baud)
        self._sink = UartSink(dut.tx, baud=baud)
        for model in (self._source, self._sink):
            model.log.setLevel("WARNING")
        self._damage = damage

    @resume
    async def write(self, data: bytes) -> None:
        """Send bytes, and wait until the last has left."""
        self._source.write_nowait(self._damage(data))
        await self._source.wait()

    @resume
    async def read(self, seconds: float) -> bytes:
        """Bytes that have come."""
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
        """The pins stay."""
