"""Clocks of a tile's units: each unit has a clock of its own, which may stop while it is idle.

A chip connects all of them with the tile's clock. A simulation stops them one by one, as evaluating
idle units would take most of its time, see `caduceus.sim.verilated_grid`.
"""

from collections.abc import Mapping

from amaranth.hdl import DomainRenamer, Elaboratable, Module, ResetSignal, Value

from caduceus.hdl.common.clock_domains import add_domain

UNITS = ("links", "ldpu", "source", "pcm_write")
"""Link controller without its arbiter, LDPU, input path, PCM-write unit; the others run with the
tile."""
HOLD_CLOCKS = 8
"""Clocks of the tile for which a unit's clock keeps running after its last activity, a register
access, or a reset: registers that follow others settle within them."""


def make_domains(m: Module, clocks: Mapping[str, Value]) -> None:
    """Add a domain for each unit in `clocks`, with its clock and the reset of `sync`."""
    for unit, clock in clocks.items():
        add_domain(m, unit, clock, ResetSignal("sync"), local=True)


def clocked(component: Elaboratable, unit: str) -> Elaboratable:
    """The component with the unit's clock for `sync`."""
    return DomainRenamer({"sync": unit})(component)
