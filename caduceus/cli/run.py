"""The command `caduceus run`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caduceus.cli import options
from caduceus.cli.console import plain_console
from caduceus.cli.failures import MISMATCH
from caduceus.cli.options import only
from caduceus.cli.values import Choice, Name, Number, Whole
from caduceus.spec.formats import ReadMode
from caduceus.spec.serial_protocol import BAUD

if TYPE_CHECKING:
    from caduceus.study.opened import Options


@click.command("run", short_help="Run a network on the golden model, RTL or a board.")
@click.option(
    "--target", type=Name("golden, sim or serial:PORT"), default="golden", show_default=True,
    metavar="golden|sim|serial:PORT",
    help="Chip to drive: the golden model, the RTL in a simulator, or a board at a serial port.",
)  # fmt: skip
@options.chip()
@options.NETWORK
@options.READ_MODE
@options.RUN
@options.taken
@options.devices
@click.option("--sim", "simulator", type=Choice(options.SIMULATORS), default="verilator",
              show_default=True, help="RTL simulator, for --target sim.")  # fmt: skip
@click.option("--baud", type=Whole(1, 100_000_000), default=BAUD, show_default=True,
              help="Bit rate of the serial port, in bit/s.")  # fmt: skip
@click.option(
    "--patience", type=Number(0.01, 3600), default=0.3, show_default=True, metavar="SECONDS",
    help="Time to wait for each reply of the board; a request is sent up to 10 times.",
)  # fmt: skip
@options.output("run/result.json", "File of the result (JSON).")
@click.pass_context
def run(
    context: click.Context,
    target: str,
    chip: str,
    network: str | None,
    read_mode: str,
    images: int | None,
    taken: "Options",
    pcm: str,
    seed: int,
    age: float,
    simulator: str,
    baud: int,
    patience: float,
    output: Path,
) -> None:
    """Run a network on a chip and compare the chip's outputs with the golden model.

    The same calls load the program and the devices' states, stream the inputs and read the results
    on every target.
    """
    from caduceus.devices import settings
    from caduceus.devices.settings import Devices
    from caduceus.host.link import Patience
    from caduceus.sim.run_target import TargetRequest
    from caduceus.study.run_command import Request
    from caduceus.study.run_command import run as run_network

    only("with --target sim", target == "sim", context, "simulator")
    only("with --target serial:PORT", target.startswith("serial:"), context, "baud", "patience")
    wanted = TargetRequest(target, chip, simulator, Patience(seconds=patience, baud=baud))
    devices = Devices(settings.find(pcm), seed, age)
    request = Request(wanted, network, ReadMode(read_mode), images, output, devices, taken)
    if not run_network(request, plain_console()):
        sys.exit(MISMATCH)
