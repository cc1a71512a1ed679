"""A tile behind AXI with clock gates, as on a chip; see `caduceus.hdl.fabric.chip`."""

from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Instance,
    Module,
    ResetSignal,
    Signal,
    Value,
)

from caduceus.hdl.fabric.grid import CLOCK_GATE_MODULE, WAKE_CLOCKS
from caduceus.hdl.tile.axi_tile import AxiTile
from caduceus.hdl.tile.tile import Tile


class GatedTile(AxiTile):
    """An `AxiTile` whose clocks run only on the tile's own request."""

    def _gate(self, m: Module, domain: str, enable: Value) -> str:
        """Add a domain with the clock of `domain` that runs while `enable`; returns its name."""
        name = f"gated_{domain}"
        m.domains += ClockDomain(name)
        m.submodules[f"gate_{domain}"] = Instance(
            CLOCK_GATE_MODULE,
            i_clk=ClockSignal(domain),
            i_enable=enable | ResetSignal(domain),
            o_gated=ClockSignal(name),
        )
        m.d.comb += ResetSignal(name).eq(ResetSignal(domain))
        return name

    def place(self, m: Module, tile: Tile) -> None:
        """Put the tile behind its clock gates."""
        comes = (
            tile.bus.request
            | tile.input.tvalid
            | tile.rx.tvalid
            | self.s_axis.tvalid
            | self.s_axis_rx.tvalid
        )
        lately = Signal(WAKE_CLOCKS + 1)
        m.d.mvm += lately.eq(lately << 1 | tile.mvm_awake)
        gated = {
            "sync": self._gate(m, "sync", tile.awake | comes),
            "mvm": self._gate(m, "mvm", lately[1:].any()),
        }
        m.submodules.tile = DomainRenamer(gated)(tile)
