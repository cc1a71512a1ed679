"""The command `caduceus fpga`."""

import sys
from pathlib import Path

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.failures import FAILED
from caduceus.cli.options import OutputPath, only
from caduceus.spec.shipped import build_folder


@click.command("fpga")
@options.chip("ulx3s")
@click.option("--seed", type=click.IntRange(1, 1 << 30), default=1, show_default=True,
              help="Of the placement.")  # fmt: skip
@click.option("--synthesis", type=click.Choice(["xc7", "xcup"]),
              help="Only count what Xilinx's 7 series or UltraScale+ would need, in a folder "
              "<synthesis>-<design> of the output.")  # fmt: skip
@click.option("--design", type=click.Choice(["tile", "chip"]), default="tile", show_default=True,
              help="With --synthesis: one tile with its emulated array, or the chip without "
              "arrays.")  # fmt: skip
@click.option("--output", type=OutputPath(),
              help="Folder of the files.  [default: build/fpga/<chip>]")  # fmt: skip
@click.pass_context
def fpga(
    context: click.Context,
    chip: str,
    seed: int,
    synthesis: str | None,
    design: str,
    output: Path | None,
) -> None:
    """Build the bitstream of a chip for the reference board, and tell what it takes.

    The board is a ULX3S with an ECP5-85F. Steps whose inputs are as before are skipped.
    """
    from caduceus.export.fpga import Request, run

    only("--synthesis", synthesis is not None, context, "design")
    only("place and route, without --synthesis", synthesis is None, context, "seed")
    request = Request(chip, seed, synthesis, design, output, build_folder() / "fpga")
    if not run(request, plain_console()):
        sys.exit(FAILED)
