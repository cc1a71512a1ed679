"""A tile with its link controller: the module that a chip instantiates once for every tile."""

from collections.abc import Sequence

from amaranth.hdl import Cat, ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from caduceus.hdl.common import register_slice
from caduceus.hdl.common.axi_lite import RegisterBus
from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.common.register_block import word_of
from caduceus.hdl.fabric.link_controller import LinkController
from caduceus.hdl.fabric.link_sizes import LinkSizes
from caduceus.hdl.tile.tile import Tile
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
    """The signals of several streams side by side, the first stream's lowest.

    A simulator copies every port of a tile at every edge of its clocks: few wide ones are faster.
    """

    def __init__(self, units: int, streams: int) -> None:
        members = AxiStream(units).members.items()
        super().__init__({name: member.flow(member.shape * streams) for name, member in members})


def spread(
    m: Module, bundle: wiring.PureInterface, streams: Sequence[wiring.PureInterface]
) -> None:
    """Feed streams from a bundle, in their order."""
    for name in bundle.signature.members:
        together, apart = getattr(bundle, name), Cat(getattr(stream, name) for stream in streams)
        m.d.comb += together.eq(apart) if name == "tready" else apart.eq(together)


def gather(
    m: Module, streams: Sequence[wiring.PureInterface], bundle: wiring.PureInterface
) -> None:
    """Feed a bundle from streams, in their order."""
    for name in bundle.signature.members:
        together, apart = getattr(bundle, name), Cat(getattr(stream, name) for stream in streams)
        m.d.comb += apart.eq(together) if name == "tready" else together.eq(apart)


class ChipTile(wiring.Component):
    """`hdl.tile.tile.Tile` on the fabric. Nothing in it depends on where in the grid it is.

    Attributes:
        clk, rst: of domain `sync`. mvm_clk, mvm_rst: of domain `mvm`. Resets are synchronous.
        bus: registers, see `caduceus.spec.registers`.
        packets_in: packets in, one stream for each of `fabric.sources` but TX.
        packets_out: packets out, one for each of `fabric.sinks` but INPUT and RX.
        awake: something is going on; while it is 0, no stream in is valid and the bus asks for
            nothing, `clk` may stop.
        mvm_awake: so does the array, or soon will; eight `mvm_clk` after it fell, that may stop.
        error: some bit of ERROR is set.
    """

    def __init__(self, chip: Chip, record: bool = False) -> None:
        """Put a tile of `chip` on the fabric; `record` as of `Tile`."""
        self._chip, self._record = chip, record
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
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, clock, reset in (
            ("sync", self.clk, self.rst),
            ("mvm", self.mvm_clk, self.mvm_rst),
        ):
            domain = ClockDomain(name)
            m.domains += domain
            m.d.comb += [domain.clk.eq(clock), domain.rst.eq(reset)]
        m.submodules.tile = tile = Tile(self._chip, self._record)
        m.submodules.links = links = LinkController(LinkSizes.of(self._chip))
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
    """A `ChipTile` that writes down what it does, for simulation."""

    def __init__(self, chip: Chip) -> None:
        super().__init__(chip, record=True)
