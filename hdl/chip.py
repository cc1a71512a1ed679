"""The chip: tiles in a grid, links between them, AXI at its edge."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.axi_lite import AxiLite, AxiLiteBridge, RegisterBus
from hdl.axi_stream import AxiStream
from hdl.chip_tile import StreamBundle, gather, packet_sinks, packet_sources, spread
from hdl.link_buffer import LinkBuffer
from spec import fabric, registers
from spec.chip import Chip as Description

TILE_MODULE = "chip_tile"
LINK_MODULE = "link"
CLOCK_GATE_MODULE = "clock_gate"
WAKE_CLOCKS = 8
"""Clocks of `mvm` for which a tile's array stays on after it had its last work."""


class Link(wiring.Component):
    """The `LinkBuffer` on a link: the module that a chip instantiates once for every link."""

    def __init__(self, chip: Description) -> None:
        self._units = chip.link.units
        stream = AxiStream(self._units)
        super().__init__({"input": In(stream), "output": Out(stream)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = LinkBuffer(self._units)
        connect(m, flipped(self.input), buffer.input)
        connect(m, buffer.output, flipped(self.output))
        return m


class Chip(wiring.Component):
    """All tiles of a chip description.

    Every tile is an instance of one module, `chip_tile`, whose clocks stop while it has nothing
    to do. Links that would lead over the edge swallow what they are given.

    Attributes:
        aclk: clock of all AXI interfaces and of the digital side (`sync`).
        mvm_clk: clock of modulators and arrays (`mvm`), unrelated to `aclk`.
        aresetn: asynchronous reset of both, active low; hold it for four clocks of the slower.
        s_axil: registers: tile t's at t * `registers.TILE_SPACE`, then the broadcast window.
        s_axis_<p>, m_axis_<p>: packets from and to the host, at the tiles of `chip.host`.
        awake, error: of any tile, a bit each.
    """

    def __init__(self, chip: Description) -> None:
        self._chip = chip
        stream = AxiStream(chip.link.units)
        self._address_bits = registers.chip_address_bits(chip.tiles)
        super().__init__(
            {
                "aclk": In(1),
                "mvm_clk": In(1),
                "aresetn": In(1),
                "s_axil": In(AxiLite(self._address_bits)),
                **{f"s_axis_{p}": In(stream) for p in range(len(chip.host.inputs))},
                **{f"m_axis_{p}": Out(stream) for p in range(len(chip.host.outputs))},
                "awake": Out(chip.tiles),
                "error": Out(chip.tiles),
            }
        )

    def _buses(self, m: Module) -> list[wiring.PureInterface]:
        """A register bus a tile. One that is not asked sees zeros: it has nothing to evaluate."""
        chip = self._chip
        m.submodules.bridge = bridge = AxiLiteBridge(self._address_bits)
        connect(m, flipped(self.s_axil), bridge.axi)
        bus = bridge.bus
        number = bus.address >> registers.ADDRESS_BITS
        broadcast = number == chip.tiles
        buses = [
            RegisterBus().create(path=("tile", str(tile), "bus")) for tile in range(chip.tiles)
        ]
        read_data, done, errors = 0, 0, 0
        for tile, each in enumerate(buses):
            asked = Signal(name=f"asked_{tile}")
            m.d.comb += [
                asked.eq(bus.request & ((number == tile) | (broadcast & bus.write))),
                each.request.eq(asked),
                each.write.eq(bus.write & asked),
                each.address.eq(Mux(asked, bus.address, 0)),
                each.write_data.eq(Mux(asked, bus.write_data, 0)),
            ]
            finished = asked & each.done
            done |= finished
            errors |= finished & each.error
            read_data |= Mux(asked, each.read_data, 0)
        nobody = bus.request & ((number > chip.tiles) | (broadcast & ~bus.write))
        m.d.comb += [
            # Tiles take the same number of clocks: those of a broadcast finish together.
            bus.done.eq(done | nobody),
            bus.error.eq(errors | nobody),
            bus.read_data.eq(read_data),
        ]
        return buses

    def _gate(self, m: Module, tile: int, domain: str, enable: Signal) -> Signal:
        gated = Signal(name=f"{domain}_{tile}")
        m.submodules[f"gate_{domain}_{tile}"] = Instance(
            CLOCK_GATE_MODULE, i_clk=ClockSignal(domain), i_enable=enable, o_gated=gated
        )
        return gated

    def _link(
        self, m: Module, name: str, source: wiring.PureInterface, sink: wiring.PureInterface
    ) -> None:
        """Registered on its way: long wires, and simulators see no loop through the tiles."""
        ports = {"i_clk": ClockSignal("sync"), "i_rst": ResetSignal("sync")}
        for port, stream in (("input", source), ("output", sink)):
            for member in stream.signature.members:
                inward = (member == "tready") != (port == "input")
                way = "i" if inward else "o"
                ports[f"{way}_{port}_{member}"] = getattr(stream, member)
        m.submodules[name] = Instance(LINK_MODULE, **ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        for name, clock in (("sync", self.aclk), ("mvm", self.mvm_clk)):
            domain = ClockDomain(name)
            m.domains += domain
            m.d.comb += domain.clk.eq(clock)
            m.submodules[f"reset_{name}"] = ResetSynchronizer(~self.aresetn, domain=name)

        buses = self._buses(m)
        units = chip.link.units
        stream = AxiStream(units)
        ins = [
            {n: stream.create(path=("tile", str(t), "in", n)) for n in packet_sources(chip)}
            for t in range(chip.tiles)
        ]
        outs = [
            {n: stream.create(path=("tile", str(t), "out", n)) for n in packet_sinks(chip)}
            for t in range(chip.tiles)
        ]
        led: set[tuple[int, str]] = set()  # somewhere
        for tile, name, other in fabric.links(chip):
            self._link(m, f"link_{tile}_{name}", outs[tile][name], ins[other][name])
            led.add((tile, name))
        for port, tile in enumerate(fabric.host_tiles(chip, "inputs")):
            connect(m, flipped(getattr(self, f"s_axis_{port}")), flipped(ins[tile][fabric.HOST]))
        for port, tile in enumerate(fabric.host_tiles(chip, "outputs")):
            connect(m, outs[tile][fabric.HOST], flipped(getattr(self, f"m_axis_{port}")))
            led.add((tile, fabric.HOST))
        for tile, each in enumerate(outs):
            for name, output in each.items():
                if (tile, name) not in led:
                    m.d.comb += output.tready.eq(1)

        for tile in range(chip.tiles):
            wake = Signal(name=f"wake_{tile}")
            arriving = [stream.tvalid for stream in ins[tile].values()]
            m.d.comb += wake.eq(
                self.awake[tile] | ResetSignal("sync") | buses[tile].request | Cat(arriving).any()
            )
            mvm_awake = Signal(name=f"mvm_awake_{tile}")
            # From another clock domain: the first flip-flop only makes it safe to look at.
            lately = Signal(WAKE_CLOCKS + 1, name=f"lately_{tile}")
            m.d.mvm += lately.eq(lately << 1 | mvm_awake)
            mvm_wake = Signal(name=f"mvm_wake_{tile}")
            m.d.comb += mvm_wake.eq(lately[1:].any() | ResetSignal("mvm"))
            packets_in = StreamBundle(units, len(ins[tile])).create(path=("tile", str(tile), "in"))
            packets_out = StreamBundle(units, len(outs[tile])).create(
                path=("tile", str(tile), "out")
            )
            gather(m, list(ins[tile].values()), packets_in)
            spread(m, packets_out, list(outs[tile].values()))
            ports = {
                "i_clk": self._gate(m, tile, "sync", wake),
                "i_rst": ResetSignal("sync"),
                "i_mvm_clk": self._gate(m, tile, "mvm", mvm_wake),
                "i_mvm_rst": ResetSignal("mvm"),
                "o_awake": self.awake[tile],
                "o_mvm_awake": mvm_awake,
                "o_error": self.error[tile],
            }
            for prefix, interface, receives in (
                ("bus", buses[tile], True),
                ("packets_in", packets_in, True),
                ("packets_out", packets_out, False),
            ):
                for name, member in interface.signature.members.items():
                    inward = (member.flow == Out) == receives
                    ports[f"{'i' if inward else 'o'}_{prefix}_{name}"] = getattr(interface, name)
            m.submodules[f"tile_{tile}"] = Instance(TILE_MODULE, **ports)
        return m
