"""The command `caduceus program`."""

import sys
from pathlib import Path

import click

from caduceus.console import plain_console
from caduceus.options import FiniteRange, OutputPath
from sim.paths import build_folder


def _output() -> Path:
    return build_folder() / "program" / "result.json"


@click.command("program")
@click.option("--chip", default="hermes", show_default=True, help="Chip description.")
@click.option("--devices", type=click.IntRange(1, 2), default=1, show_default=True,
              help="Devices of a cell in use: 1 (ODP) or 2 (TDP).")  # fmt: skip
@click.option("--sim", "simulator", default="verilator", show_default=True,
              help="Simulator: verilator or icarus.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), default=1, show_default=True,
              help="Which devices, targets and inputs.")  # fmt: skip
@click.option("--noise", type=FiniteRange(0, 40), default=1.0, show_default=True,
              help="Standard deviation of a read, in counts.")  # fmt: skip
@click.option("--diagonals", type=click.IntRange(1), help="Only the first so many.  [default: all]")
@click.option("--output", type=OutputPath(), default=_output,
              show_default="build/program/result.json", help="Where the result goes.")  # fmt: skip
def program(
    chip: str,
    devices: int,
    simulator: str,
    seed: int,
    noise: float,
    diagonals: int | None,
    output: Path,
) -> None:
    """Program a tile's array in RTL, pulse by pulse, and compare with the golden model.

    Random weights, uniform with 30 % zeros, are written diagonal by diagonal over the tile's
    registers. What the tile says of every device, the code of every device, and products of random
    vectors afterwards must be equal.
    """
    from sim.program_array import Request, run

    request = Request(chip, devices, simulator, seed, noise, diagonals, output)
    if not run(request, plain_console()):
        sys.exit(1)
