"""The command `caduceus calibrate`."""

import sys
from pathlib import Path

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.failures import MISMATCH
from caduceus.cli.options import FiniteRange


@click.command()
@options.chip()
@options.SIMULATOR
@options.seed("Which weights, inputs and converters.", default=1)
@click.option("--gain-spread", type=FiniteRange(0, 0.3), default=0.0709, show_default=True,
              help="Relative standard deviation of the converters' gains.")  # fmt: skip
@click.option("--offset", type=FiniteRange(0, 40), default=2.0, show_default=True,
              help="Standard deviation of their offsets, in counts.")  # fmt: skip
@options.noise
@options.output("calibrate/result.json", "Where the result goes.")
def calibrate(
    chip: str,
    simulator: str,
    seed: int,
    gain_spread: float,
    offset: float,
    noise: float,
    output: Path,
) -> None:
    """Calibrate a tile's converters in RTL, compare with the golden model, show the MVM error.

    Converters with a spread of gains and offsets are drawn. The host measures them with reference
    currents over the tile's registers and streams, in both read modes, and corrects them in the
    LDPU; random vectors then say how far results are from exact products, before and after.
    """
    from caduceus.sim.calibrate_tile import Request, run

    request = Request(chip, simulator, seed, gain_spread, offset, noise, output)
    if not run(request, plain_console()):
        sys.exit(MISMATCH)
