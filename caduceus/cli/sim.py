"""The command `caduceus sim`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.failures import MISMATCH
from caduceus.cli.values import Choice, Whole
from caduceus.sim.chip_design import VERILATIONS
from caduceus.spec.formats import ReadMode

if TYPE_CHECKING:
    from caduceus.study.opened import Options


@click.command(short_help="Run networks in RTL against the golden model.")
@options.chip()
@options.NETWORK
@options.SIMULATOR
@options.READ_MODE
@options.RUN
@options.REPLICAS
@options.taken
@options.devices
@click.option(
    "--sequences", type=Whole(1, 10_000), default=1, show_default=True,
    help="Number of sequences of a network with an LSTM, each of --images steps.",
)  # fmt: skip
@click.option(
    "--jobs", type=Whole(1, 1024),
    help="Number of simulator processes that share the inputs.  [default: 1, or one per thread of "
    "the cluster]",
)  # fmt: skip
@options.SCHEDULER
@options.THREADS
@click.option(
    "--verilation", type=Choice(VERILATIONS),
    help="How Verilator compiles the chip; results are the same.  [default: parallel, or "
    "hierarchical with --waves]",
)  # fmt: skip
@click.option("--waves", is_flag=True, help="Write the waveforms of all signals to an FST file.")
@options.output("sim/result.json", "File of the result (JSON); trace and picture go beside it.")
def sim(
    chip: str,
    network: str | None,
    simulator: str,
    read_mode: str,
    images: int | None,
    replicas: Mapping[str, int] | Literal["auto"] | None,
    taken: "Options",
    pcm: str,
    seed: int,
    age: float,
    sequences: int,
    jobs: int | None,
    scheduler: str | None,
    threads: int | None,
    verilation: str | None,
    waves: bool,
    output: Path,
) -> None:
    """Run networks on the whole chip in RTL and compare with the golden model.

    Every result and packet of every tile, the chip's outputs, and every hidden and cell state are
    compared. Without --net the chip runs its own two networks: one of images, one of sequences.
    """
    from caduceus.devices import settings
    from caduceus.devices.settings import Devices
    from caduceus.study.sim_command import Request, run

    devices = Devices(settings.find(pcm), seed, age)
    request = Request(
        chip, network, simulator, ReadMode(read_mode), images, waves, output, replicas, devices,
        sequences, jobs, scheduler, threads, verilation, taken,
    )  # fmt: skip
    if not run(request, plain_console()):
        sys.exit(MISMATCH)
