"""The command of `make netlist-test`."""

import sys
from pathlib import Path

import click

from caduceus.__main__ import finish
from caduceus.console import plain_console
from caduceus.options import OutputPath
from sim.paths import build_folder


@click.command("netlist-test")
@click.option("--altered", is_flag=True,
              help="Only run a netlist with one bit of a look-up table inverted: the comparison "
              "must tell, with exit status 1.")  # fmt: skip
@click.option("--output", type=OutputPath(), default=lambda: build_folder() / "netlist",
              show_default="build/netlist", help="Folder of the files.")  # fmt: skip
def netlist_test(altered: bool, output: Path) -> None:
    """Simulate the board's netlist, cell by cell, and compare it with the golden model.

    A tile runs the tile's bench, and a chip of four tiles a small network of either kind.
    """
    from tb.netlist.check import run

    if not run(output, altered, plain_console()):
        sys.exit(1)


if __name__ == "__main__":
    finish(netlist_test, "netlist-test")
