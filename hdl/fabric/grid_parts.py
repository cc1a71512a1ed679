"""Parts of a grid for simulations that evaluate them one by one: a tile or a slice with its links.

A part has the links at its inputs inside, so that all its outputs depend on flip-flops alone, which
`hdl.common.verilog` checks when it writes the part. See `caduceus.sim.verilated_grid`.
"""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, DomainRenamer, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_lite import RegisterBus
from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.common.clock_domains import add_domain
from caduceus.hdl.fabric.chip_tile import (
    ChipTile,
    gather,
    packet_sinks,
    packet_sources,
    spread,
)
from caduceus.hdl.fabric.grid import SIDES, Link
from caduceus.hdl.gdpu.gdpu_slice import GdpuSlice
from caduceus.hdl.tile.unit_clocks import UNITS
from caduceus.spec import fabric
from caduceus.spec.chip import Chip

TILE_PART, SLICE_PART = "tile_part", "slice_part"
"""Names of the modules."""


class _Part(wiring.Component):
    """A part with `inputs` and `outputs` streams; its inputs have links, except `unlinked`."""

    def __init__(
        self,
        chip: Chip,
        inputs: int,
        outputs: int,
        unlinked: Sequence[int],
        ports: Mapping[str, wiring.Member],
    ) -> None:
        self._chip, self._unlinked = chip, unlinked
        stream = AxiStream(chip.link.units)
        self.streams = [f"in_{k}" for k in range(inputs)], [f"out_{k}" for k in range(outputs)]
        super().__init__(
            {
                **{name: In(1) for name in ("clk", "inputs_clk", "rst")},
                "bus": In(RegisterBus()),
                **{name: In(stream) for name in self.streams[0]},
                **{name: Out(stream) for name in self.streams[1]},
                "awake": Out(1),
                "error": Out(1),
                "arriving": Out(1),
                **ports,
            }
        )

    def _surround(self, m: Module, inner: wiring.Component) -> None:
        """Add the tile or slice, and its links."""
        m.submodules.inner = inner
        add_domain(m, "inputs", self.inputs_clk, self.rst)
        connect(m, flipped(self.bus), inner.bus)
        stream = AxiStream(self._chip.link.units)
        arriving, linked = [], []
        for k, name in enumerate(self.streams[0]):
            port = getattr(self, name)
            at = stream.create(path=(f"at_{k}",))
            if k in self._unlinked:
                connect(m, flipped(port), flipped(at))
            else:
                link = Link(self._chip)
                m.submodules[f"link_{k}"] = DomainRenamer({"sync": "inputs"})(link)
                connect(m, flipped(port), link.input)
                connect(m, link.output, flipped(at))
                linked.append(at.tvalid)
            arriving.append(at)
        gather(m, arriving, inner.packets_in)
        spread(m, inner.packets_out, [flipped(getattr(self, name)) for name in self.streams[1]])
        m.d.comb += [
            inner.clk.eq(self.clk),
            inner.rst.eq(self.rst),
            self.awake.eq(inner.awake),
            self.error.eq(inner.error),
            self.arriving.eq(Cat(linked).any()),
        ]


class TilePart(_Part):
    """A recorded tile with its links; the host's stream, where it has one, has none.

    Attributes:
        clk, rst: of the tile. inputs_clk: of the links. mvm_clk, mvm_rst: of the array.
        <unit>_clk: of the units. active: one bit per unit. See `hdl.tile.unit_clocks`.
        in_<k>, out_<k>: the tile's streams in the order of `packet_sources` and `packet_sinks`.
        arriving: a link holds a beat.
        bus, awake, mvm_awake, error: as of `hdl.fabric.chip_tile.ChipTile`.
    """

    def __init__(self, chip: Chip) -> None:
        sources = packet_sources(chip)
        super().__init__(
            chip, len(sources), len(packet_sinks(chip)), [sources.index(fabric.HOST)],
            {
                "mvm_clk": In(1),
                "mvm_rst": In(1),
                **{f"{unit}_clk": In(1) for unit in UNITS},
                "mvm_awake": Out(1),
                "active": Out(len(UNITS)),
            },
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        tile = ChipTile(self._chip, record=True, units=True)
        self._surround(m, tile)
        m.d.comb += [
            tile.mvm_clk.eq(self.mvm_clk),
            tile.mvm_rst.eq(self.mvm_rst),
            self.mvm_awake.eq(tile.mvm_awake),
            *(getattr(tile, f"{unit}_clk").eq(getattr(self, f"{unit}_clk")) for unit in UNITS),
            self.active.eq(Cat(getattr(tile, f"{unit}_active") for unit in UNITS)),
        ]
        return m


class SlicePart(_Part):
    """A GDPU slice with its links.

    Attributes:
        clk, rst: of the slice. inputs_clk: of the links.
        in_<k>, out_<k>: the streams of each side.
        arriving: a link holds a beat.
        bus, awake, error: as of `hdl.gdpu.gdpu_slice.GdpuSlice`.
    """

    def __init__(self, chip: Chip) -> None:
        super().__init__(chip, len(SIDES), len(SIDES), [], {})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._surround(m, GdpuSlice(self._chip))
        return m
