"""The command `caduceus calibrate`."""

import sys
from pathlib import Path

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.failures import MISMATCH
from caduceus.cli.values import Number


@click.command(short_help="Calibrate a tile's ADCs in RTL.")
@options.chip()
@options.SIMULATOR
@options.seed("Random seed of weights, inputs and converters.", default=1)
@click.option("--gain-spread", type=Number(0, 0.3), default=0.0709, show_default=True,
              help="Relative standard deviation of the ADC gains, 0 to 0.3.")  # fmt: skip
@click.option("--offset", type=Number(0, 40), default=2.0, show_default=True,
              help="Standard deviation of the ADC offsets, 0 to 40 counts.")  # fmt: skip
@options.noise
@options.output("calibrate/result.json", "File of the result (JSON).")
def calibrate(
    chip: str,
    simulator: str,
    seed: int,
    gain_spread: float,
    offset: float,
    noise: float,
    output: Path,
) -> None:
    """Calibrate a tile's ADCs in RTL, compare with the golden model, show the MVM error.

    The ADCs' gains and offsets are drawn at random. The host measures them with reference
    currents over the tile's registers and streams, in both read modes, and corrects them in the
    LDPU. Random vectors then give the error of results before and after.
    """
    from caduceus.sim.calibrate_tile import Request, run

    request = Request(chip, simulator, seed, gain_spread, offset, noise, output)
    if not run(request, plain_console()):
        sys.exit(MISMATCH)
