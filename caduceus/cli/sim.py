"""The command `caduceus sim`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.failures import MISMATCH
from caduceus.spec.formats import ReadMode


@click.command()
@options.chip()
@options.NETWORK
@options.SIMULATOR
@options.READ_MODE
@click.option(
    "--images", type=click.IntRange(1, 100_000),
    help="Test images, input vectors, or characters to run.  [default: 2, 10, 20]",
)  # fmt: skip
@options.REPLICAS
@options.devices
@click.option("--waves", is_flag=True, help="Leave every signal in an FST file.")
@options.output("sim/result.json", "Where the result goes.")
def sim(
    chip: str,
    network: str | None,
    simulator: str,
    read_mode: str,
    images: int | None,
    replicas: Mapping[str, int] | Literal["auto"] | None,
    pcm: str,
    seed: int,
    age: float,
    waves: bool,
    output: Path,
) -> None:
    """Run in RTL and compare with the golden model.

    Whatever the network, it runs on the whole chip. Every result and every packet of every tile,
    what leaves the chip, and every hidden and cell state are compared. Without --net the chip runs
    its own networks, one of feature maps and one of sequences.
    """
    from caduceus.devices import settings
    from caduceus.devices.settings import Devices
    from caduceus.study.rtl_run import Request, run

    devices = Devices(settings.find(pcm), seed, age)
    request = Request(
        chip, network, simulator, ReadMode(read_mode), images, waves, output, replicas, devices
    )
    if not run(request, plain_console()):
        sys.exit(MISMATCH)
