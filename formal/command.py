"""`python -m formal`: prove all properties, find all seeded bugs, and print a table."""

import os
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor

from rich.console import Console
from rich.table import Table

from caduceus.cli.failures import MISMATCH, reported
from caduceus.spec.errors import UserError
from caduceus.spec.processes import end_with_parent
from formal import arbiter, credit_counter, fifo, link_controller
from formal.proof import Mutant, Outcome, Proof, prove, refute
from formal.solver import Refuted

PROOFS: tuple[Proof, ...] = (
    *credit_counter.PROOFS, *arbiter.PROOFS, *fifo.PROOFS, *link_controller.PROOFS,
)  # fmt: skip
WORKERS = 2


def _job(number: int, mutant: Mutant | None) -> list[Outcome] | float | str:
    """Run one proof or one of its mutants; the proof by number, as harnesses cannot be pickled.

    Returns what was proven, the seconds that a mutant took, or what went wrong, in lines.
    """
    proof = PROOFS[number]
    try:
        return prove(proof) if mutant is None else refute(proof, mutant)
    except Refuted as refuted:
        lines = [f"  clock {k}: {inputs}" for k, inputs in enumerate(refuted.trace)]
        return "\n".join([f"{proof.name}: {refuted}; inputs per clock:", *lines])
    except UserError as error:
        return str(error)


def unrefuted(proofs: tuple[Proof, ...], outcomes: list[Outcome]) -> list[str]:
    """Properties that no mutant of any proof breaks, so that nothing shows that they can fail.

    Proofs of one component in several sizes share their mutants.
    """
    broken = defaultdict(set)
    component = {proof.name: proof.component for proof in proofs}
    for proof in proofs:
        for mutant in proof.mutants:
            broken[proof.component] |= set(mutant.breaks)
    return sorted({o.name for o in outcomes if o.name not in broken[component[o.proof]]})


def main() -> None:
    """Run all proofs and mutants; exit with status 1 if one fails or a seeded bug survives."""
    with reported("formal"):
        sys.exit(MISMATCH if _errors() else 0)


def _errors() -> int:
    """Run all proofs and mutants, print a table, and return the number of errors."""
    began = time.monotonic()
    jobs = [(number, None) for number in range(len(PROOFS))]
    jobs += [(n, mutant) for n, proof in enumerate(PROOFS) for mutant in proof.mutants]
    ends = {"initializer": end_with_parent, "initargs": (os.getpid(),)}
    with ProcessPoolExecutor(WORKERS, **ends) as pool:
        results = list(pool.map(_job, *zip(*jobs, strict=True)))
    errors = [result for result in results if isinstance(result, str)]
    refuted: dict[tuple[str, str], list[float]] = defaultdict(list)
    outcomes: list[Outcome] = []
    for (number, mutant), result in zip(jobs, results, strict=True):
        if mutant is None and isinstance(result, list):
            outcomes += result
        elif mutant is not None and isinstance(result, float):
            for name in mutant.breaks:
                refuted[PROOFS[number].name, name].append(result)

    table = Table(title="Formal proofs")
    for column in ("component", "property", "depth", "proven", "mutants refuted", "seconds"):
        table.add_column(column, justify="right" if column in ("depth", "seconds") else "left")
    for outcome in outcomes:
        found = refuted[outcome.proof, outcome.name]
        table.add_row(
            outcome.proof, outcome.name, str(outcome.depth),
            "for all time" if outcome.always else "up to this depth",
            str(len(found)) if found else "", f"{outcome.seconds:.1f}",
        )  # fmt: skip
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    if not errors:
        errors += [
            f"{name}: no mutant breaks this property" for name in unrefuted(PROOFS, outcomes)
        ]
    for error in errors:
        print(error, file=sys.stderr)
    mutants = sum(mutant is not None for _, mutant in jobs)
    always = sum(outcome.always for outcome in outcomes)
    print(
        f"{len(outcomes)} properties hold, {always} of them for all time by induction; "
        f"{mutants} seeded bugs; {len(errors)} errors; {time.monotonic() - began:.0f} s. "
        "The column 'seconds' is the time of the property's whole proof."
    )
    return len(errors)
