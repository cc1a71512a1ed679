"""The harness of a component under proof: free inputs, assumptions, properties."""

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module, Signal, ValueLike
from amaranth.hdl._ir import PortDirection

TOP = "top"


class Harness:
    """A module with free inputs, and one one-bit output per assumption, property and lemma.

    Outputs rather than Amaranth's `Assert`: their names reach the solver, so that a proof can name
    the failing property. There is no reset: every run begins with the registers' initial values.

    Attributes:
        m: the module to fill.
        inputs: free in every clock.
        assumptions: hold in every clock of the considered runs.
        properties: must hold in every clock.
        lemmas: must hold in every clock, too; they describe the reachable states for the induction.
        later: 0 in the first clock, then 1.
        same: lemmas of equality: a signal here, and the path of a signal inside the component.
    """

    def __init__(self) -> None:
        self.m = Module()
        self._clock = ClockDomain("sync", reset_less=True)
        self.m.domains.sync = self._clock
        self.inputs: dict[str, Signal] = {}
        self.assumptions: dict[str, Signal] = {}
        self.properties: dict[str, Signal] = {}
        self.lemmas: dict[str, Signal] = {}
        self.same: dict[str, tuple[Signal, str]] = {}
        self.later = Signal(name="later")
        self.m.d.sync += self.later.eq(1)

    def input(self, name: str, width: int = 1) -> Signal:
        """Make an input that the environment chooses in every clock."""
        self.inputs[name] = signal = Signal(width, name=name)
        return signal

    def constant(self, name: str, width: int = 1) -> Signal:
        """Make an input that the environment chooses once."""
        signal = self.input(name, width)
        before = self.past(signal)
        self.assume(f"{name}_is_constant", ~self.later | (signal == before))
        return signal

    def past(self, value: ValueLike) -> Signal:
        """`value` one clock ago, 0 in the first clock."""
        before = Signal.like(value, name="before", init=0)
        self.m.d.sync += before.eq(value)
        return before

    def assume(self, name: str, condition: ValueLike) -> None:
        """Restrict the runs to those in which `condition` holds in every clock."""
        self.assumptions[name] = self._flag(f"assume_{name}", condition)

    def prove(self, name: str, condition: ValueLike) -> None:
        """Demand `condition` in every clock."""
        self.properties[name] = self._flag(f"prove_{name}", condition)

    def lemma(self, name: str, condition: ValueLike) -> None:
        """Demand `condition` in every clock, as an auxiliary invariant of the properties."""
        self.lemmas[name] = self._flag(f"lemma_{name}", condition)

    def equate(self, name: str, signal: Signal, inside: str) -> None:
        """A lemma: `signal` equals the component's own signal at path `inside`."""
        port = Signal.like(signal, name=f"same_{name}")
        self.m.d.comb += port.eq(signal)
        self.same[name] = (port, inside)

    def _flag(self, name: str, condition: ValueLike) -> Signal:
        signal = Signal(name=name)
        self.m.d.comb += signal.eq(condition)
        return signal

    def rtlil(self) -> str:
        """Convert to RTLIL, as module `TOP`."""
        ports = {signal.name: (signal, PortDirection.Input) for signal in self.inputs.values()}
        outputs = [*self.assumptions.values(), *self.properties.values()]
        outputs += [*self.lemmas.values(), *(signal for signal, _ in self.same.values())]
        ports |= {signal.name: (signal, PortDirection.Output) for signal in outputs}
        ports["clk"] = (self._clock.clk, PortDirection.Input)
        return rtlil.convert(self.m, name=TOP, ports=ports, emit_src=False)
