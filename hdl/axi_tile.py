"""A tile alone, behind AXI4-Lite and AXI4-Stream: what `make verilog` writes for one tile."""

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.axi_lite import AxiLite, AxiLiteBridge
from hdl.axi_stream import AxiStream
from hdl.link_controller import PART_BITS
from hdl.tile import Tile
from spec.chip import Chip


class AxiTile(wiring.Component):
    """`hdl.tile.Tile` with AXI at its boundary and its own reset synchronisers.

    Attributes:
        aclk: clock of all AXI interfaces and of the digital side (`sync`).
        mvm_clk: clock of the modulator and the array (`mvm`), unrelated to `aclk`.
        aresetn: asynchronous reset of both, active low; hold it for four clocks of the slower.
        s_axil: registers.
        s_axis: input vectors, or their parts. s_axis_tuser: with every beat of a part, which one
            it is; 0 where PARTS is 1. s_axis_rx: RX vectors. m_axis: result vectors.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        stream = AxiStream(chip.link.units)
        super().__init__(
            {
                "aclk": In(1),
                "mvm_clk": In(1),
                "aresetn": In(1),
                "s_axil": In(AxiLite()),
                "s_axis": In(stream),
                "s_axis_tuser": In(PART_BITS),
                "s_axis_rx": In(stream),
                "m_axis": Out(stream),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, clock in (("sync", self.aclk), ("mvm", self.mvm_clk)):
            domain = ClockDomain(name)
            m.domains += domain
            m.d.comb += domain.clk.eq(clock)
            m.submodules[f"reset_{name}"] = ResetSynchronizer(~self.aresetn, domain=name)
        m.submodules.tile = tile = Tile(self._chip)
        m.submodules.bridge = bridge = AxiLiteBridge()
        connect(m, flipped(self.s_axil), bridge.axi)
        connect(m, bridge.bus, tile.bus)
        connect(m, flipped(self.s_axis), tile.input)
        m.d.comb += tile.input_part.eq(self.s_axis_tuser)
        connect(m, flipped(self.s_axis_rx), tile.rx)
        connect(m, tile.output, flipped(self.m_axis))
        return m
