"""The command `caduceus`, and what its exit status says."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from caduceus.cli.accuracy import accuracy
from caduceus.cli.benches import benches
from caduceus.cli.calibrate import calibrate
from caduceus.cli.compile import compile_program
from caduceus.cli.fpga import fpga
from caduceus.cli.pcm_write import pcm_write
from caduceus.cli.run import run
from caduceus.cli.sim import sim
from caduceus.cli.sweep import sweep
from caduceus.cli.verilog import verilog
from caduceus.spec.errors import UserError
from caduceus.spec.extras import missing


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="caduceus")
def cli() -> None:
    """An open, bit-exact reproduction of a 64-core phase-change-memory compute chip.

    Exit status: 0 if all is well, 1 if something compared did not match, 2 if the command could
    not do what it was asked, 130 if it was interrupted.
    """


for _command in (
    accuracy, benches, calibrate, compile_program, fpga, pcm_write, run, sim, sweep, verilog,
):  # fmt: skip
    cli.add_command(_command)


@contextmanager
def reported(name: str) -> Iterator[None]:
    """End the process with one sentence, after `name`, if the block cannot do what it should."""
    try:
        yield
    except UserError as error:
        click.echo(f"{name}: {error}", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        reason = missing(error.name)
        if reason is None:
            raise
        click.echo(f"{name}: {reason}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        message = " ".join(error.format_message().split())
        click.echo(f"{name}: {message}", err=True)
        sys.exit(2)
    except OSError as error:
        # Of a file or a program that nobody thought of: the system's own words.
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"{name}: {place}{error.strerror or error}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"{name}: interrupted", err=True)
        sys.exit(130)


def main() -> None:
    """Entry point: a user's mistake is one sentence on standard error."""
    with reported("caduceus"):
        sys.exit(cli(sys.argv[1:] or ["--help"], prog_name="caduceus", standalone_mode=False))
