"""GDPU slices on a chip: packets from the host through the fabric to a slice and back."""

import numpy as np
from cocotb.triggers import ClockCycles

from caduceus.golden.reference import gdpu
from caduceus.sim.scoreboard import compare
from caduceus.spec import fabric
from caduceus.spec.gdpu import GATES
from caduceus.spec.program import SliceProgram
from tb.chip_bench import ChipBench, place
from tb.gdpu_work import random_config, random_gates

STEPS = 4
ASLEEP = 20
"""Clocks of sleep between steps."""
FROM_NORTH, FROM_SOUTH, ANSWERS = 20, 21, 22
"""Streams of pre-activations, by the side of the slice, and of slice 0's answers; further slices
have the next numbers."""


async def _lay(bench: ChipBench, number: int, length: int, units: int) -> None:
    """Routes from the host input of a slice's column to it, and from it to every host output.

    Host inputs are at the northern tiles, host outputs at the eastern end of the rows.
    """
    columns = bench.chip.grid.columns
    tiles = fabric.gdpu_tiles(bench.chip, number)
    north, south = tiles[fabric.NORTH], tiles[fabric.SOUTH]
    await bench.route(north, FROM_NORTH, fabric.GDPU, length)
    await bench.route(north, FROM_SOUTH, "south_1", length)
    await bench.route(south, FROM_SOUTH, fabric.GDPU, length)
    for tile in (north, south):
        end = tile - number + columns - 1
        for each in range(tile, end + 1):
            sink = fabric.HOST if each == end else "east_1"
            await bench.route(each, ANSWERS + number, sink, units)


async def check_slice(bench: ChipBench, random: np.random.Generator, number: int) -> None:
    """Run a sequence, with pre-activations from both sides in turn, and one packet too many.

    Raises:
        Mismatch: a hidden state differs from the golden model.
    """
    dut, units = bench.dut, bench.chip.gdpu.units
    config = random_config(random, units, "plausible")
    answers = ANSWERS + number
    await _lay(bench, number, len(GATES) * units, units)
    host = bench.host.slices[number]
    sides = (fabric.NORTH, fabric.SOUTH)
    await host.configure(SliceProgram(number, config, sides, answers, answers, answers))
    await host.begin(STEPS)
    hidden, cell = np.zeros((1, units), np.int8), np.zeros((1, units), np.uint16)
    for step in range(STEPS + 1):
        for port in range(len(bench.outputs)):
            stream, got = await bench.receive_packet(port)
            assert stream == answers, f"stream {stream}"
            compare(hidden[0], got, place(f"slice {number}, step {step}"))
        while int(dut.slices_awake.value):
            await ClockCycles(dut.aclk, 1)
        await ClockCycles(dut.aclk, ASLEEP)
        gates = random_gates(random, units)
        bench.send_packet(number, (FROM_NORTH, FROM_SOUTH)[step % 2], gates)
        hidden, cell = gdpu.step(config, gates[np.newaxis], cell)
    await bench.inputs[number].wait()
    await ClockCycles(dut.aclk, ASLEEP + 8 * units)
