"""The `caduceus` command."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from caduceus.paths import BUILD
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
READ_MODES = click.Choice([str(mode) for mode in ReadMode])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="caduceus")
def cli() -> None:
    """An open, bit-exact reproduction of a 64-core phase-change-memory compute chip.

    Exit status: 0 if all is well, 1 if something compared did not match, 2 if the command could
    not do what it was asked.
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
    help="Test images, input vectors, or characters, to run.  [default: 2 images end to end, 10 "
    "through one tile, 10 vectors, 20 characters]",
)  # fmt: skip
@_REPLICAS
@click.option("--waves", is_flag=True, help="Leave every signal in an FST file.")
@click.option("--output", type=click.Path(path_type=Path),
              default=BUILD / "sim" / "result.json", show_default="build/sim/result.json",
              help="Where the result goes.")  # fmt: skip
def sim(
    chip: str,
    network: str | None,
    simulator: str,
    read_mode: str,
    images: int | None,
    replicas: "Replicas",
    waves: bool,
    output: Path,
) -> None:
    """Run in RTL and compare with the golden model.

    A convolutional network runs on the whole chip, image in and logits out, with every output of
    every tile compared; so does a recurrent network, with every hidden and cell state, and a layer
    that is larger than a tile. A chain of layers that each fit one tile goes through one, layer by
    layer, and every activation is compared. Without --net the chip runs one network of either kind.
    """
    from caduceus.sim import Request, run

    request = Request(
        chip, network, simulator, ReadMode(read_mode), images, waves, output, replicas
    )
    if not run(request, Console()):
        sys.exit(1)


@cli.command()
@click.option("--chip", default="hermes", show_default=True, help="Chip description.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the files.  [default: build/verilog/<chip>]",
)
def verilog(chip: str, output: Path | None) -> None:
    """Write the Verilog of the chip and of a tile alone, the array as a black box, and check it."""
    from caduceus.verilog import run

    if not run(chip, output, Console()):
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
def accuracy(chip: str, network: str | None, read_mode: str, images: int | None) -> None:
    """Run the golden model over the test set: images, or a recurrent network's text."""
    from caduceus import bpc
    from caduceus.accuracy import TEST_SET, TRAINED, measure
    from spec import chip as chip_description
    from spec import network as network_description
    from spec import recurrent

    description = chip_description.find(chip)
    console = Console()
    name = network or TRAINED.get(description.name)
    if name is None:
        raise UserError(f"chip {description.name} has no network of its own: name one with --net")
    text = recurrent.find(name)
    if text is not None:
        report = bpc.measure(*text, description, ReadMode(read_mode), images, console)
        console.print(
            f"{report['network']} on chip {report['chip']}, {report['read_mode']} reads: golden "
            f"{report['golden_bpc']:.4f} bits a character over {report['characters']} in "
            f"{report['seconds']:.1f} s, float {report['float_bpc']:.4f} over all",
            highlight=False,
            soft_wrap=True,
        )
        return
    found = network_description.find(name)
    report = measure(*found, description, ReadMode(read_mode), images or TEST_SET, console)
    console.print(
        f"{report['network']} on chip {report['chip']}, {report['read_mode']} reads: golden "
        f"{report['golden']:.2%} of {report['images']} images in {report['seconds']:.1f} s, "
        f"float {report['float']:.2%} of all {TEST_SET}",
        highlight=False,
        soft_wrap=True,
    )


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
    type=click.Path(path_type=Path),
    help="File of the image.  [default: build/programs/<net>-<chip>-<read-mode>.program]",
)
@_REPLICAS
def compile_program(
    chip: str, network: str, read_mode: str, output: Path | None, replicas: "Replicas"
) -> None:
    """Map a network to many tiles: write the program image, show what is where."""
    from caduceus.compile import run

    run(chip, network, ReadMode(read_mode), output, Console(), replicas)


@cli.command()
def bench() -> None:
    """Measure the speed of the golden model and of the RTL on this machine."""
    from caduceus.bench import run

    run(Console())


def main() -> None:
    """Entry point: a user's mistake is one sentence on standard error."""
    try:
        sys.exit(cli(sys.argv[1:] or ["--help"], prog_name="caduceus", standalone_mode=False))
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
