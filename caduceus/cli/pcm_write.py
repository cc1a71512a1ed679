"""The command `caduceus pcm-write`."""

import sys
from pathlib import Path

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.failures import MISMATCH


@click.command("pcm-write")
@options.chip()
@click.option("--devices", type=click.IntRange(1, 2), default=1, show_default=True,
              help="Devices of a cell in use: 1 (ODP) or 2 (TDP).")  # fmt: skip
@options.SIMULATOR
@options.seed("Which devices, targets and inputs.", default=1)
@options.noise
@click.option("--diagonals", type=click.IntRange(1), help="Only the first so many.  [default: all]")
@options.output("pcm-write/result.json", "Where the result goes.")
def pcm_write(
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
    from caduceus.sim.pcm_write import Request, run

    request = Request(chip, devices, simulator, seed, noise, diagonals, output)
    if not run(request, plain_console()):
        sys.exit(MISMATCH)
