"""The command line of `make netlist-test`."""

import sys
from pathlib import Path

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.failures import MISMATCH, reported
from netlists.run import run


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--altered", is_flag=True,
              help="Only run a netlist with one bit of a look-up table inverted: the comparison "
              "must report it, with exit status 1.")  # fmt: skip
@options.output("netlist", "Folder of the files.")
def netlist_test(altered: bool, output: Path) -> None:
    """Simulate the board's netlist, cell by cell, and compare it with the golden model.

    A tile runs the tile's bench, and a chip of four tiles a small network of either kind.
    """
    if not run(output, altered, plain_console()):
        sys.exit(MISMATCH)


def main() -> None:
    """Run the command and exit."""
    with reported("netlist-test"):
        netlist_test(prog_name="make netlist-test", standalone_mode=False)
