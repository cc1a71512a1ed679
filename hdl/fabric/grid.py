"""The grid: tiles, GDPU slices, the links between them, and their clock gates."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, ClockSignal, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_lite import DATA_BITS, RegisterBus
from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.common.clock_domains import add_domain
from caduceus.hdl.fabric.chip_tile import StreamBundle, gather, packet_sinks, packet_sources, spread
from caduceus.hdl.fabric.link_buffer import LinkBuffer
from caduceus.spec import fabric, registers
from caduceus.spec.chip import Chip

GRID_MODULE = "grid"
TILE_MODULE = "chip_tile"
GDPU_MODULE = "gdpu_slice"
LINK_MODULE = "link"
CLOCK_GATE_MODULE = "clock_gate"
WAKE_CLOCKS = 8
"""Clocks of `mvm` for which the clock of a tile's array keeps running after its last work."""
SIDES = (fabric.NORTH, fabric.SOUTH)
"""Streams of a GDPU slice, in their order."""


class Link(wiring.Component):
    """The `LinkBuffer` on a link: a grid instantiates this module once per link."""

    def __init__(self, chip: Chip) -> None:
        self._units = chip.link.units
        stream = AxiStream(self._units)
        super().__init__({"input": In(stream), "output": Out(stream)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = LinkBuffer(self._units)
        connect(m, flipped(self.input), buffer.input)
        connect(m, buffer.output, flipped(self.output))
        return m


@dataclass(frozen=True)
class End:
    """A stream of a tile or slice.

    Attributes:
        part: number of the tile, or `chip.tiles` plus that of the slice.
        stream: its position among the part's inputs or outputs.
    """

    part: int
    stream: int


@dataclass(frozen=True)
class Wiring:
    """Every stream of a grid.

    Attributes:
        links: from an output to an input, with the name of the link.
        host_inputs, host_outputs: the host's streams, in their order.
    """

    links: tuple[tuple[str, End, End], ...]
    host_inputs: tuple[End, ...]
    host_outputs: tuple[End, ...]

    @classmethod
    def of(cls, chip: Chip) -> "Wiring":
        """Those of a chip."""
        sources, sinks = packet_sources(chip), packet_sinks(chip)
        found = [
            (f"link_{tile}_{name}", End(tile, sinks.index(name)), End(other, sources.index(name)))
            for tile, name, other in fabric.links(chip)
        ]
        for number in range(chip.gdpu.slices):
            for side, tile in fabric.gdpu_tiles(chip, number).items():
                outer = End(chip.tiles + number, SIDES.index(side))
                down, up = (End(tile, names.index(fabric.GDPU)) for names in (sinks, sources))
                found += [
                    (f"link_{tile}_{fabric.GDPU}", down, outer),
                    (f"link_slice_{number}_{side}", outer, up),
                ]
        return cls(
            tuple(found),
            tuple(End(t, sources.index(fabric.HOST)) for t in fabric.host_tiles(chip, "inputs")),
            tuple(End(t, sinks.index(fabric.HOST)) for t in fabric.host_tiles(chip, "outputs")),
        )


class GridPorts(wiring.Signature):
    """The ports of a `Grid`, which describes them."""

    def __init__(self, chip: Chip) -> None:
        units, parts = chip.link.units, chip.tiles + chip.gdpu.slices
        super().__init__(
            {
                **{name: In(1) for name in ("clk", "rst", "mvm_clk", "mvm_rst")},
                "request": In(parts),
                "write": In(1),
                "address": In(registers.ADDRESS_BITS),
                "write_data": In(DATA_BITS),
                "done": Out(parts),
                "bus_error": Out(parts),
                "read_data": Out(DATA_BITS),
                "hosts_in": In(StreamBundle(units, len(chip.host.inputs))),
                "hosts_out": Out(StreamBundle(units, len(chip.host.outputs))),
                "awake": Out(chip.tiles),
                "error": Out(chip.tiles),
                "slices_awake": Out(chip.gdpu.slices),
                "slices_error": Out(chip.gdpu.slices),
            }
        )


class Grid(wiring.Component):
    """All tiles and GDPU slices of a chip description, and the links between them.

    Every tile is an instance of one module, `chip_tile`, and every slice one of `gdpu_slice`; clock
    gates stop their clocks while they are idle. Links that would leave the grid, or lead to a slice
    that does not exist, accept and drop all packets.

    All outputs depend on flip-flops alone, `read_data` on `request`, too. So a simulation may
    evaluate the parts of a grid one by one, see `caduceus.sim.verilated_grid`.

    Latency and back-pressure: those of tiles, slices and links; every stream is ready/valid from
    end to end.

    Attributes:
        clk, rst: of domain `sync`. mvm_clk, mvm_rst: of domain `mvm`. Resets are synchronous.
        request: register access, one bit per tile, then one per slice; the accesses share `write`,
            `address` (within the part's space) and `write_data`. See `RegisterBus`.
        done, bus_error: one bit per part; valid where `request` is 1. read_data: of the parts
            whose `request` is 1.
        hosts_in, hosts_out: packets from and to the host, at the tiles of `chip.host`.
        awake, error: one bit per tile. slices_awake, slices_error: one bit per slice.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._parts = chip.tiles + chip.gdpu.slices
        super().__init__(GridPorts(chip))

    def _buses(self, m: Module) -> list[wiring.PureInterface]:
        """One register bus per part; one without an access is all zeros."""
        buses = [RegisterBus().create(path=("bus", str(part))) for part in range(self._parts)]
        read_data = 0
        for request, bus in zip(self.request, buses, strict=True):
            m.d.comb += [
                bus.request.eq(request),
                bus.write.eq(self.write & request),
                bus.address.eq(Mux(request, self.address, 0)),
                bus.write_data.eq(Mux(request, self.write_data, 0)),
            ]
            read_data |= Mux(request, bus.read_data, 0)
        m.d.comb += [
            self.done.eq(Cat(bus.done for bus in buses)),
            self.bus_error.eq(Cat(bus.error for bus in buses)),
            self.read_data.eq(read_data),
        ]
        return buses

    def _gate(self, m: Module, what: str, domain: str, enable: Signal) -> Signal:
        gated = Signal(name=f"{domain}_{what}")
        m.submodules[f"gate_{domain}_{what}"] = Instance(
            CLOCK_GATE_MODULE, i_clk=ClockSignal(domain), i_enable=enable, o_gated=gated
        )
        return gated

    def _link(
        self, m: Module, name: str, source: wiring.PureInterface, sink: wiring.PureInterface
    ) -> None:
        """A registered link: its wires are long, and simulators then see no loop through tiles."""
        ports = {"i_clk": ClockSignal("sync"), "i_rst": ResetSignal("sync")}
        for port, stream in (("input", source), ("output", sink)):
            for member in stream.signature.members:
                inward = (member == "tready") != (port == "input")
                way = "i" if inward else "o"
                ports[f"{way}_{port}_{member}"] = getattr(stream, member)
        m.submodules[name] = Instance(LINK_MODULE, **ports)

    def _part(
        self,
        m: Module,
        module: str,
        name: str,
        bus: wiring.PureInterface,
        ins: Sequence[wiring.PureInterface],
        outs: Sequence[wiring.PureInterface],
        awake: Signal,
        ports: dict[str, Signal | ClockSignal | ResetSignal],
    ) -> None:
        """An instance of a tile or a slice, whose `sync` clock is gated."""
        wake = Signal(name=f"wake_{name}")
        arriving = Cat(stream.tvalid for stream in ins)
        m.d.comb += wake.eq(awake | ResetSignal("sync") | bus.request | arriving.any())
        units = self._chip.link.units
        packets_in = StreamBundle(units, len(ins)).create(path=(name, "in"))
        packets_out = StreamBundle(units, len(outs)).create(path=(name, "out"))
        gather(m, ins, packets_in)
        spread(m, packets_out, outs)
        ports = {
            "i_clk": self._gate(m, name, "sync", wake),
            "i_rst": ResetSignal("sync"),
            "o_awake": awake,
            **ports,
        }
        for prefix, interface, receives in (
            ("bus", bus, True),
            ("packets_in", packets_in, True),
            ("packets_out", packets_out, False),
        ):
            for member_name, member in interface.signature.members.items():
                inward = (member.flow == Out) == receives
                port = f"{'i' if inward else 'o'}_{prefix}_{member_name}"
                ports[port] = getattr(interface, member_name)
        m.submodules[name] = Instance(module, **ports)

    def _mvm_clock(self, m: Module, tile: int, awake: Signal) -> Signal:
        """The gated clock of a tile's array."""
        # Crosses clock domains: the first flip-flop may be metastable and is not used.
        lately = Signal(WAKE_CLOCKS + 1, name=f"lately_{tile}")
        m.d.mvm += lately.eq(lately << 1 | awake)
        wake = Signal(name=f"mvm_wake_{tile}")
        m.d.comb += wake.eq(lately[1:].any() | ResetSignal("mvm"))
        return self._gate(m, f"tile_{tile}", "mvm", wake)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        add_domain(m, "sync", self.clk, self.rst)
        add_domain(m, "mvm", self.mvm_clk, self.mvm_rst)

        buses = self._buses(m)
        stream = AxiStream(chip.link.units)
        tiles, slices = chip.tiles, chip.gdpu.slices

        def streams(way: str, of_tile: Sequence[str]) -> list[list[wiring.PureInterface]]:
            names = [("tile", t, of_tile) for t in range(tiles)]
            names += [("slice", s, SIDES) for s in range(slices)]
            return [
                [stream.create(path=(f"{what}_{way}", str(number), n)) for n in each]
                for what, number, each in names
            ]

        ins, outs = streams("in", packet_sources(chip)), streams("out", packet_sinks(chip))
        layout = Wiring.of(chip)
        for name, source, sink in layout.links:
            self._link(m, name, outs[source.part][source.stream], ins[sink.part][sink.stream])
        gather(m, [outs[e.part][e.stream] for e in layout.host_outputs], self.hosts_out)
        spread(m, self.hosts_in, [ins[e.part][e.stream] for e in layout.host_inputs])
        led = {source for _, source, _ in layout.links} | set(layout.host_outputs)
        for part, each in enumerate(outs):
            for index, output in enumerate(each):
                if End(part, index) not in led:
                    m.d.comb += output.tready.eq(1)

        for tile in range(tiles):
            awake, mvm_awake = Signal(name=f"awake_{tile}"), Signal(name=f"mvm_awake_{tile}")
            m.d.comb += self.awake[tile].eq(awake)
            self._part(
                m, TILE_MODULE, f"tile_{tile}", buses[tile], ins[tile], outs[tile], awake,
                {
                    "i_mvm_clk": self._mvm_clock(m, tile, mvm_awake),
                    "i_mvm_rst": ResetSignal("mvm"),
                    "o_mvm_awake": mvm_awake,
                    "o_error": self.error[tile],
                },
            )  # fmt: skip
        for number in range(slices):
            part = tiles + number
            awake = Signal(name=f"awake_slice_{number}")
            m.d.comb += self.slices_awake[number].eq(awake)
            self._part(
                m, GDPU_MODULE, f"slice_{number}", buses[part], ins[part], outs[part], awake,
                {"o_error": self.slices_error[number]},
            )  # fmt: skip
        return m
