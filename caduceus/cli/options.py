"""Options that several commands have, the types of their values, and which belong to what."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import click
from click.core import ParameterSource

from caduceus.spec.formats import ReadMode
from caduceus.spec.shipped import build_folder

Command = Callable[..., None]
Decorator = Callable[[Command], Command]
MOST_SEEDS = 10_000
"""In one sweep."""


class FiniteRange(click.FloatRange):
    """Numbers from `min` to `max`; what is not a number is refused, too."""

    name = "number"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number that was given.

        Raises:
            click.BadParameter: it is none, or out of range.
        """
        found = super().convert(value, param, ctx)
        # Not a number is neither below the least nor above the most.
        if not math.isfinite(found):
            self.fail(f"{found}: expected {self.min:g} to {self.max:g}.", param, ctx)
        return found


class OutputPath(click.Path):
    """Where something is written: any path but an empty one, which would be the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """The path that was given.

        Raises:
            click.BadParameter: it is empty.
        """
        if value == "":
            self.fail("it is empty: expected a path.", param, ctx)
        return super().convert(value, param, ctx)


def only(what: str, asked: bool, context: click.Context, *names: str) -> None:
    """Refuse options that were given although `what` they belong to was not asked for.

    Raises:
        click.UsageError: one was.
    """
    for name in names:
        if not asked and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(each for each in context.command.params if each.name == name)
            raise click.UsageError(f"{option.opts[0]}: allowed with {what}")


def _replicas(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> Mapping[str, int] | Literal["auto"] | None:
    """Read `auto`, or pairs like `conv0=2,conv1=2`."""
    if value is None or value == "auto":
        return value
    found = {}
    for pair in value.split(","):
        layer, _, count = pair.partition("=")
        if not (layer and count.isascii() and count.isdigit() and 1 <= int(count) <= 64):
            raise click.BadParameter(f"'{pair}': expected auto, or layers as in conv0=2,conv1=2")
        found[layer] = int(count)
    return found


def _seeds(_context: click.Context, _option: click.Parameter, value: str | None) -> range | None:
    """Read `N`, which is `0:N`, or `A:B`, which is A up to and without B."""
    if value is None:
        return None
    first, _, last = value.partition(":") if ":" in value else ("0", ":", value)
    if all(part.isascii() and part.isdigit() and len(part) <= 20 for part in (first, last)):
        found = range(int(first), int(last))
        if found.stop <= 1 << 64 and 1 <= found.stop - found.start <= MOST_SEEDS:
            return found
    raise click.BadParameter(
        f"'{value}': expected a number of seeds, as in 10, or a range, as in 10:20, of 1 to "
        f"{MOST_SEEDS} seeds below 2**64"
    )


def several(
    _context: click.Context, option: click.Parameter, values: Sequence[str]
) -> tuple[str, ...]:
    """Values given with commas, or the option given several times.

    Raises:
        click.BadParameter: one is empty, or no read mode where those are meant.
    """
    found = tuple(dict.fromkeys(part.strip() for value in values for part in value.split(",")))
    if "" in found:
        raise click.BadParameter("there is an empty one: expected names, with commas between")
    if option.name == "read_modes":
        for value in found:
            if value not in list(ReadMode):
                allowed = " and ".join(ReadMode)
                raise click.BadParameter(f"'{value}': expected {allowed}")
    return found


def chip(default: str = "hermes") -> Decorator:
    """`--chip`."""
    return click.option("--chip", default=default, show_default=True, help="Chip description.")


def output(name: str, what: str) -> Decorator:
    """`--output`: a file or folder `name` of the build folder unless given."""
    return click.option(
        "--output", type=OutputPath(), default=lambda: build_folder() / name,
        show_default=f"build/{name}", help=what,
    )  # fmt: skip


def noise(command: Command) -> Command:
    """`--noise`."""
    return click.option(
        "--noise", type=FiniteRange(0, 40), default=1.0, show_default=True,
        help="Standard deviation of a read, in counts.",
    )(command)  # fmt: skip


def seed(what: str, default: int = 0) -> Decorator:
    """`--seed` of devices."""
    return click.option(
        "--seed", type=click.IntRange(0, (1 << 64) - 1), default=default, show_default=True,
        help=what,
    )  # fmt: skip


def devices(command: Command) -> Command:
    """`--pcm`, `--seed` and `--age`: PCM devices."""
    for option in (
        click.option(
            "--age", type=FiniteRange(0, 1e10), default=0.0, show_default=True, metavar="SECONDS",
            help="Time since the devices were programmed.",
        ),
        seed("Which devices of that kind."),
        PCM,
    ):  # fmt: skip
        command = option(command)
    return command


def seeds(what: str, default: str | None = None) -> Decorator:
    """`--seeds`: several."""
    return click.option(
        "--seeds", callback=_seeds, default=default, show_default=default is not None,
        metavar="N|A:B", help=what,
    )  # fmt: skip


PCM = click.option(
    "--pcm", default="ideal", show_default=True,
    help="PCM devices: ideal, generic, hermes_odp, hermes_tdp, or a settings file (.yaml).",
)  # fmt: skip
NETWORK = click.option(
    "--net", "network", help="Network, by name or path; the chip's own if not given."
)
READ_MODE = click.option(
    "--read-mode", type=click.Choice([str(mode) for mode in ReadMode]), default="4-phase",
    show_default=True, help="How signs are handled in the array.",
)  # fmt: skip
SIMULATOR = click.option(
    "--sim", "simulator", default="verilator", show_default=True,
    help="Simulator: verilator or icarus.",
)  # fmt: skip
REPLICAS = click.option(
    "--replicas", callback=_replicas, metavar="auto|LAYER=N,...",
    help="How many groups of tiles take the results of a slow layer in turn; auto uses free tiles.",
)  # fmt: skip
TESTED = click.option(
    "--images", type=click.IntRange(1), help="Test images, or characters.  [default: all]"
)


def workers(command: Command) -> Command:
    """`--scheduler` and `--workers`: who measures."""
    command = click.option(
        "--workers", type=click.IntRange(1, 1024),
        help="Processes on this machine.  [default: one a core]",
    )(command)  # fmt: skip
    return click.option(
        "--scheduler", metavar="ADDRESS",
        help="Dask scheduler whose workers measure, as in tcp://10.0.0.1:8786.",
    )(command)  # fmt: skip
