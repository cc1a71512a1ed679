"""Copies of a small arithmetic block side by side, so that one clock checks many values.

Driving a simulator from Python costs tens of microseconds per clock, whatever the port width.
"""

from collections.abc import Callable

import numpy as np
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out
from cocotb.handle import LogicArrayObject
from cocotb.triggers import RisingEdge
from numpy.typing import NDArray


class Copies(Component):
    """`copies` of a block; each port concatenates the copies' ports, copy 0 lowest."""

    def __init__(
        self,
        block: Callable[[], Component],
        inputs: dict[str, int],
        result: tuple[str, int],
        copies: int,
    ) -> None:
        self._block, self._inputs, self._result, self._copies = block, inputs, result, copies
        members = {name: In(width * copies) for name, width in inputs.items()}
        super().__init__({**members, result[0]: Out(result[1] * copies)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for copy in range(self._copies):
            m.submodules[f"copy_{copy}"] = block = self._block()
            for name, width in self._inputs.items():
                m.d.comb += getattr(block, name).eq(getattr(self, name).word_select(copy, width))
            name, width = self._result
            m.d.comb += getattr(self, name).word_select(copy, width).eq(getattr(block, name))
        return m


def pack(values: NDArray, width: int) -> int:
    """Unsigned values of `width` bits (at most 16) as one integer, value 0 lowest."""
    bits = (values.astype(np.uint32)[:, None] >> np.arange(width)) & 1
    return int.from_bytes(np.packbits(bits.astype(np.uint8), bitorder="little").tobytes(), "little")


def unpack(value: int, width: int, copies: int) -> NDArray[np.uint16]:
    """The inverse of `pack`."""
    raw = value.to_bytes((width * copies + 7) // 8, "little")
    bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[: width * copies]
    return (bits.reshape(copies, width).astype(np.uint32) << np.arange(width)).sum(1).astype("<u2")


async def stream_through(
    clock: LogicArrayObject,
    inputs: dict[LogicArrayObject, tuple[NDArray, int]],
    result: LogicArrayObject,
    width: int,
    latency: int,
    copies: int,
) -> NDArray[np.uint16]:
    """Push values through the copies, `copies` per clock; returns the results in order."""
    length = len(next(iter(inputs.values()))[0])
    clocks = -(-length // copies)
    words = {}
    for port, (values, bits) in inputs.items():
        padded = np.zeros(clocks * copies, dtype=values.dtype)
        padded[:length] = values
        words[port] = [pack(row, bits) for row in padded.reshape(clocks, copies)]
    # The simulators agree on a first edge at time 0 only after it.
    await RisingEdge(clock)
    results = []
    for tick in range(clocks + latency):
        if tick < clocks:
            for port, packed in words.items():
                port.value = packed[tick]
        await RisingEdge(clock)
        # Sampled before this edge takes effect: the results of `latency` edges ago.
        if tick >= latency:
            results.append(unpack(int(result.value), width, copies))
    return np.concatenate(results)[:length]
