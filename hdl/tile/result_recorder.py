"""The recorder of a tile's results and activity, for simulation only."""

from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ACTIVATION_BITS
from caduceus.spec.shipped import shipped_folder

MODULE = "result_recorder"
SOURCE = shipped_folder(__package__) / f"{MODULE}.sv"
"""The module's source, which documents the recorded files."""


class ResultRecorder(wiring.Component):
    """An instance of the behavioral module `result_recorder`; it has no outputs.

    Attributes (domain `sync`, except the last three):
        result_valid, result_last, result: the LDPU's results. result_keep: mask of the lanes in
            use; result_wide: the values are binary16.
        sent_*: the tile's output stream, including `tready`.
        writes: rows of an input vector are being written.
        group_valid: a group arrives at the LDPU. stalled: a group waits in it.
        state_load, state_index, integrates: of the array; domain `mvm`.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        stream = AxiStream(chip.link.units).members.items()
        bits = ACTIVATION_BITS * chip.link.value_bytes
        super().__init__(
            {
                "state_load": In(1),
                "state_index": In(16),
                "result_valid": In(1),
                "result_last": In(1),
                "result_keep": In(chip.ldpu.lanes),
                "result_wide": In(1),
                "result": In(chip.ldpu.lanes * bits),
                **{f"sent_{name}": In(member.shape) for name, member in stream},
                "writes": In(1),
                "group_valid": In(1),
                "stalled": In(1),
                "integrates": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        parameters = {
            "LANES": chip.ldpu.lanes,
            "VALUE_BYTES": chip.link.value_bytes,
            "UNITS": chip.link.units,
            "LONGEST": chip.array.columns * chip.link.value_bytes,
        }
        m.submodules.recorder = Instance(
            MODULE,
            a_keep=1,  # it has no outputs
            **{f"p_{name}": value for name, value in parameters.items()},
            i_clk=ClockSignal("sync"),
            i_rst=ResetSignal("sync"),
            i_mvm_clk=ClockSignal("mvm"),
            i_mvm_rst=ResetSignal("mvm"),
            **{f"i_{name}": getattr(self, name) for name in self.signature.members},
        )
        return m
