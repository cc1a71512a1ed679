"""Clock domains of modules whose clocks and resets are ports."""

from amaranth.hdl import ClockDomain, Module, Value


def add_domain(m: Module, name: str, clock: Value, reset: Value, local: bool = False) -> None:
    """Add domain `name` with this clock and synchronous reset; a `local` one ends at the module."""
    domain = ClockDomain(name, local=local)
    m.domains += domain
    m.d.comb += [domain.clk.eq(clock), domain.rst.eq(reset)]
