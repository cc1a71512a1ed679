"""A stand-alone tile behind AXI4-Lite and AXI4-Stream, as in the Verilog package."""

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_lite import AxiLite, AxiLiteBridge
from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.tile.packet_admission import PacketAdmission
from caduceus.hdl.tile.tile import Tile
from caduceus.hdl.tile.unit_clocks import UNITS
from caduceus.spec.chip import Chip
from caduceus.spec.fabric import PART_BITS


class AxiTile(wiring.Component):
    """`caduceus.hdl.tile.tile.Tile` with AXI interfaces and its own reset synchronizers.

    Latency: that of `Tile`, `PacketAdmission` and `AxiLiteBridge`. Back-pressure: a packet whose
    part has no room, or is not next in the sequence, waits at its stream, and so do all packets
    behind it.

    Attributes:
        aclk: clock of all AXI interfaces and of the digital side (`sync`).
        mvm_clk: clock of the modulator and the array (`mvm`), unrelated to `aclk`.
        aresetn: asynchronous reset of both domains, active low; hold it for four clocks of the
            slower clock.
        s_axil: registers.
        s_axis, s_axis_tuser: input vectors, pixels, or parts of either; with every beat the part
            number, 0 if PARTS is 1.
        s_axis_rx, s_axis_rx_tuser: RX vectors; with every beat the part number, 0 if RX_PARTS is 1.
        m_axis: result vectors.
    """

    def __init__(self, chip: Chip, record: bool = False) -> None:
        """Make a tile of `chip` with AXI interfaces; `record` as in `Tile`."""
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
        """Add the tile to the module, in the domains `sync` and `mvm`."""
        m.submodules.tile = tile

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, clock in (("sync", self.aclk), ("mvm", self.mvm_clk)):
            domain = ClockDomain(name)
            m.domains += domain
            m.d.comb += domain.clk.eq(clock)
            m.submodules[f"reset_{name}"] = ResetSynchronizer(~self.aresetn, domain=name)
        tile = Tile(self._chip, self._record)
        m.d.comb += [
            getattr(tile, f"{unit}_clk").eq(self.aclk) for unit in UNITS if unit != "links"
        ]
        self.place(m, tile)
        m.submodules.bridge = bridge = AxiLiteBridge()
        connect(m, flipped(self.s_axil), bridge.axi)
        connect(m, bridge.bus, tile.bus)
        for name, packets, part, stream, credit in (
            ("input", self.s_axis, self.s_axis_tuser, tile.input, tile.input_credit),
            ("rx", self.s_axis_rx, self.s_axis_rx_tuser, tile.rx, tile.rx_credit),
        ):
            admission = PacketAdmission(self._chip.link.units)
            m.submodules[f"{name}_gate"] = admission
            connect(m, flipped(packets), admission.input)
            connect(m, admission.output, stream)
            m.d.comb += [
                admission.input_part.eq(part),
                admission.room.eq(credit.room),
                credit.take.eq(admission.take),
            ]
            if name == "input":
                m.d.comb += [
                    tile.input_part.eq(admission.output_part),
                    credit.take_part.eq(admission.take_part),
                ]
        connect(m, tile.output, flipped(self.m_axis))
        return m
