"""The `caduceus` command."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from caduceus.calibrate_command import calibrate
from caduceus.console import plain_console
from caduceus.fpga_command import fpga
from caduceus.options import FiniteRange, OutputPath, only
from caduceus.program_command import program
from caduceus.run_command import run as run_command
from caduceus.sweep_command import read_seeds, sweep, workers_options
from sim.paths import build_folder
from spec.errors import UserError
from spec.formats import ReadMode

if TYPE_CHECKING:
    from caduceus.replicas import Replicas


def _replicas(_context: click.Context, _option: click.Parameter, value: str | None) -> "Replicas":
    """Read `auto`, or pairs like `conv0=2,conv1=2`."""
    if value is None or value == "auto":
        return value
    found = {}
    for pair in value.split(","):
        layer, _, count = pair.partition("=")
        if not (layer and count.isascii() and count.isdigit() and 1 <= int(count) <= 64):
            raise click.BadParameter(f"'{pair}': allowed is auto, or layers as in conv0=2,conv1=2")
        found[layer] = int(count)
    return found


_REPLICAS = click.option(
    "--replicas",
    callback=_replicas,
    metavar="auto|LAYER=N,...",
    help="How many groups of tiles take the results of a slow layer in turn; auto uses free tiles.",
)
_PCM = click.option(
    "--pcm", default="ideal", show_default=True,
    help="PCM devices: ideal, generic, hermes_odp, hermes_tdp, or a settings file (.yaml).",
)  # fmt: skip
_SEED = click.option(
    "--seed", type=click.IntRange(0, (1 << 64) - 1), default=0, show_default=True,
    help="Which devices of that kind.",
)  # fmt: skip
_AGE = click.option(
    "--age", type=FiniteRange(0, 1e10), default=0.0, show_default=True, metavar="SECONDS",
    help="Time since the devices were programmed.",
)  # fmt: skip
READ_MODES = click.Choice([str(mode) for mode in ReadMode])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="caduceus")
def cli() -> None:
    """An open, bit-exact reproduction of a 64-core phase-change-memory compute chip.

    Exit status: 0 if all is well, 1 if something compared did not match, 2 if the command could
    not do what it was asked, 130 if it was interrupted.
    """


@cli.command()
@click.option("--chip", default="hermes", show_default=True, help="Chip description.")
@click.option("--net", "network", help="Network, by name or path; the chip's own if not given.")
@click.option("--sim", "simulator", default="verilator", show_default=True,
              help="Simulator: verilator or icarus.")  # fmt: skip
@click.option(
    "--read-mode",
    type=READ_MODES,
    default="4-phase",
    show_default=True,
    help="How signs are handled in the array.",
)
@click.option(
    "--images", type=click.IntRange(1, 100_000),
    help="Test images, input vectors, or characters, to run.  [default: 2, 10, 20]",
)  # fmt: skip
@_REPLICAS
@_PCM
@_SEED
@_AGE
@click.option("--waves", is_flag=True, help="Leave every signal in an FST file.")
@click.option("--output", type=OutputPath(),
              default=lambda: build_folder() / "sim" / "result.json",
              show_default="build/sim/result.json", help="Where the result goes.")  # fmt: skip
def sim(
    chip: str,
    network: str | None,
    simulator: str,
    read_mode: str,
    images: int | None,
    replicas: "Replicas",
    pcm: str,
    seed: int,
    age: float,
    waves: bool,
    output: Path,
) -> None:
    """Run in RTL and compare with the golden model.

    Inputs go through the whole chip: images or vectors back to back, a text twice. Every output of
    every tile and of the chip is compared, and every hidden and cell state. Without --net the chip
    runs one convolutional and one recurrent network.
    """
    from caduceus.sim import Request, run
    from pcm import settings
    from pcm.settings import Devices

    devices = Devices(settings.find(pcm), seed, age)
    request = Request(
        chip, network, simulator, ReadMode(read_mode), images, waves, output, replicas, devices
    )
    if not run(request, plain_console()):
        sys.exit(1)


@cli.command()
@click.option("--chip", default="hermes", show_default=True, help="Chip description.")
@click.option(
    "--output",
    type=OutputPath(),
    help="Folder of the files.  [default: build/verilog/<chip>]",
)
def verilog(chip: str, output: Path | None) -> None:
    """Write a chip, and a tile alone, as Verilog for other tools, and check it."""
    from caduceus.verilog import run

    if not run(chip, output, plain_console()):
        sys.exit(1)


@cli.command()
@click.option("--chip", default="hermes", show_default=True, help="Chip description.")
@click.option("--net", "network", help="Network; the chip's own if not given.")
@click.option(
    "--read-mode",
    type=READ_MODES,
    default="4-phase",
    show_default=True,
    help="How signs are handled in the array.",
)
@click.option(
    "--images", type=click.IntRange(1), help="Test images, or characters.  [default: all]"
)
@_PCM
@_SEED
@_AGE
@click.option("--table", is_flag=True, help="Measure the published table: devices x ages x seeds.")
@click.option("--mvm-error", is_flag=True, help="Measure the error of one tile's MVMs instead.")
@click.option(
    "--seeds", callback=read_seeds, metavar="N|A:B",
    help="With --table or --mvm-error: seeds 0 to N - 1, or A to B - 1.  [default: 10]",
)  # fmt: skip
@workers_options
@click.pass_context
def accuracy(
    context: click.Context,
    chip: str,
    network: str | None,
    read_mode: str,
    images: int | None,
    pcm: str,
    seed: int,
    age: float,
    table: bool,
    mvm_error: bool,
    seeds: range | None,
    scheduler: str | None,
    workers: int | None,
) -> None:
    """Run the golden model over the test set: images, or a recurrent network's text.

    With --table all devices and ages of the published comparison are measured, on all cores or a
    cluster. What was measured is stored, in build/points: a run that was stopped goes on there.
    """
    from caduceus import accuracy_command as command

    several = table or mvm_error
    only("--table or --mvm-error", several, context, "seeds")
    only("--table", table, context, "scheduler", "workers")
    only("one measurement, without --table and --mvm-error", not several, context,
          "pcm", "seed", "age")  # fmt: skip
    only("images of a network, not --mvm-error", not mvm_error, context, "images", "network")
    request = command.Request(chip, network, ReadMode(read_mode), images)
    console = plain_console()
    if table and mvm_error:
        raise click.UsageError("--table and --mvm-error: allowed is one of the two")
    if mvm_error:
        command.tile(request, seeds or range(10), console)
    elif table:
        command.table(request, seeds or range(10), scheduler, workers, console)
    else:
        command.single(request, pcm, seed, age, console)


@cli.command("compile")
@click.option("--chip", default="hermes", show_default=True, help="Chip description.")
@click.option(
    "--net", "network", default="resnet9", show_default=True,
    help="Network, by name or path.",
)  # fmt: skip
@click.option(
    "--read-mode",
    type=READ_MODES,
    default="4-phase",
    show_default=True,
    help="How signs are handled in the array.",
)
@click.option(
    "--output",
    type=OutputPath(),
    help="File of the image.  [default: build/programs/<net>-<chip>-<read-mode>.program]",
)
@_REPLICAS
def compile_program(
    chip: str, network: str, read_mode: str, output: Path | None, replicas: "Replicas"
) -> None:
    """Map a network to many tiles: write the program image, show what is where."""
    from caduceus.compile import run

    run(chip, network, ReadMode(read_mode), output, plain_console(), replicas)


@cli.command()
def bench() -> None:
    """Measure the speed of the golden model and of the RTL on this machine."""
    from caduceus.bench import run

    run(plain_console())


cli.add_command(sweep)
cli.add_command(calibrate)
cli.add_command(program)
cli.add_command(run_command)
cli.add_command(fpga)


def main() -> None:
    """Entry point."""
    finish(cli, "caduceus", sys.argv[1:] or ["--help"])


def finish(command: click.Command, name: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit: a user's mistake is one sentence on standard error.

    Args:
        command: what runs.
        name: of the program, for its help.
        arguments: those of the process if None.
    """
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        sys.exit(command(words, prog_name=name, standalone_mode=False))
    except UserError as error:
        click.echo(f"caduceus: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        message = " ".join(error.format_message().split())
        click.echo(f"caduceus: {message}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("caduceus: interrupted", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
