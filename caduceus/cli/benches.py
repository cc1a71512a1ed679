"""The command `caduceus benches`."""

import difflib
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from caduceus.cli.console import plain_console
from caduceus.cli.failures import MISMATCH
from caduceus.spec.errors import UserError
from caduceus.spec.extras import demand_extra
from caduceus.spec.shipped import build_folder

_REPOSITORY = Path(__file__).resolve().parents[2]
"""Where the benches are, of a checkout."""


def _benches() -> ModuleType:
    """The benches' module, which no installation has.

    Raises:
        UserError: this is an installation, or a package that simulations take is missing.
    """
    if not (_REPOSITORY / "tb" / "benches.py").is_file():
        raise UserError(
            "benches: they are not part of the installed package: run `caduceus benches` in a "
            "checkout of the repository"
        )
    demand_extra("sim")
    if str(_REPOSITORY) not in sys.path:
        # The simulation imports the bench's module from there, too.
        sys.path.insert(0, str(_REPOSITORY))
    return import_module("tb.benches")


@click.command()
@click.argument("block", required=False)
@click.option("--sim", "simulator", help="Simulator: verilator or icarus.  [default: both]")
@click.option("--variant", help="One configuration of the bench.  [default: the quick ones]")
@click.option("--all", "deeper", is_flag=True, help="Also the variants of `make regress`.")
@click.option(
    "--waves", is_flag=True,
    help="Write every signal to an FST file, with signal lists for GTKWave and Surfer. Runs one "
    "variant on one simulator, the first unless named.",
)  # fmt: skip
def benches(
    block: str | None, simulator: str | None, variant: str | None, deeper: bool, waves: bool
) -> None:
    """List the cocotb benches, or run those of one BLOCK.

    Exit status: 1 if a test of a bench failed.
    """
    module = _benches()
    found = {bench.name: bench for bench in module.discover()}
    console = plain_console()
    if block is None:
        for text in _listed(module, found):
            console.print(text, highlight=False, soft_wrap=True)
        return
    if block not in found:
        close = difflib.get_close_matches(block, found, 3)
        hint = f"did you mean {' or '.join(close)}?" if close else "`caduceus benches` lists them"
        raise UserError(f"benches: unknown bench {block!r}: {hint}")
    cases = _chosen(module.cases([found[block]]), simulator, variant, deeper)
    if not all([_run(case, waves, console) for case in (cases[:1] if waves else cases)]):
        sys.exit(MISMATCH)


def _listed(module: ModuleType, found: dict[str, Any]) -> list[str]:
    """Name, what it covers, and its variants with their simulators, one bench after the other."""
    lines = []
    for name, bench in found.items():
        lines.append(f"{name}: {', '.join(bench.covers)}")
        variants: dict[str, list[str]] = {}
        for case in module.cases([bench]):
            text = f"{case.simulator}{' (regress)' if case.regress else ''}"
            variants.setdefault(case.variant.id, []).append(text)
        lines += [f"    {each}: {', '.join(where)}" for each, where in variants.items()]
    return lines


def _chosen(
    cases: tuple[Any, ...], simulator: str | None, variant: str | None, deeper: bool
) -> list[Any]:
    """The cases that the options name.

    Raises:
        UserError: there is none.
    """
    for option, value, name in (
        ("--variant", variant, lambda case: case.variant.id),
        ("--sim", simulator, lambda case: case.simulator),
    ):
        allowed = list(dict.fromkeys(map(name, cases)))
        if value is not None and value not in allowed:
            raise UserError(
                f"benches {cases[0].bench.name}: {option}: got {value!r}, expected "
                f"{', '.join(allowed)}"
            )
        cases = tuple(case for case in cases if value in (None, name(case)))
    quick = [case for case in cases if deeper or variant or not case.regress]
    return quick or list(cases)


def _run(case: Any, waves: bool, console: Any) -> bool:
    """Run a case and print its verdict; whether it passed."""
    results = case.run(build_folder() / "rtl", waves=waves)

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, highlight=False, soft_wrap=True)

    seconds = f"built in {results.build_seconds:.0f} s, ran in {results.run_seconds:.0f} s"
    if results.ok:
        say(f"{case.id}: {results.passed} tests passed, {seconds}")
    else:
        say(f"{case.id}: {results.report}", "bold red")
    if results.waves:
        saved, commands = (results.waves.with_suffix(end) for end in (".gtkw", ".sucl"))
        say(f"waves: {results.waves}")
        say(f"  gtkwave {saved}\n  surfer --command-file {commands}")
    return results.ok
