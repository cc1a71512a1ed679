"""The chip: a grid of tiles, GDPU slices, the links between them, and AXI at the edge."""

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    Instance,
    Module,
    Mux,
    ResetSignal,
    Signal,
    Value,
)
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_lite import AxiLite, AxiLiteBridge, RegisterBus
from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.fabric.chip_tile import StreamBundle, gather, packet_sinks, packet_sources, spread
from caduceus.hdl.fabric.link_buffer import LinkBuffer
from caduceus.spec import fabric, registers
from caduceus.spec.chip import Chip as Description

TILE_MODULE = "chip_tile"
GDPU_MODULE = "gdpu_slice"
LINK_MODULE = "link"
CLOCK_GATE_MODULE = "clock_gate"
WAKE_CLOCKS = 8
"""Clocks of `mvm` for which the clock of a tile's array keeps running after its last work."""


class Link(wiring.Component):
    """The `LinkBuffer` on a link: a chip instantiates this module once per link."""

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
    """All tiles and GDPU slices of a chip description.

    Every tile is an instance of one module, `chip_tile`, and every slice one of `gdpu_slice`; clock
    gates stop their clocks while they are idle. Links that would leave the grid, or lead to a slice
    that does not exist, accept and drop all packets.

    Latency and back-pressure: those of tiles, slices and links; every stream is ready/valid from
    end to end.

    Attributes:
        aclk: clock of all AXI interfaces and of the digital side (`sync`).
        mvm_clk: clock of modulators and arrays (`mvm`), unrelated to `aclk`.
        aresetn: asynchronous reset of both domains, active low; hold it for four clocks of the
            slower clock.
        s_axil: registers: tile t's at t * `registers.TILE_SPACE`, then the broadcast window, then
            those of the slices.
        s_axis_<p>, m_axis_<p>: packets from and to the host, at the tiles of `chip.host`.
        awake, error: one bit per tile. slices_awake, slices_error: one bit per slice.
    """

    def __init__(self, chip: Description) -> None:
        self._chip = chip
        stream = AxiStream(chip.link.units)
        self._address_bits = registers.chip_address_bits(chip.tiles, chip.gdpu.slices)
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
                "slices_awake": Out(chip.gdpu.slices),
                "slices_error": Out(chip.gdpu.slices),
            }
        )

    def _buses(self, m: Module) -> dict[int, wiring.PureInterface]:
        """One register bus per tile and slice, by the number of its address space.

        A bus without an access is all zeros, so that simulators have nothing to evaluate.
        """
        tiles, slices = self._chip.tiles, self._chip.gdpu.slices
        spaces = [*range(tiles), *(registers.slice_space(tiles, s) for s in range(slices))]
        m.submodules.bridge = bridge = AxiLiteBridge(self._address_bits)
        connect(m, flipped(self.s_axil), bridge.axi)
        bus = bridge.bus
        number = bus.address >> registers.ADDRESS_BITS
        broadcast = number == tiles
        buses = {space: RegisterBus().create(path=("bus", str(space))) for space in spaces}
        read_data, done, errors = 0, 0, 0
        for space, each in buses.items():
            asked = Signal(name=f"asked_{space}")
            by_broadcast = broadcast & bus.write if space < tiles else 0
            m.d.comb += [
                asked.eq(bus.request & ((number == space) | by_broadcast)),
                each.request.eq(asked),
                each.write.eq(bus.write & asked),
                each.address.eq(Mux(asked, bus.address, 0)),
                each.write_data.eq(Mux(asked, bus.write_data, 0)),
            ]
            finished = asked & each.done
            done |= finished
            errors |= finished & each.error
            read_data |= Mux(asked, each.read_data, 0)
        nobody = bus.request & ((number > max(spaces)) | (broadcast & ~bus.write))
        m.d.comb += [
            # All tiles take the same number of clocks, so a broadcast ends in all of them at once.
            bus.done.eq(done | nobody),
            bus.error.eq(errors | nobody),
            bus.read_data.eq(read_data),
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
        ins: list[wiring.PureInterface],
        outs: list[wiring.PureInterface],
        awake: Value,
        ports: dict[str, Value],
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

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        for name, clock in (("sync", self.aclk), ("mvm", self.mvm_clk)):
            domain = ClockDomain(name)
            m.domains += domain
            m.d.comb += domain.clk.eq(clock)
            m.submodules[f"reset_{name}"] = ResetSynchronizer(~self.aresetn, domain=name)

        buses = self._buses(m)
        stream = AxiStream(chip.link.units)

        def streams(what: str, count: int, names: list[str]) -> list[dict]:
            return [
                {n: stream.create(path=(what, str(number), n)) for n in names}
                for number in range(count)
            ]

        sides = [fabric.NORTH, fabric.SOUTH]
        ins = streams("tile_in", chip.tiles, packet_sources(chip))
        outs = streams("tile_out", chip.tiles, packet_sinks(chip))
        slice_ins = streams("slice_in", chip.gdpu.slices, sides)
        slice_outs = streams("slice_out", chip.gdpu.slices, sides)
        led: set[tuple[int, str]] = set()  # outputs that lead somewhere
        for tile, name, other in fabric.links(chip):
            self._link(m, f"link_{tile}_{name}", outs[tile][name], ins[other][name])
            led.add((tile, name))
        for number in range(chip.gdpu.slices):
            tiles = fabric.gdpu_tiles(chip, number)
            for side in sides:
                if side not in tiles:
                    m.d.comb += slice_outs[number][side].tready.eq(1)
                    continue
                tile, name = tiles[side], fabric.GDPU
                self._link(m, f"link_{tile}_{name}", outs[tile][name], slice_ins[number][side])
                self._link(
                    m, f"link_slice_{number}_{side}", slice_outs[number][side], ins[tile][name]
                )
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
            mvm_awake = Signal(name=f"mvm_awake_{tile}")
            # Crosses clock domains: the first flip-flop may be metastable and is not used.
            lately = Signal(WAKE_CLOCKS + 1, name=f"lately_{tile}")
            m.d.mvm += lately.eq(lately << 1 | mvm_awake)
            mvm_wake = Signal(name=f"mvm_wake_{tile}")
            m.d.comb += mvm_wake.eq(lately[1:].any() | ResetSignal("mvm"))
            self._part(
                m, TILE_MODULE, f"tile_{tile}", buses[tile], list(ins[tile].values()),
                list(outs[tile].values()), self.awake[tile],
                {
                    "i_mvm_clk": self._gate(m, f"tile_{tile}", "mvm", mvm_wake),
                    "i_mvm_rst": ResetSignal("mvm"),
                    "o_mvm_awake": mvm_awake,
                    "o_error": self.error[tile],
                },
            )  # fmt: skip
        for number in range(chip.gdpu.slices):
            self._part(
                m, GDPU_MODULE, f"slice_{number}",
                buses[registers.slice_space(chip.tiles, number)],
                list(slice_ins[number].values()), list(slice_outs[number].values()),
                self.slices_awake[number], {"o_error": self.slices_error[number]},
            )  # fmt: skip
        return m
