"""The command `caduceus compile`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.spec.formats import ReadMode


@click.command("compile")
@options.chip()
@click.option("--net", "network", default="resnet9", show_default=True,
              help="Network, by name or path.")  # fmt: skip
@options.READ_MODE
@click.option("--output", type=options.OutputPath(),
              help="File of the image.  "
              "[default: build/programs/<net>-<chip>-<read-mode>.program]")  # fmt: skip
@options.REPLICAS
@options.PCM
def compile_program(
    chip: str,
    network: str,
    read_mode: str,
    output: Path | None,
    replicas: Mapping[str, int] | Literal["auto"] | None,
    pcm: str,
) -> None:
    """Map a network to many tiles: write the program image, show what is where."""
    from caduceus.devices.settings import Devices
    from caduceus.study.placed import run

    devices = Devices.find(pcm)
    run(chip, network, ReadMode(read_mode), output, plain_console(), replicas, devices)
