"""Proofs, and the seeded bugs that they must find."""

import inspect
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType

from caduceus.spec.errors import UserError
from formal.harness import Harness
from formal.solver import Model, Refuted

Change = tuple[str, str]
"""A piece of source that occurs once in the component's module, and its replacement."""


@dataclass(frozen=True)
class Mutant:
    """A seeded bug.

    Attributes:
        says: its description, after "the design ...".
        change: the change of the source.
        breaks: properties that must fail, each on its own.
        inside: the subcomponent with the bug; None for the component under proof.
    """

    says: str
    change: Change
    breaks: tuple[str, ...]
    inside: type | None = None


@dataclass(frozen=True)
class Proof:
    """A component, its harness, and the depths of the checks.

    Attributes:
        name: of the proof, for example `arbiter 3x2`.
        component: class under proof.
        build: makes the harness around this class or a mutant of it, with sizes of its own choice.
        depth: clocks of the bounded check.
        induction: clocks of the induction; 0 for none.
        mutants: seeded bugs.
        quick: the proof is part of the tests.
    """

    name: str
    component: type
    build: Callable[[type], Harness]
    depth: int
    induction: int = 0
    mutants: tuple[Mutant, ...] = ()
    quick: bool = False


@dataclass
class Outcome:
    """Result for one property.

    Attributes:
        proof, name: of the property.
        depth: clocks from reset without failure.
        always: whether induction extends this to all time.
        refuted: the mutants that the property found.
        seconds: wall-clock time of the whole proof or mutant.
    """

    proof: str
    name: str
    depth: int
    always: bool = False
    refuted: list[str] = field(default_factory=list)
    seconds: float = 0.0


def altered(component: type, change: Change) -> type:
    """Load the module of `component` again with its source changed; return its class of that name.

    Raises:
        UserError: the text to change does not occur once.
    """
    module = sys.modules[component.__module__]
    source = inspect.getsource(module)
    old, new = change
    if source.count(old) != 1:
        raise UserError(
            f"{module.__name__}: seeded bug: occurrences of '{old}': got {source.count(old)}, "
            "expected 1"
        )
    copy = ModuleType(module.__name__)
    copy.__package__ = module.__package__
    exec(compile(source.replace(old, new), f"<mutant of {module.__name__}>", "exec"), copy.__dict__)
    return getattr(copy, component.__name__)


@contextmanager
def seeded(component: type, mutant: Mutant) -> Iterator[type]:
    """`component` with the bug; its instances must be elaborated within the context.

    A bug in a subcomponent replaces that class in every module during the context.

    Raises:
        UserError: as `altered`.
    """
    wrong = altered(mutant.inside or component, mutant.change)
    if mutant.inside is None:
        yield wrong
        return
    places = [
        (module, name)
        for module in list(sys.modules.values())
        for name, value in list(getattr(module, "__dict__", {}).items())
        if value is mutant.inside
    ]
    try:
        for module, name in places:
            setattr(module, name, wrong)
        yield component
    finally:
        for module, name in places:
            setattr(module, name, mutant.inside)


def prove(proof: Proof) -> list[Outcome]:
    """Check every property of `proof`.

    Raises:
        Refuted: a property fails.
        UserError: the proof itself is faulty.
    """
    began = time.monotonic()
    harness = proof.build(proof.component)
    model = Model(harness)
    model.check(proof.depth)
    always = model.induct(proof.induction) if proof.induction else set()
    seconds = time.monotonic() - began
    return [
        Outcome(proof.name, name, proof.depth, name in always, seconds=seconds)
        for name in harness.properties
    ]


def refute(proof: Proof, mutant: Mutant) -> float:
    """Check that `mutant` breaks each property that it must; return the time in seconds.

    Raises:
        UserError: a property that must fail holds.
    """
    began = time.monotonic()
    with seeded(proof.component, mutant) as component:
        model = Model(proof.build(component))
    for name in mutant.breaks:
        try:
            model.check(proof.depth, (name,))
        except Refuted:
            continue
        raise UserError(
            f"{proof.name}: '{name}' holds for {proof.depth} clocks, but the design {mutant.says}"
        )
    return time.monotonic() - began
