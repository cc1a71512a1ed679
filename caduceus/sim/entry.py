"""cocotb side of every simulation of a program: its inputs through a chip in RTL.

`sim.job` describes the job; the comparison happens elsewhere.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import Timer
from cocotb.utils import get_sim_time

from caduceus.host.chip import ChipHost, named
from caduceus.sim import job as files
from caduceus.sim.chip_player import ChipPlayer
from caduceus.sim.job import Job, SimulationReport, peak_mib
from caduceus.sim.player_port import PlayerPort
from caduceus.sim.schedule import clocks_to_the_end, schedule
from caduceus.sim.share import Share
from caduceus.sim.step import Step
from caduceus.sim.tile_host import reset
from caduceus.spec import program_file
from caduceus.spec.chip import Chip

SLEEP_LOOKS = 1000
"""Microseconds within which a chip without work must go to sleep."""
QUIET_LOOKS = 8
"""Microseconds for which it must stay asleep: longer than a pause of a host stream."""


async def asleep(dut: object, rest_us: int = 0) -> None:
    """Wait until every tile and GDPU slice has been asleep for a while.

    After the last output, the rest of the input may take `rest_us`.

    Raises:
        AssertionError: one of them stays awake.
    """
    quiet = 0
    for _ in range(SLEEP_LOOKS + rest_us):
        await Timer(1, "us")
        at_work = int(dut.awake.value) | int(dut.slices_awake.value)
        quiet = 0 if at_work else quiet + 1
        if quiet == QUIET_LOOKS:
            return
    raise AssertionError("tiles or GDPU slices are awake without work")


@cocotb.test()
async def run(dut: object) -> None:
    """Run the job, and write its report."""
    folder = Path(os.environ[files.VARIABLE])
    job = Job.load(folder)
    chip = Chip.find(str(folder / files.CHIP))
    program = program_file.load(folder / files.PROGRAM, chip)
    inputs = schedule(program, chip, np.load(folder / files.INPUTS), Share.of(job))

    host = ChipHost(PlayerPort(dut), chip)
    player = ChipPlayer(dut, chip, program, job.clock_half_periods_ps[0])
    await reset(dut)
    before = time.monotonic()
    await host.load(program)
    loaded = time.monotonic()

    start_ps = int(get_sim_time("ps"))

    def tell(done: Mapping[str, int]) -> None:
        now = (get_sim_time("ps") - start_ps) / 1e6
        Step(dict(done), f"{now:.1f} us").save(folder)

    started, clocks = time.monotonic(), player.clocks()
    busy = time.process_time()
    await inputs.play(host, player, tell)
    seconds, after = time.monotonic() - started, player.clocks()
    busy = time.process_time() - busy
    await asleep(dut, clocks_to_the_end(program, chip) // chip.clocks.sync_mhz)
    errors = await host.errors()
    assert not errors, f"ERROR registers: {named(errors)}"

    inputs.save(folder / files.PLAYED)

    async def counter(name: str) -> dict[str, int]:
        return {str(tile): value for tile, value in (await host.count(name, program)).items()}

    SimulationReport(
        cycles={name: after[name] - clocks[name] for name in after},
        mvms=await counter("MVMS"),
        busy=await counter("BUSY_CYCLES"),
        stalled=await counter("STALL_CYCLES"),
        start_ps=start_ps,
        load_seconds=loaded - before,
        simulate_seconds=seconds,
        simulate_cpu_seconds=busy,
        peak_mib=peak_mib(),
    ).save(folder)
