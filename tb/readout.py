"""Readout of the column counters, as the digital side does it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from cocotb.handle import SimHandleBase
from cocotb.triggers import FallingEdge
from numpy.typing import NDArray

from caduceus.spec import formats


class Readout:
    """Drives the `read_*` ports of the macro, or of its converters alone.

    Args:
        dut: the design with the ports.
        columns: number of columns.
        lanes: columns per read.
        clock: name of the readout's clock.
    """

    def __init__(
        self, dut: SimHandleBase, columns: int, lanes: int, clock: str = "read_clk"
    ) -> None:
        self._dut: Any = dut
        self.columns, self.lanes = columns, lanes
        self.clock = getattr(dut, clock)

    def idle(self) -> None:
        """Read nothing."""
        for name in ("read_enable", "read_bank", "read_group"):
            getattr(self._dut, name).value = 0

    async def read(self, bank: int, groups: Sequence[int] | None = None) -> NDArray[np.uint16]:
        """Counters of `bank`: uint16 [2, columns], P and N; those of groups not read are 0.

        Takes one clock per group; may run in parallel with other clock domains.
        """
        counters = np.zeros((2, self.columns // self.lanes, self.lanes), dtype=np.uint16)
        await FallingEdge(self.clock)
        self._dut.read_enable.value = 1
        self._dut.read_bank.value = bank
        for group in range(self.columns // self.lanes) if groups is None else groups:
            self._dut.read_group.value = group
            # Half a clock after the edge the registered outputs are valid in every simulator.
            await FallingEdge(self.clock)
            for side, port in enumerate((self._dut.read_p, self._dut.read_n)):
                counters[side, group] = unpacked(int(port.value), self.lanes)
        self._dut.read_enable.value = 0
        return counters.reshape(2, self.columns)


def unpacked(word: int, lanes: int) -> list[int]:
    """The counters of a readout word, lowest column first."""
    return [word >> lane * formats.COUNT_BITS & formats.COUNT_MAX for lane in range(lanes)]
