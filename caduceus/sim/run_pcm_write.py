"""cocotb side of `caduceus pcm-write`: an array written over AXI, then vectors through it.

`sim.pcm_write_job` describes the job; the comparison happens elsewhere.
"""

import os
import time
from pathlib import Path

import cocotb
import numpy as np

from caduceus.golden.reference.pcm_writer import PcmWritten
from caduceus.sim.pcm_write_host import PcmWriteHost
from caduceus.sim.pcm_write_job import (
    DIAGONALS,
    RESULTS,
    STATE,
    TARGETS,
    VARIABLE,
    VECTORS,
    PcmWriteJob,
    PcmWriteReport,
    products_config,
    products_file,
)
from caduceus.sim.step import Step
from caduceus.sim.streamed_tile import StreamedTile
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_write import Procedure


@cocotb.test()
async def run_pcm_write(dut: object) -> None:
    """Run the job, and write its report."""
    folder = Path(os.environ[VARIABLE])
    job = PcmWriteJob.load(folder)
    chip = Chip.find(job.chip)
    targets, x = np.load(folder / TARGETS), np.load(folder / VECTORS)
    started = time.monotonic()
    tile = await StreamedTile.start(dut, chip, *job.clock_half_periods_ps)
    await tile.load(pcm_state.load(folder / STATE, chip))
    host = PcmWriteHost(tile.host, chip)
    procedure = Procedure(job.devices)
    found: list[PcmWritten] = []
    before = await tile.host.read("BUSY_CYCLES")
    for diagonal, wanted in enumerate(targets):
        found.append(await host.program(diagonal, wanted, procedure))
        Step({DIAGONALS: diagonal + 1}).save(folder)
    report = PcmWriteReport(
        pulses=await tile.host.read("PULSES"),
        reads=await tile.host.read("VERIFY_READS"),
        busy_cycles=await tile.host.read("BUSY_CYCLES") - before,
        cycles=tile.cycles()["sync"],
        simulate_seconds=time.monotonic() - started,
    )
    names = vars(found[0])
    np.savez(folder / RESULTS, **{n: np.stack([getattr(each, n) for each in found]) for n in names})
    for mode in ReadMode:
        await tile.configure(products_config(chip, mode))
        np.save(folder / products_file(mode), await tile.run(x))
    assert await tile.host.read("ERROR") == 0
    report.save(folder)
