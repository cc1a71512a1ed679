"""A tile alone, behind AXI4-Lite and AXI4-Stream: what `make verilog` writes for one tile."""

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_lite import AxiLite, AxiLiteBridge
from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.tile.packet_admission import PacketAdmission
from caduceus.hdl.tile.tile import Tile
from caduceus.spec.chip import Chip
from caduceus.spec.fabric import PART_BITS


class AxiTile(wiring.Component):
    """`caduceus.hdl.tile.tile.Tile` with AXI at its boundary and its own reset synchronisers.

    Attributes:
        aclk: clock of all AXI interfaces and of the digital side (`sync`).
        mvm_clk: clock of the modulator and the array (`mvm`), unrelated to `aclk`.
        aresetn: asynchronous reset of both, active low; hold it for four clocks of the slower.
        s_axil: registers.
        s_axis: input vectors, pixels, or parts of either. s_axis_tuser: with every beat of a part,
            which one it is; 0 where PARTS is 1. s_axis_rx, s_axis_rx_tuser: RX vectors, and with
            every beat whose turn it is; 0 where RX_PARTS is 1. m_axis: result vectors. A packet for
            which there is no room, or that has not its turn, waits, and so do those behind it.
    """

    def __init__(self, chip: Chip, record: bool = False) -> None:
        """Put AXI around a tile of `chip`; `record` as of `Tile`."""
        self._chip, self._record = chip, record
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
                "s_axis_rx_tuser": In(PART_BITS),
                "m_axis": Out(stream),
            }
        )

    def place(self, m: Module, tile: Tile) -> None:
        """Put the tile into the module, in the domains `sync` and `mvm`."""
        m.submodules.tile = tile

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, clock in (("sync", self.aclk), ("mvm", self.mvm_clk)):
            domain = ClockDomain(name)
            m.domains += domain
            m.d.comb += domain.clk.eq(clock)
            m.submodules[f"reset_{name}"] = ResetSynchronizer(~self.aresetn, domain=name)
        tile = Tile(self._chip, self._record)
        self.place(m, tile)
        m.submodules.bridge = bridge = AxiLiteBridge()
        connect(m, flipped(self.s_axil), bridge.axi)
        connect(m, bridge.bus, tile.bus)
        for name, packets, part, stream, credit in (
            ("input", self.s_axis, self.s_axis_tuser, tile.input, tile.input_credit),
            ("rx", self.s_axis_rx, self.s_axis_rx_tuser, tile.rx, tile.rx_credit),
        ):
            gate = PacketAdmission(self._chip.link.units)
            m.submodules[f"{name}_gate"] = gate
            connect(m, flipped(packets), gate.input)
            connect(m, gate.output, stream)
            m.d.comb += [
                gate.input_part.eq(part),
                gate.room.eq(credit.room),
                credit.take.eq(gate.take),
            ]
            if name == "input":
                m.d.comb += [
                    tile.input_part.eq(gate.output_part),
                    credit.take_part.eq(gate.take_part),
                ]
        connect(m, tile.output, flipped(self.m_axis))
        return m
