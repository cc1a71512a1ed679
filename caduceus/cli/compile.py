"""The command `caduceus compile`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.values import Name, OutputPath
from caduceus.spec.formats import ReadMode

if TYPE_CHECKING:
    from caduceus.study.opened import Options


@click.command("compile", short_help="Map a network to a chip and write its program.")
@options.chip()
@click.option("--net", "network", type=Name(), default="resnet9", show_default=True,
              help="Network: a name, or a file (.yaml).")  # fmt: skip
@options.READ_MODE
@click.option("--output", type=OutputPath(), metavar="FILE",
              help="File of the program.  "
              "[default: build/programs/<net>-<chip>-<read-mode>.program]")  # fmt: skip
@options.REPLICAS
@options.taken
@options.PCM
def compile_program(
    chip: str,
    network: str,
    read_mode: str,
    output: Path | None,
    replicas: Mapping[str, int] | Literal["auto"] | None,
    taken: "Options",
    pcm: str,
) -> None:
    """Map a network to the chip's tiles, write its program, and show the placement."""
    from caduceus.devices.settings import Devices
    from caduceus.study.compile_command import run

    devices = Devices.find(pcm)
    run(
        chip, network, ReadMode(read_mode), output, plain_console(), replicas, devices,
        taken=taken,
    )  # fmt: skip
