"""cocotb side of `caduceus sim` for a whole chip: a program's inputs through all tiles in RTL."""

import os
import time
from pathlib import Path

import cocotb
import numpy as np

from driver.chip import ChipHost
from golden import chip as golden_chip
from sim.chip_job import VARIABLE, ChipJob, ChipOutcome, peak_mib
from sim.chip_player import ChipPlayer
from sim.scoreboard import Comparisons
from sim.step import Step
from sim.tile_host import EventPort, reset, start_clock
from spec import chip as chip_description
from spec import pcm_state, program_image


@cocotb.test()
async def run_chip(dut: object) -> None:
    """Run the job, and leave its outcome beside it."""
    folder = Path(os.environ[VARIABLE])
    job = ChipJob.load(folder)
    chip = chip_description.find(job.chip)
    program = program_image.load(folder / "program.bin", chip)
    state = pcm_state.load(folder / "state.pcm", chip)
    x = np.load(folder / "inputs.npy")
    golden = golden_chip.run(program, chip, state, x)
    start_clock(dut.aclk, job.clock_half_periods_ps[0])
    start_clock(dut.mvm_clk, job.clock_half_periods_ps[1])
    host = ChipHost(EventPort(dut, dut.aclk), chip)
    player = ChipPlayer(dut, chip, program, job.clock_half_periods_ps[0])
    await reset(dut)
    await host.load(program)

    processor = time.process_time()
    played = await player.play(x, lambda done: Step({program.network: done}).save(Path()))
    cocotb.log.info("%.2f s of processor time", time.process_time() - processor)
    errors = await host.errors()
    assert not errors, f"ERROR registers by tile: {errors}"

    comparison = Comparisons()
    comparison.add(golden, played.outputs, lambda at: f"vector {at[0]}, output {at[1:]}")
    ChipOutcome(
        values_compared=comparison.compared,
        mismatches=comparison.mismatches,
        first_mismatch=comparison.first,
        cycles=played.cycles,
        began=played.began,
        fed=played.fed,
        ends=played.ends,
        mvms={str(tile): count for tile, count in (await host.count("MVMS", program)).items()},
        stalled={
            str(tile): count for tile, count in (await host.count("STALL_CYCLES", program)).items()
        },
        simulate_seconds=played.seconds,
        peak_mib=peak_mib(),
    ).save(folder)
