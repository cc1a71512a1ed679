"""The command `caduceus sweep`."""

import math
from pathlib import Path

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.study.ages import AGES

SETTINGS = ("ideal", "hermes_odp", "hermes_tdp")
_COMPENSATE = {"on": (True,), "off": (False,), "both": (False, True), "as-set": (None,)}


def _ages(_context: click.Context, _option: click.Parameter, value: str) -> tuple[float, ...]:
    """Read seconds, with commas between."""
    from caduceus.devices.settings import OLDEST

    found = []
    for part in value.split(","):
        try:
            age = float(part)
        except ValueError:
            age = math.nan
        if not 0 <= age <= OLDEST:
            raise click.BadParameter(f"'{part}': expected 0 to {OLDEST:g} seconds")
        found.append(age)
    return tuple(dict.fromkeys(found))


@click.command()
@options.chip()
@click.option(
    "--net", "networks", multiple=True, callback=options.several, metavar="NAME,...",
    help="Networks, by name or path; the chip's own if not given.",
)  # fmt: skip
@click.option(
    "--read-mode", "read_modes", multiple=True, callback=options.several, metavar="MODE,...",
    default=["4-phase"], show_default=True, help="1-phase, 4-phase, or both.",
)  # fmt: skip
@click.option(
    "--pcm", multiple=True, callback=options.several, metavar="NAME,...",
    default=[",".join(SETTINGS)], show_default=True,
    help="PCM devices, by name, or settings files (.yaml).",
)  # fmt: skip
@options.seeds("Devices of each kind: seeds 0 to N - 1, or A to B - 1.", default="10")
@click.option(
    "--ages", callback=_ages, default=",".join(f"{age:.0f}" for age in AGES.values()),
    show_default=True, metavar="SECONDS,...", help="Times since the devices were programmed.",
)  # fmt: skip
@click.option(
    "--compensate", type=click.Choice(list(_COMPENSATE)), default="as-set", show_default=True,
    help="Whether drift is compensated; as-set: as the settings of the devices say.",
)  # fmt: skip
@click.option(
    "--images", type=click.IntRange(1), help="Test images, or characters, of each.  [default: all]"
)
@options.workers
@options.output("sweep", "Folder of points.csv and accuracy.png.")
def sweep(
    chip: str,
    networks: tuple[str, ...],
    read_modes: tuple[str, ...],
    pcm: tuple[str, ...],
    seeds: range,
    ages: tuple[float, ...],
    compensate: str,
    images: int | None,
    scheduler: str | None,
    workers: int | None,
    output: Path,
) -> None:
    """Measure networks on many devices: settings x seeds x ages, on all cores or a cluster.

    What was measured is stored, in build/points: a run that was stopped goes on where it was.
    """
    from caduceus.data.own import measured_network
    from caduceus.spec.chip import Chip
    from caduceus.study.dask_workers import Workers
    from caduceus.study.sweep import Grid, run

    grid = Grid(
        networks or (measured_network(Chip.find(chip)),), chip, read_modes, pcm,
        seeds, ages, _COMPENSATE[compensate], images,
    )  # fmt: skip
    run(grid, Workers(scheduler, workers), output, plain_console())
