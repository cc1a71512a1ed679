"""The chip: the grid of tiles and GDPU slices, and AXI at its edge."""

from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.common.axi_lite import AxiLite, AxiLiteBridge, RegisterBus
from caduceus.hdl.common.axi_stream import AxiStream
from caduceus.hdl.fabric.chip_tile import gather, spread
from caduceus.hdl.fabric.grid import GRID_MODULE, GridPorts
from caduceus.spec import registers
from caduceus.spec.chip import Chip as Description


class Chip(wiring.Component):
    """A grid (`hdl.fabric.grid.Grid`) with its AXI interfaces and resets.

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

    def _bus(self, m: Module, grid: wiring.PureInterface) -> None:
        """Decode the number of an address space."""
        tiles, slices = self._chip.tiles, self._chip.gdpu.slices
        m.submodules.bridge = bridge = AxiLiteBridge(self._address_bits)
        connect(m, flipped(self.s_axil), bridge.axi)
        bus: RegisterBus = bridge.bus
        number = bus.address >> registers.ADDRESS_BITS
        broadcast = number == tiles
        spaces = [*range(tiles), *(registers.slice_space(tiles, s) for s in range(slices))]
        for part, space in enumerate(spaces):
            by_broadcast = broadcast & bus.write if space < tiles else 0
            m.d.comb += grid.request[part].eq(bus.request & ((number == space) | by_broadcast))
        nobody = bus.request & ((number > max(spaces)) | (broadcast & ~bus.write))
        finished = grid.request & grid.done
        m.d.comb += [
            grid.write.eq(bus.write),
            grid.address.eq(bus.address),
            grid.write_data.eq(bus.write_data),
            # All tiles take the same number of clocks, so a broadcast ends in all of them at once.
            bus.done.eq(finished.any() | nobody),
            bus.error.eq((finished & grid.bus_error).any() | nobody),
            bus.read_data.eq(grid.read_data),
        ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        for name, clock in (("sync", self.aclk), ("mvm", self.mvm_clk)):
            domain = ClockDomain(name)
            m.domains += domain
            m.d.comb += domain.clk.eq(clock)
            m.submodules[f"reset_{name}"] = ResetSynchronizer(~self.aresetn, domain=name)

        signature = GridPorts(chip)
        grid = signature.create(path=("grid",))
        self._bus(m, grid)
        inputs = [getattr(self, f"s_axis_{p}") for p in range(len(chip.host.inputs))]
        outputs = [getattr(self, f"m_axis_{p}") for p in range(len(chip.host.outputs))]
        gather(m, [flipped(each) for each in inputs], grid.hosts_in)
        spread(m, grid.hosts_out, [flipped(each) for each in outputs])
        m.d.comb += [
            grid.clk.eq(ClockSignal("sync")),
            grid.rst.eq(ResetSignal("sync")),
            grid.mvm_clk.eq(ClockSignal("mvm")),
            grid.mvm_rst.eq(ResetSignal("mvm")),
            self.awake.eq(grid.awake),
            self.error.eq(grid.error),
            self.slices_awake.eq(grid.slices_awake),
            self.slices_error.eq(grid.slices_error),
        ]
        ports = {
            f"{'i' if member.flow == In else 'o'}_{'_'.join(path)}": value
            for path, member, value in signature.flatten(grid)
        }
        m.submodules.grid = Instance(GRID_MODULE, **ports)
        return m
