"""The command `caduceus sweep`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.values import Age, Choice, Name
from caduceus.study.ages import AGES

if TYPE_CHECKING:
    from caduceus.study.opened import Options

SETTINGS = ("ideal", "hermes_odp", "hermes_tdp")
_COMPENSATE = {"on": (True,), "off": (False,), "both": (False, True), "as-set": (None,)}


@click.command(short_help="Measure networks on many devices.")
@options.chip()
@click.option(
    "--net", "networks", multiple=True, callback=options.several(Name()), metavar="NAME,...",
    help="Networks: names, or files (.yaml).  [default: the chip's own]",
)  # fmt: skip
@click.option(
    "--read-mode", "read_modes", multiple=True, callback=options.several(options.READ_MODES),
    metavar="MODE,...",
    default=["4-phase"], show_default=True, help="Read modes: 1-phase, 4-phase, or both.",
)  # fmt: skip
@click.option(
    "--pcm", multiple=True, callback=options.several(Name()), metavar="NAME,...",
    default=[",".join(SETTINGS)], show_default=True,
    help="PCM devices: names, or settings files (.yaml).",
)  # fmt: skip
@options.seeds("Random seeds of the devices: 0 to N - 1, or A to B - 1.", default="10")
@click.option(
    "--ages", multiple=True, callback=options.several(Age()), show_default=True,
    default=[",".join(AGES).replace(" ", "")], metavar="AGE,...",
    help="Times since programming: seconds, or numbers with min, h or d, as in 1h,30d.",
)  # fmt: skip
@click.option(
    "--compensate", type=Choice(list(_COMPENSATE)), default="as-set", show_default=True,
    help="Drift compensation; as-set: as in the settings of the devices.",
)  # fmt: skip
@options.TESTED
@options.taken
@options.workers
@options.output("sweep", "Output folder, for points.csv and accuracy.png.")
def sweep(
    chip: str,
    networks: tuple[str, ...],
    read_modes: tuple[str, ...],
    pcm: tuple[str, ...],
    seeds: range,
    ages: tuple[float, ...],
    compensate: str,
    images: int | None,
    taken: "Options",
    scheduler: str | None,
    workers: int | None,
    output: Path,
) -> None:
    """Measure networks on many devices: settings x seeds x ages, on all cores or a cluster.

    Results are kept in build/points: an interrupted run continues where it stopped.
    """
    from caduceus.data.own import measured_network
    from caduceus.spec.chip import Chip
    from caduceus.study.dask_workers import Workers
    from caduceus.study.sweep import Grid, run

    grid = Grid(
        networks or (measured_network(Chip.find(chip)),), chip, read_modes, pcm,
        seeds, ages, _COMPENSATE[compensate], images, **asdict(taken),
    )  # fmt: skip
    run(grid, Workers(scheduler, workers), output, plain_console())
