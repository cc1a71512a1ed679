"""The command `caduceus run`."""

import sys
from pathlib import Path

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.failures import MISMATCH
from caduceus.cli.options import FiniteRange, only
from caduceus.spec.formats import ReadMode
from caduceus.spec.serial_protocol import BAUD


@click.command("run")
@click.option(
    "--target", default="golden", show_default=True, metavar="golden|sim|serial:PORT",
    help="The golden model, the RTL in a simulator, or a board at a serial port.",
)  # fmt: skip
@options.chip()
@options.NETWORK
@options.READ_MODE
@click.option("--images", type=click.IntRange(1, 100_000),
              help="Images, input vectors, or characters.  [default: 2, 10, 20]")  # fmt: skip
@options.devices
@click.option("--sim", "simulator", default="verilator", show_default=True,
              help="Simulator of the target sim: verilator or icarus.")  # fmt: skip
@click.option("--baud", type=click.IntRange(1, 100_000_000), default=BAUD, show_default=True,
              help="Bits a second of the serial port.")  # fmt: skip
@click.option(
    "--patience", type=FiniteRange(0.01, 3600), default=0.3, show_default=True, metavar="SECONDS",
    help="Wait so long for an answer of the board, ten times.",
)  # fmt: skip
@options.output("run/result.json", "Where the result goes.")
@click.pass_context
def run(
    context: click.Context,
    target: str,
    chip: str,
    network: str | None,
    read_mode: str,
    images: int | None,
    pcm: str,
    seed: int,
    age: float,
    simulator: str,
    baud: int,
    patience: float,
    output: Path,
) -> None:
    """Run a network on a chip and compare what leaves it with the golden model.

    The same calls load the program and the devices' states, stream the inputs and read the results,
    whatever the target is.
    """
    from caduceus.devices import settings
    from caduceus.devices.settings import Devices
    from caduceus.host.link import Patience
    from caduceus.sim.run_target import TargetRequest
    from caduceus.study.target_run import Request
    from caduceus.study.target_run import run as run_network

    only("--target sim", target == "sim", context, "simulator")
    only("--target serial:PORT", target.startswith("serial:"), context, "baud", "patience")
    wanted = TargetRequest(target, chip, simulator, Patience(seconds=patience, baud=baud))
    devices = Devices(settings.find(pcm), seed, age)
    request = Request(wanted, network, ReadMode(read_mode), images, output, devices)
    if not run_network(request, plain_console()):
        sys.exit(MISMATCH)
