"""The command line of `caduceus sweep`."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from caduceus.ages import AGES
from caduceus.console import plain_console
from caduceus.options import OutputPath
from sim.paths import build_folder
from spec.formats import ReadMode

SETTINGS = ("ideal", "hermes_odp", "hermes_tdp")
MOST_SEEDS = 10_000
_COMPENSATE = {"on": (True,), "off": (False,), "both": (False, True), "as-set": (None,)}


def _several(
    _context: click.Context, option: click.Parameter, values: Sequence[str]
) -> tuple[str, ...]:
    """Values given with commas, or the option given several times."""
    found = tuple(dict.fromkeys(part.strip() for value in values for part in value.split(",")))
    if "" in found:
        raise click.BadParameter("there is an empty one: allowed are names, with commas between")
    if option.name == "read_modes":
        for value in found:
            if value not in list(ReadMode):
                allowed = " and ".join(ReadMode)
                raise click.BadParameter(f"'{value}': allowed are {allowed}")
    return found


def read_seeds(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> range | None:
    """Read `N`, which is `0:N`, or `A:B`, which is A up to and without B."""
    if value is None:
        return None
    first, _, last = value.partition(":") if ":" in value else ("0", ":", value)
    if all(part.isascii() and part.isdigit() and len(part) <= 20 for part in (first, last)):
        found = range(int(first), int(last))
        if found.stop <= 1 << 64 and 1 <= found.stop - found.start <= MOST_SEEDS:
            return found
    raise click.BadParameter(
        f"'{value}': allowed is a number of seeds, as in 10, or a range, as in 10:20, of 1 to "
        f"{MOST_SEEDS} seeds below 2**64"
    )


def _ages(_context: click.Context, _option: click.Parameter, value: str) -> tuple[float, ...]:
    """Read seconds, with commas between."""
    from pcm.devices import OLDEST

    found = []
    for part in value.split(","):
        try:
            age = float(part)
        except ValueError:
            age = math.nan
        if not 0 <= age <= OLDEST:
            raise click.BadParameter(f"'{part}': allowed are 0 to {OLDEST:g} seconds")
        found.append(age)
    return tuple(dict.fromkeys(found))


def workers_options(command: Callable) -> Callable:
    """The options that say who measures."""
    command = click.option(
        "--workers", type=click.IntRange(1, 1024),
        help="Processes on this machine.  [default: one a core]",
    )(command)  # fmt: skip
    return click.option(
        "--scheduler", metavar="ADDRESS",
        help="Dask scheduler whose workers measure, as in tcp://10.0.0.1:8786.",
    )(command)  # fmt: skip


@click.command()
@click.option("--chip", default="hermes", show_default=True, help="Chip description.")
@click.option(
    "--net", "networks", multiple=True, callback=_several, metavar="NAME,...",
    help="Networks, by name or path; the chip's own if not given.",
)  # fmt: skip
@click.option(
    "--read-mode", "read_modes", multiple=True, callback=_several, metavar="MODE,...",
    default=["4-phase"], show_default=True, help="1-phase, 4-phase, or both.",
)  # fmt: skip
@click.option(
    "--pcm", multiple=True, callback=_several, metavar="NAME,...", default=[",".join(SETTINGS)],
    show_default=True, help="PCM devices, by name, or settings files (.yaml).",
)  # fmt: skip
@click.option(
    "--seeds", callback=read_seeds, default="10", show_default=True, metavar="N|A:B",
    help="Devices of each kind: seeds 0 to N - 1, or A to B - 1.",
)  # fmt: skip
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
@workers_options
@click.option(
    "--output", type=OutputPath(), default=lambda: build_folder() / "sweep",
    show_default="build/sweep", help="Folder of points.csv and accuracy.png.",
)  # fmt: skip
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
    from caduceus.accuracy import own_network
    from caduceus.farm import Workers
    from caduceus.sweep import Grid, run
    from spec import chip as chip_description

    grid = Grid(
        networks or (own_network(chip_description.find(chip)),), chip, read_modes, pcm, seeds, ages,
        _COMPENSATE[compensate], images,
    )  # fmt: skip
    run(grid, Workers(scheduler, workers), output, plain_console())
