"""A board in a simulation: its serial pins, and a socket at the other end of the line."""

import os
import select
import socket
from dataclasses import replace
from pathlib import Path

import cocotb
from cocotb.triggers import Timer
from cocotbext.uart import UartSink, UartSource

from caduceus.hdl.common.verilog import write
from caduceus.hdl.host.serial_bridge import CONTROL
from caduceus.hdl.host.serial_chip import SerialChip
from caduceus.sim.chip_design import ChipDesign, chip_design
from caduceus.sim.run_target import Served
from caduceus.sim.served_job import VARIABLE, ServedJob
from caduceus.sim.tile_host import RESET_NS, start_clock
from caduceus.spec.chip import Chip

DIVISOR = 4
"""Clocks of `sync` per bit on the line."""
_PIECE = 1 << 16
LOOK_NS = 500
"""Simulated time between two polls of the socket."""


def _sources(folder: Path, chip: Chip, simulator: str) -> ChipDesign:
    made = chip_design(folder, chip, simulator)
    top = write(SerialChip(chip, DIVISOR), "serial_chip", folder / "serial_chip.v")
    return replace(made, sources=[CONTROL, *made.sources, top])


BOARD = Served("pins", "serial_chip", __name__, _sources)
"""For `caduceus.sim.run_target.simulation`: a serial port in simulated time."""


@cocotb.test()
async def serve(dut: object) -> None:
    """Transfer bytes between pins and socket until the peer closes the socket."""
    job = ServedJob.load(Path(os.environ[VARIABLE]))
    sync_ps, mvm_ps = job.clock_half_periods_ps
    dut.aresetn.value, dut.rx.value = 0, 1
    start_clock(dut.aclk, sync_ps)
    start_clock(dut.mvm_clk, mvm_ps)
    await Timer(RESET_NS, "ns")
    dut.aresetn.value = 1
    await Timer(RESET_NS, "ns")
    baud = 1e12 / (2 * sync_ps * DIVISOR)
    source, sink = UartSource(dut.rx, baud=baud), UartSink(dut.tx, baud=baud)
    for model in (source, sink):
        model.log.setLevel("WARNING")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(job.socket)
        while True:
            if select.select([connection], [], [], 0)[0]:
                data = connection.recv(_PIECE)
                if not data:
                    return
                source.write_nowait(data)
            await Timer(LOOK_NS, "ns")
            if not sink.empty():
                connection.sendall(bytes(sink.read_nowait()))
