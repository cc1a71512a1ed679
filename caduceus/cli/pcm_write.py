"""The command `caduceus pcm-write`."""

import sys
from pathlib import Path

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.failures import MISMATCH
from caduceus.cli.values import Whole


@click.command("pcm-write", short_help="Program a tile's array in RTL, pulse by pulse.")
@options.chip()
@click.option("--devices", type=Whole(1, 2), default=1, show_default=True,
              help="Devices in use per polarity of a cell: 1 (ODP) or 2 (TDP).")  # fmt: skip
@options.SIMULATOR
@options.seed("Random seed of devices, targets and inputs.", default=1)
@options.noise
@click.option("--diagonals", type=Whole(1), help="Number of diagonals to write.  [default: all]")
@options.output("pcm-write/result.json", "File of the result (JSON).")
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
    registers. The tile's report and the code of every device are compared, and then the products
    of random vectors.
    """
    from caduceus.sim.pcm_write import Request, run

    request = Request(chip, devices, simulator, seed, noise, diagonals, output)
    if not run(request, plain_console()):
        sys.exit(MISMATCH)
