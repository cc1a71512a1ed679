"""cocotb side of a board in a simulation: its serial pins, and a socket at the line's other end."""

import os
import select
import socket
from pathlib import Path

import cocotb
from cocotb.triggers import Timer
from cocotbext.uart import UartSink, UartSource

from caduceus.sim.served_job import VARIABLE, ServedJob
from caduceus.sim.tile_host import RESET_NS, start_clock

_PIECE = 1 << 16
LOOK_NS = 500
"""Simulated time between two looks at the socket."""


@cocotb.test()
async def serve(dut: object) -> None:
    """Carry bytes between pins and socket until the socket is closed at its other end."""
    job = ServedJob.load(Path(os.environ[VARIABLE]))
    sync_ps, mvm_ps = job.clock_half_periods_ps
    dut.aresetn.value, dut.rx.value = 0, 1
    start_clock(dut.aclk, sync_ps)
    start_clock(dut.mvm_clk, mvm_ps)
    await Timer(RESET_NS, "ns")
    dut.aresetn.value = 1
    await Timer(RESET_NS, "ns")
    baud = 1e12 / (2 * sync_ps * job.divisor)
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
