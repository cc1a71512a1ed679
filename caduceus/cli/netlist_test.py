"""The command `caduceus netlist-test`."""

import sys
from pathlib import Path

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console


@click.command("netlist-test")
@click.option("--altered", is_flag=True,
              help="Only run a netlist with one bit of a look-up table inverted: the comparison "
              "must tell, with exit status 1.")  # fmt: skip
@options.output("netlist", "Folder of the files.")
def netlist_test(altered: bool, output: Path) -> None:
    """Simulate the board's netlist, cell by cell, and compare it with the golden model.

    A tile runs the tile's bench, and a chip of four tiles a small network of either kind.
    """
    from caduceus.netlist_test import run

    if not run(output, altered, plain_console()):
        sys.exit(1)
