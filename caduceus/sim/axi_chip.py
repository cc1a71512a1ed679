"""A chip in a simulation, with the bus models of cocotbext-axi on its host ports."""

import logging
from typing import Self

from cocotb.triggers import Timer
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource

from caduceus.host.chip import ChipHost
from caduceus.sim.cocotbext_port import CocotbextPort
from caduceus.sim.tile_host import RESET_NS, reset, start_clock
from caduceus.spec.chip import Chip


class AxiChip:
    """The chip with its clocks, its host registers and its host streams.

    Attributes:
        master: AXI4-Lite manager of the host registers.
        inputs, outputs: models of the host streams, by port number.
    """

    def __init__(self, dut: object, chip: Chip) -> None:
        self.dut, self.chip = dut, chip
        low = {"reset": dut.aresetn, "reset_active_level": False}
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.aclk, **low)
        self.port = CocotbextPort(self.master)
        self.host = ChipHost(self.port, chip)
        self.inputs = [
            AxiStreamSource(AxiStreamBus.from_prefix(dut, f"s_axis_{p}"), dut.aclk, **low)
            for p in range(len(chip.host.inputs))
        ]
        self.outputs = [
            AxiStreamSink(AxiStreamBus.from_prefix(dut, f"m_axis_{p}"), dut.aclk, **low)
            for p in range(len(chip.host.outputs))
        ]
        names = [
            "s_axil",
            *self._names("s_axis", self.inputs),
            *self._names("m_axis", self.outputs),
        ]
        for name in names:
            dut._log.getChild(name).setLevel(logging.WARNING)

    @staticmethod
    def _names(prefix: str, models: list) -> list[str]:
        return [f"{prefix}_{p}" for p in range(len(models))]

    @classmethod
    async def start(cls, dut: object, chip: Chip, half_periods: tuple[int, int]) -> Self:
        """Start the clocks, with the half periods of `sync` and `mvm` in ps, and reset the chip."""
        start_clock(dut.aclk, half_periods[0])
        start_clock(dut.mvm_clk, half_periods[1])
        # The models sample the chip's outputs from the first clock on, and in Icarus they are X
        # before a reset.
        dut.aresetn.value = 0
        for name in ("awvalid", "wvalid", "arvalid", "bready", "rready"):
            getattr(dut, f"s_axil_{name}").value = 0
        for port in range(len(chip.host.inputs)):
            getattr(dut, f"s_axis_{port}_tvalid").value = 0
        for port in range(len(chip.host.outputs)):
            getattr(dut, f"m_axis_{port}_tready").value = 0
        await Timer(RESET_NS, "ns")
        found = cls(dut, chip)
        await reset(dut)
        return found

    async def reset(self) -> None:
        """Reset the chip, and drop everything in flight."""
        self._clear()
        await reset(self.dut)
        self._clear()

    def _clear(self) -> None:
        for model in (*self.inputs, *self.outputs):
            model.clear()
