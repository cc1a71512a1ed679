"""The command `caduceus verilog`."""

from pathlib import Path

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.values import OutputPath


@click.command(short_help="Write a chip as Verilog for other tools.")
@options.chip()
@click.option("--output", type=OutputPath(), metavar="FOLDER",
              help="Output folder.  [default: build/verilog/<chip>]")  # fmt: skip
def verilog(chip: str, output: Path | None) -> None:
    """Write a chip and a stand-alone tile as Verilog for other tools, and check both."""
    from caduceus.export.verilog import run

    run(chip, output, plain_console())
