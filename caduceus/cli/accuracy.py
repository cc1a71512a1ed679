"""The command `caduceus accuracy`."""

from typing import TYPE_CHECKING

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.options import only
from caduceus.spec.formats import ReadMode

if TYPE_CHECKING:
    from caduceus.study.opened import Options


@click.command(short_help="Measure a network's accuracy with the golden model.")
@options.chip()
@options.NETWORK
@options.READ_MODE
@options.TESTED
@options.taken
@options.devices
@click.option("--table", is_flag=True, help="Measure the published table: devices x ages x seeds.")
@click.option("--mvm-error", is_flag=True, help="Measure the MVM error of one tile.")
@options.seeds("Seeds 0 to N - 1, or A to B - 1, for --table and --mvm-error.  [default: 10]")
@options.workers
@click.pass_context
def accuracy(
    context: click.Context,
    chip: str,
    network: str | None,
    read_mode: str,
    images: int | None,
    taken: "Options",
    pcm: str,
    seed: int,
    age: float,
    table: bool,
    mvm_error: bool,
    seeds: range | None,
    scheduler: str | None,
    workers: int | None,
) -> None:
    """Measure a network's accuracy with the golden model, over its test images or text.

    --table measures all devices and ages of the published comparison, on all cores or a cluster.
    Results are kept in build/points: an interrupted run continues where it stopped.
    """
    from caduceus.study import accuracy_command as command

    several = table or mvm_error
    only("with --table or --mvm-error", several, context, "seeds")
    only("with --table", table, context, "scheduler", "workers")
    only("without --table and --mvm-error", not several, context,
          "pcm", "seed", "age")  # fmt: skip
    only("without --mvm-error", not mvm_error, context,
          "images", "network", "data", "calibrate", "per_core")  # fmt: skip
    request = command.Request(chip, network, ReadMode(read_mode), images, taken)
    console = plain_console()
    if table and mvm_error:
        raise click.UsageError("--table cannot be combined with --mvm-error")
    if mvm_error:
        command.tile(request, seeds or range(10), console)
    elif table:
        command.table(request, seeds or range(10), scheduler, workers, console)
    else:
        command.single(request, pcm, seed, age, console)
