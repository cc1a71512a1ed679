"""cocotb side of `caduceus sim` for a recurrent network: a text through a chip in RTL, twice."""

import os
import time
from pathlib import Path

import cocotb
import numpy as np

from driver.chip import ChipHost
from golden import chip as golden_chip
from sim.chip_job import VARIABLE, ChipJob, SequenceOutcome, peak_mib
from sim.chip_player import ChipPlayer
from sim.sequence_run import SequenceRun
from sim.step import Step
from sim.tile_host import EventPort, reset, start_clock
from spec import chip as chip_description
from spec import pcm_state, program_image


@cocotb.test()
async def run_sequence(dut: object) -> None:
    """Run the job, and leave its outcome beside it."""
    folder = Path(os.environ[VARIABLE])
    job = ChipJob.load(folder)
    chip = chip_description.find(job.chip)
    program = program_image.load(folder / "program.bin", chip)
    state = pcm_state.load(folder / "state.pcm", chip)
    x = np.load(folder / "inputs.npy")
    # The same text twice: reads go on being counted.
    expected = tuple(
        golden_chip.run_sequences(program, chip, state, x[np.newaxis], first_read=first)
        for first in (0, len(x))
    )
    start_clock(dut.aclk, job.clock_half_periods_ps[0])
    start_clock(dut.mvm_clk, job.clock_half_periods_ps[1])
    host = ChipHost(EventPort(dut, dut.aclk), chip)
    player = ChipPlayer(dut, chip, program, job.clock_half_periods_ps[0])
    await reset(dut)
    await host.load(program)

    def tell(done: int) -> None:
        Step({program.network: done}).save(Path())

    run = SequenceRun(host, player, program, x, expected, tell)
    started, before = time.monotonic(), player.clocks()
    await run.step_by_step()
    await run.at_full_speed()
    seconds, after = time.monotonic() - started, player.clocks()
    errors = await host.errors()
    assert not errors, f"ERROR registers: {errors}"
    steps, halves = run.played[: len(x)], run.played[len(x) :]
    answered = [
        ([played.answered[each.slice] for each in program.slices], played) for played in steps
    ]
    SequenceOutcome(
        values_compared=run.comparison.compared,
        mismatches=run.comparison.mismatches,
        first_mismatch=run.comparison.first,
        outputs=np.concatenate([half.outputs for half in halves]).tolist(),
        cycles={name: after[name] - before[name] for name in after},
        latency=[played.ends[0] - played.fed for played in steps],
        latency_of_state=[min(each) - played.fed for each, played in answered],
        latency_of_states=[max(each) - played.fed for each, played in answered],
        latency_with_input=[played.ends[0] - played.began for played in steps],
        period=[int(gap) for half in halves for gap in np.diff(half.ends)[1:]],
        mvms={str(tile): count for tile, count in (await host.count("MVMS", program)).items()},
        simulate_seconds=seconds,
        full_speed_seconds=sum(half.seconds for half in halves),
        peak_mib=peak_mib(),
    ).save(folder)
