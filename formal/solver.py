"""Bounded model checking and k-induction: Yosys writes the transition relation, Bitwuzla solves."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from bitwuzla import Bitwuzla, Options, Parser, Result, Term, TermManager

from caduceus.hdl.common.verilog import run_script
from caduceus.spec.errors import UserError
from formal.harness import TOP, Harness

_SCRIPT = f"""
read_rtlil design.il
hierarchy -top {TOP}
proc
flatten
opt_expr
opt_clean
memory -nordff
opt -full
dffunmap
opt_clean
write_smt2 -wires design.smt2
"""


def smt2(harness: Harness) -> str:
    """The harness as SMT-LIB functions of a state: initial, transition, and every wire.

    Raises:
        UserError: Yosys refuses the design.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "design.il").write_text(harness.rtlil())
        Path(folder, "script.ys").write_text(_SCRIPT)
        run_script(Path(folder), "a harness")
        return Path(folder, "design.smt2").read_text()


class _Unrolled:
    """Consecutive states s0, s1, ...; all assumptions hold in each."""

    def __init__(self, harness: Harness, text: str) -> None:
        self.harness = harness
        # The parser refers to both without owning them.
        self._manager, self._options = TermManager(), Options()
        self._options.set("produce-models", True)
        self._parser = Parser(self._manager, self._options)
        lines = (line for line in text.splitlines() if not line.startswith("(set-option"))
        self._parser.parse("\n".join(("(set-logic ALL)", *lines, "")), True, False)
        self.solver: Bitwuzla = self._parser.bitwuzla()
        self.states = 0

    def term(self, text: str) -> Term:
        return self._parser.parse_term(text)

    def add_state(self) -> int:
        """Append a state; return its number."""
        k = self.states
        self._parser.parse(f"(declare-fun s{k} () |{TOP}_s|)", True, False)
        self.solver.assert_formula(self.term(f"(|{TOP}_h| s{k})"))
        if k:
            self.solver.assert_formula(self.term(f"(|{TOP}_t| s{k - 1} s{k})"))
        for signal in self.harness.assumptions.values():
            self.solver.assert_formula(self.term(f"(|{TOP}_n {signal.name}| s{k})"))
        self.states += 1
        return k

    def holds(self, name: str, k: int) -> str:
        """SMT-LIB expression: the property or lemma `name` holds in state `k`."""
        if name not in self.harness.same:
            signal = (self.harness.properties | self.harness.lemmas)[name]
            return f"(|{TOP}_n {signal.name}| s{k})"
        signal, inside = self.harness.same[name]
        return f"(= (|{TOP}_n {signal.name}| s{k}) (|{TOP}_n {inside}| s{k}))"

    def broken(self, names: Iterable[str], k: int) -> bool:
        """Whether one of `names` can fail in state `k`; sets the solver's model if so."""
        text = " ".join(self.holds(name, k) for name in names)
        answer = self.solver.check_sat(self.term(f"(not (and true {text}))"))
        if answer == Result.UNKNOWN:
            raise UserError(f"Bitwuzla: state {k} of a proof: got no answer, expected SAT or UNSAT")
        return answer == Result.SAT

    def fails(self, name: str, k: int) -> bool:
        """Whether `name` fails in state `k` of the solver's model."""
        return str(self.solver.get_value(self.term(self.holds(name, k)))) == "false"

    def trace(self) -> list[dict[str, str]]:
        """The inputs of the solver's model, state by state."""
        return [
            {
                name: str(self.solver.get_value(self.term(f"(|{TOP}_n {name}| s{k})")))
                for name in self.harness.inputs
            }
            for k in range(self.states)
        ]


class Refuted(Exception):
    """A property fails.

    Attributes:
        failed: names of the properties.
        trace: the inputs of every clock up to the failure.
    """

    def __init__(self, failed: list[str], trace: list[dict[str, str]]) -> None:
        self.failed, self.trace = failed, trace
        super().__init__(f"{', '.join(failed)} fails in clock {len(trace) - 1}")


class Model:
    """A harness translated for the solver."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._text = smt2(harness)
        self._names = [*harness.properties, *harness.lemmas, *harness.same]

    def check(self, depth: int, names: Iterable[str] | None = None) -> None:
        """Check every run of `depth` clocks from reset, for `names` or for all properties.

        Raises:
            Refuted: a property fails; the run is the shortest one.
            UserError: the assumptions contradict each other, or the solver gives up.
        """
        names = self._names if names is None else list(names)
        run = _Unrolled(self._harness, self._text)
        for _ in range(depth):
            k = run.add_state()
            if k == 0:
                run.solver.assert_formula(run.term(f"(|{TOP}_i| s0)"))
            if run.broken(names, k):
                raise Refuted([name for name in names if run.fails(name, k)], run.trace())
            run.solver.assert_formula(run.term(f"(and true {_all(run, names, k)})"))
        # Contradicting assumptions would leave no run that could fail.
        if run.solver.check_sat() != Result.SAT:
            raise UserError(f"assumptions of the proof: they leave no run of {depth} clocks")

    def induct(self, length: int) -> set[str]:
        """Names of the properties that hold in every clock after `length` clocks with them.

        Together with a `check` of as many clocks, they hold for all time. The result is inductive
        as a whole: properties that depend on others outside of it are excluded.
        """
        names = list(self._names)
        while names:
            run = _Unrolled(self._harness, self._text)
            for _ in range(length):
                k = run.add_state()
                run.solver.assert_formula(run.term(f"(and true {_all(run, names, k)})"))
            k = run.add_state()
            if not run.broken(names, k):
                break
            names = [name for name in names if not run.fails(name, k)]
        return set(names)


def _all(run: _Unrolled, names: Iterable[str], k: int) -> str:
    return " ".join(run.holds(name, k) for name in names)
