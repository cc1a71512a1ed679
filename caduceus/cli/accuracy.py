"""The command `caduceus accuracy`."""

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.options import only
from caduceus.spec.formats import ReadMode


@click.command()
@options.chip()
@options.NETWORK
@options.READ_MODE
@options.TESTED
@options.devices
@click.option("--table", is_flag=True, help="Measure the published table: devices x ages x seeds.")
@click.option("--mvm-error", is_flag=True, help="Measure the error of one tile's MVMs instead.")
@options.seeds("With --table or --mvm-error: seeds 0 to N - 1, or A to B - 1.  [default: 10]")
@options.workers
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
    from caduceus.study import accuracy_command as command

    several = table or mvm_error
    only("--table or --mvm-error", several, context, "seeds")
    only("--table", table, context, "scheduler", "workers")
    only("one measurement, without --table and --mvm-error", not several, context,
          "pcm", "seed", "age")  # fmt: skip
    only("images of a network, not --mvm-error", not mvm_error, context, "images", "network")
    request = command.Request(chip, network, ReadMode(read_mode), images)
    console = plain_console()
    if table and mvm_error:
        raise click.UsageError("--table and --mvm-error: expected one of the two")
    if mvm_error:
        command.tile(request, seeds or range(10), console)
    elif table:
        command.table(request, seeds or range(10), scheduler, workers, console)
    else:
        command.single(request, pcm, seed, age, console)
