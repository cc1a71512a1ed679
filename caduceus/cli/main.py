"""The command `caduceus`."""

import os
import sys

import click

from caduceus.cli.accuracy import accuracy
from caduceus.cli.benches import benches
from caduceus.cli.calibrate import calibrate
from caduceus.cli.compile import compile_program
from caduceus.cli.failures import TRACEBACK_VARIABLE, reported
from caduceus.cli.fpga import fpga
from caduceus.cli.import_model import import_model
from caduceus.cli.pcm_write import pcm_write
from caduceus.cli.run import run
from caduceus.cli.sim import sim
from caduceus.cli.sweep import sweep
from caduceus.cli.verilog import verilog


def _show_tracebacks(_context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        os.environ[TRACEBACK_VARIABLE] = "1"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="caduceus", help="Show the version and exit.")
@click.option(
    "--traceback", is_flag=True, expose_value=False, callback=_show_tracebacks,
    help=f"Print the traceback of an error ({TRACEBACK_VARIABLE}=1 does the same).",
)  # fmt: skip
def cli() -> None:
    """An open, bit-exact reproduction of a 64-core phase-change-memory compute chip.

    Exit status: 0 success, 1 a comparison found a mismatch, 2 any other failure, 130 interrupted.
    """


for _command in (
    accuracy, benches, calibrate, compile_program, fpga, import_model, pcm_write, run, sim, sweep,
    verilog,
):  # fmt: skip
    cli.add_command(_command)


def main() -> None:
    """Run the command line and exit; every failure is one sentence on standard error."""
    with reported("caduceus"):
        sys.exit(cli(sys.argv[1:] or ["--help"], prog_name="caduceus", standalone_mode=False))
