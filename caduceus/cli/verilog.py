"""The command `caduceus verilog`."""

import sys
from pathlib import Path

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.failures import FAILED


@click.command()
@options.chip()
@click.option("--output", type=options.OutputPath(),
              help="Folder of the files.  [default: build/verilog/<chip>]")  # fmt: skip
def verilog(chip: str, output: Path | None) -> None:
    """Write a chip, and a tile alone, as Verilog for other tools, and check it."""
    from caduceus.export.verilog import run

    if not run(chip, output, plain_console()):
        sys.exit(FAILED)
