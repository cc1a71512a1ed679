"""Options that several commands share, and which options belong together."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Literal

import click
from click.core import ParameterSource

from caduceus.cli.values import Age, Choice, InputPath, Name, Number, OutputPath, Whole
from caduceus.sim.chip_design import THREADS_MAX
from caduceus.spec.formats import ReadMode
from caduceus.spec.shipped import build_folder

Command = Callable[..., None]
Decorator = Callable[[Command], Command]
MOST_SEEDS = 10_000
"""In one sweep."""
SIMULATORS = ("verilator", "icarus")
_REPLICAS = tuple(map(str, range(1, 65)))


def only(where: str, fits: bool, context: click.Context, *names: str) -> None:
    """Refuse options that were given where they have no effect.

    Args:
        where: they have one, as in "with --target sim".
        fits: whether that is so.
        context: of the command.
        names: of the options.

    Raises:
        click.UsageError: one of them was given.
    """
    for name in names:
        if not fits and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(each for each in context.command.params if each.name == name)
            raise click.UsageError(f"{option.opts[0]}: applies only {where}")


def _replicas(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> Mapping[str, int] | Literal["auto"] | None:
    """Read `auto`, or pairs like `conv0=2,conv1=2`."""
    if value is None or value == "auto":
        return value
    found = {}
    for pair in value.split(","):
        layer, _, count = pair.partition("=")
        if not (layer and count in _REPLICAS):
            raise click.BadParameter(
                f"got '{pair}', expected auto, or layers with 1 to 64, as in conv0=2,conv1=2"
            )
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
        f"got '{value}', expected a number of seeds, as in 10, or a range, as in 10:20, of 1 to "
        f"{MOST_SEEDS} seeds below 2**64"
    )


def several(kind: click.ParamType) -> Callable[..., tuple]:
    """Callback of an option that takes values with commas between, or is given several times.

    It passes each of them once, as `kind` converts it.
    """

    def split(
        context: click.Context, option: click.Parameter, values: Sequence[str]
    ) -> tuple[object, ...]:
        parts = [part.strip() for value in values for part in value.split(",")]
        return tuple(dict.fromkeys(kind.convert(part, option, context) for part in parts))

    return split


def chip(default: str = "hermes") -> Decorator:
    """`--chip`."""
    return click.option(
        "--chip", type=Name(), default=default, show_default=True,
        help="Chip description: a name, or a file (.yaml).",
    )  # fmt: skip


def output(name: str, what: str) -> Decorator:
    """`--output`: a file or folder `name` of the build folder unless given."""
    return click.option(
        "--output", type=OutputPath(), default=lambda: build_folder() / name, show_default=False,
        metavar="FILE" if "." in name else "FOLDER", help=f"{what}  [default: build/{name}]",
    )  # fmt: skip


def noise(command: Command) -> Command:
    """`--noise`."""
    return click.option(
        "--noise", type=Number(0, 40), default=1.0, show_default=True,
        help="Standard deviation of read noise, 0 to 40 ADC counts.",
    )(command)  # fmt: skip


def seed(what: str, default: int = 0) -> Decorator:
    """`--seed`."""
    return click.option(
        "--seed", type=Whole(0, (1 << 64) - 1), default=default, show_default=True, help=what
    )


def devices(command: Command) -> Command:
    """`--pcm`, `--seed` and `--age`: PCM devices."""
    for option in (
        click.option(
            "--age", type=Age(), default="0", show_default=True,
            help="Time since programming: seconds, or a number with min, h or d, as in 30d.",
        ),
        seed("Random seed of the devices."),
        PCM,
    ):  # fmt: skip
        command = option(command)
    return command


class CalibrationPath(InputPath):
    """A file of inputs, or `random`."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """The file's path; the word stays."""
        return value if value == "random" else super().convert(value, param, ctx)


def taken(command: Command) -> Command:
    """`--data`, `--calibrate` and `--per-core`: how a network is taken, as one `taken`."""

    @wraps(command)
    def wrapped(data: object, calibrate: object, per_core: bool, **others: object) -> None:
        # Imports what a command that only shows its help does not need.
        from caduceus.study.opened import Options

        paths = (None if path is None else str(path) for path in (data, calibrate))
        command(taken=Options(*paths, per_core), **others)

    for option in (
        click.option(
            "--per-core", is_flag=True,
            help="Scale each layer by its largest weight, as published, not each column by its "
            "own.",
        ),
        click.option(
            "--calibrate", type=CalibrationPath(), metavar="FILE|random",
            help="Inputs that an ONNX model's scales are chosen with, .npz or .npy.  [default: its "
            "data]",
        ),
        click.option(
            "--data", type=InputPath(), metavar="FILE",
            help="Your own inputs, in place of the network's: .npz with inputs, and labels or "
            "targets if any, or .npy.  [default: of X.onnx, X.npz beside it]",
        ),
    ):  # fmt: skip
        wrapped = option(wrapped)
    return wrapped


def seeds(what: str, default: str | None = None) -> Decorator:
    """`--seeds`: several."""
    return click.option(
        "--seeds", callback=_seeds, default=default, show_default=default is not None,
        metavar="N|A:B", help=what,
    )  # fmt: skip


PCM = click.option(
    "--pcm", type=Name(), default="ideal", show_default=True,
    help="PCM devices: ideal, generic, hermes_odp, hermes_tdp, or a settings file (.yaml).",
)  # fmt: skip
NETWORK = click.option(
    "--net", "network", type=Name(),
    help="Network: a name, or a file (.yaml, .onnx).  [default: the chip's own]",
)  # fmt: skip
READ_MODES = Choice([str(mode) for mode in ReadMode])
READ_MODE = click.option(
    "--read-mode", type=READ_MODES, default="4-phase", show_default=True,
    help="1-phase: one signed read; 4-phase: one read per pair of signs (slower, more exact).",
)  # fmt: skip
SIMULATOR = click.option(
    "--sim", "simulator", type=Choice(SIMULATORS), default="verilator", show_default=True,
    help="RTL simulator.",
)  # fmt: skip
REPLICAS = click.option(
    "--replicas", callback=_replicas, metavar="auto|LAYER=N,...",
    help="Copies of slow layers that share the work; auto: on free tiles, where it helps.",
)  # fmt: skip
TESTED = click.option(
    "--images", type=Whole(1),
    help="Number of test images, or of characters of a text.  [default: all]",
)  # fmt: skip
RUN = click.option(
    "--images", type=Whole(1, 100_000),
    help="Number of images, input vectors or characters.  [default: 2, 10 or 20]",
)  # fmt: skip
THREADS = click.option(
    "--threads", type=Whole(1, THREADS_MAX),
    help="Number of threads that evaluate tiles in Verilator.  [default: one per core]",
)  # fmt: skip
SCHEDULER = click.option(
    "--scheduler", type=Name("an address"), metavar="ADDRESS",
    help="Dask scheduler to use in place of local processes, as in tcp://10.0.0.1:8786.",
)  # fmt: skip


def workers(command: Command) -> Command:
    """`--scheduler` and `--workers`: who measures."""
    command = click.option(
        "--workers", type=Whole(1, 1024),
        help="Number of worker processes on this machine.  [default: one per core]",
    )(command)  # fmt: skip
    return SCHEDULER(command)
