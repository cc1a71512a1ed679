"""cocotb side of `caduceus run --target sim`: serve a host's requests over a socket."""

import os
import socket
from pathlib import Path

import cocotb

from caduceus.golden.serial_bridge import SerialBridge
from caduceus.sim.axi_chip import AxiChip
from caduceus.sim.served_job import VARIABLE, ServedJob
from caduceus.sim.served_port import ServedPort
from caduceus.spec.chip import Chip

_PIECE = 1 << 16


@cocotb.test()
async def serve(dut: object) -> None:
    """Answer until the host closes the connection; simulated time stands still between requests."""
    job = ServedJob.load(Path(os.environ[VARIABLE]))
    chip = Chip.find(job.chip)
    half_periods = job.clock_half_periods_ps
    bench = await AxiChip.start(dut, chip, (half_periods[0], half_periods[1]))
    bridge = SerialBridge(chip, ServedPort(bench))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(job.socket)
        while data := connection.recv(_PIECE):
            connection.sendall(await bridge.take(data))
