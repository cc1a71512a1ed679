"""The command `caduceus fpga`."""

from pathlib import Path

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.options import only
from caduceus.cli.values import Choice, OutputPath, Whole
from caduceus.spec.shipped import build_folder


@click.command("fpga", short_help="Build a bitstream for the reference board.")
@options.chip("ulx3s")
@click.option("--seed", type=Whole(1, 1 << 30), default=1, show_default=True,
              help="Random seed of the placement.")  # fmt: skip
@click.option("--synthesis", type=Choice(["xc7", "xcup"]),
              help="Only count the resources of Xilinx 7-series (xc7) or UltraScale+ (xcup) parts; "
              "files go to the folder <synthesis>-<design> of the output.")  # fmt: skip
@click.option("--design", type=Choice(["tile", "chip"]), default="tile", show_default=True,
              help="Design for --synthesis: one tile with its emulated array, or the chip "
              "without arrays.")  # fmt: skip
@click.option("--output", type=OutputPath(), metavar="FOLDER",
              help="Output folder.  [default: build/fpga/<chip>]")  # fmt: skip
@click.pass_context
def fpga(
    context: click.Context,
    chip: str,
    seed: int,
    synthesis: str | None,
    design: str,
    output: Path | None,
) -> None:
    """Build the bitstream of a chip for the reference board; report its resources and clock.

    The board is a ULX3S with an ECP5-85F. Steps with unchanged inputs are skipped.
    """
    from caduceus.export.fpga import Request, run

    only("with --synthesis", synthesis is not None, context, "design")
    only("without --synthesis", synthesis is None, context, "seed")
    request = Request(chip, seed, synthesis, design, output, build_folder() / "fpga")
    run(request, plain_console())
