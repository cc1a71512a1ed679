"""A tile with its link controller: a chip instantiates this module once per tile."""

from collections.abc import Sequence

from amaranth.hdl import Cat, DomainRenamer, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from caduceus.hdl.common import register_slice
from caduceus.hdl.common.axi_lite import RegisterBus
from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.common.clock_domains import add_domain
from caduceus.hdl.common.register_block import word_of
from caduceus.hdl.fabric.link_controller import LinkController
from caduceus.hdl.fabric.link_sizes import LinkSizes
from caduceus.hdl.tile.tile import Tile
from caduceus.hdl.tile.unit_clocks import UNITS, make_domains
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.registers import Error


def packet_sources(chip: Chip) -> list[str]:
    """The sources of packets outside of the tile, in the order of `fabric.sources`."""
    return [name for name in fabric.sources(chip) if name != fabric.TX]


def packet_sinks(chip: Chip) -> list[str]:
    """The sinks of packets outside of the tile, in the order of `fabric.sinks`."""
    return [name for name in fabric.sinks(chip) if name not in (fabric.INPUT, fabric.RX)]


class StreamBundle(wiring.Signature):
    """Several streams concatenated signal by signal, the first stream in the lowest bits.

    A simulator copies every port of a tile at every clock edge: few wide ports are faster.
    """

    def __init__(self, units: int, streams: int) -> None:
        members = AxiStream(units).members.items()
        super().__init__({name: member.flow(member.shape * streams) for name, member in members})


def spread(
    m: Module, bundle: wiring.PureInterface, streams: Sequence[wiring.PureInterface]
) -> None:
    """Connect a bundle to the streams that it feeds, in their order."""
    for name in bundle.signature.members:
        together, apart = getattr(bundle, name), Cat(getattr(stream, name) for stream in streams)
        m.d.comb += together.eq(apart) if name == "tready" else apart.eq(together)


def gather(
    m: Module, streams: Sequence[wiring.PureInterface], bundle: wiring.PureInterface
) -> None:
    """Connect streams to the bundle that they feed, in their order."""
    for name in bundle.signature.members:
        together, apart = getattr(bundle, name), Cat(getattr(stream, name) for stream in streams)
        m.d.comb += apart.eq(together) if name == "tready" else together.eq(apart)


class ChipTile(wiring.Component):
    """`hdl.tile.tile.Tile` with its link controller; identical for every position in the grid.

    Latency and back-pressure: those of `Tile` and `LinkController`; a register access takes two
    clocks more than in `Tile`.

    Attributes:
        clk, rst: of domain `sync`. mvm_clk, mvm_rst: of domain `mvm`. Resets are synchronous.
        bus: registers, see `caduceus.spec.registers`.
        packets_in: packets in, one stream per `fabric.sources` except TX.
        packets_out: packets out, one stream per `fabric.sinks` except INPUT and RX.
        awake: the tile has work. `clk` may stop while it is 0, no input stream is valid, and the
            bus has no request.
        mvm_awake: the array has work or is about to. `mvm_clk` may stop eight clocks after it fell.
        error: a bit of ERROR is set.
        <unit>_clk, <unit>_active: with `units`, clocks of the units, and whether they have work,
            see `hdl.tile.unit_clocks` and `Tile`; a packet that arrives does not count. Otherwise
            all units run with `clk`.
    """

    def __init__(self, chip: Chip, record: bool = False, units: bool = False) -> None:
        """Make a tile of `chip` with its link controller; `record` as in `Tile`."""
        self._chip, self._record, self._units = chip, record, units
        units = chip.link.units
        super().__init__(
            {
                **{name: In(1) for name in ("clk", "rst", "mvm_clk", "mvm_rst")},
                "bus": In(RegisterBus()),
                "packets_in": In(StreamBundle(units, len(packet_sources(chip)))),
                "packets_out": Out(StreamBundle(units, len(packet_sinks(chip)))),
                "awake": Out(1),
                "mvm_awake": Out(1),
                "error": Out(1),
                **({f"{unit}_clk": In(1) for unit in UNITS} if self._units else {}),
                **({f"{unit}_active": Out(1) for unit in UNITS} if self._units else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        add_domain(m, "sync", self.clk, self.rst)
        add_domain(m, "mvm", self.mvm_clk, self.mvm_rst)
        m.submodules.tile = tile = Tile(self._chip, self._record)
        links = LinkController(LinkSizes.of(self._chip), arbiter_domain="arbiter")
        clocks = {u: getattr(self, f"{u}_clk") if self._units else self.clk for u in UNITS}
        make_domains(m, {"links": clocks.pop("links")})
        m.submodules.links = DomainRenamer({"sync": "links", "arbiter": "sync"})(links)
        m.d.comb += [getattr(tile, f"{unit}_clk").eq(clock) for unit, clock in clocks.items()]
        if self._units:
            m.d.comb += [
                self.links_active.eq(links.busy | tile.output.tvalid),
                *(getattr(self, f"{u}_active").eq(getattr(tile, f"{u}_active")) for u in clocks),
            ]
        names = fabric.sinks(self._chip)
        sources, sinks = packet_sources(self._chip), packet_sinks(self._chip)
        register_slice.pass_on(m, self.bus, tile.bus)
        connect(m, tile.routes, links.routes)
        spread(m, self.packets_in, [links.inputs[index] for index in range(len(sources))])
        connect(m, tile.output, links.inputs[len(sources)])
        gather(m, [links.outputs[index] for index in range(len(sinks))], self.packets_out)
        connect(m, links.outputs[names.index(fabric.INPUT)], tile.input)
        connect(m, links.credit, tile.input_credit)
        connect(m, links.outputs[names.index(fabric.RX)], tile.rx)
        connect(m, links.rx_credit, tile.rx_credit)
        m.d.comb += [
            links.tx_stream.eq(tile.tx_stream),
            tile.input_part.eq(links.part),
            tile.link_errors.eq(
                word_of(
                    {
                        Error.STREAM_UNKNOWN: links.unknown,
                        Error.PACKET_EMPTY: links.empty,
                        Error.PACKET_LONG: links.too_long,
                    }
                )
            ),
            tile.error_stream.eq(links.error_stream),
            tile.links_busy.eq(links.busy),
            tile.packet_in.eq(links.packet_in),
            tile.packet_out.eq(links.packet_out),
            self.awake.eq(tile.awake),
            self.mvm_awake.eq(tile.mvm_awake),
            self.error.eq(tile.error),
        ]
        return m


class RecordedChipTile(ChipTile):
    """A `ChipTile` with a recorder, for simulation."""

    def __init__(self, chip: Chip) -> None:
        super().__init__(chip, record=True)
