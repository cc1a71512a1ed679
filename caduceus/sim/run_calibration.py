"""cocotb side of `caduceus calibrate`: a tile's calibration over AXI, and vectors before and after.

`caduceus.sim.calibration_job` describes the job. The report gives its outcome, mismatches included:
this test fails only if the simulation itself fails.
"""

import os
import time
from dataclasses import fields
from functools import partial
from pathlib import Path

import cocotb
import numpy as np
from numpy.typing import NDArray

from caduceus.golden import measure
from caduceus.golden.fast.tile import Tile
from caduceus.host import calibrate
from caduceus.host.calibrate import Calibration
from caduceus.sim.calibration_job import (
    STATE,
    VARIABLE,
    VECTORS,
    CalibrationJob,
    CalibrationReport,
    constants_file,
    results_file,
)
from caduceus.sim.scoreboard import Mismatch, compare
from caduceus.sim.streamed_tile import StreamedTile
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import TileConfig


class _Score:
    """Collects all comparisons."""

    def __init__(self) -> None:
        self.compared = self.mismatches = 0
        self.first = ""

    def compare(self, name: str, expected: NDArray, got: NDArray) -> None:
        """Count equal values and mismatches."""
        try:
            found = compare(expected, got, lambda index: f"{name} {list(index)}")
            self.compared += found.compared
        except Mismatch as mismatch:
            self.compared += mismatch.compared
            self.mismatches += mismatch.mismatches
            self.first = self.first or str(mismatch)

    def compare_calibrations(self, expected: Calibration, got: Calibration) -> None:
        """Compare bit by bit, so that NaNs compare too."""
        for field in fields(Calibration):
            one, other = (getattr(each, field.name) for each in (expected, got))
            if isinstance(one, np.ndarray):
                self.compare(field.name, one.view(np.int64), other.view(np.int64))


@cocotb.test()
async def run_calibration(dut: object) -> None:
    """Run the job, and write its report."""
    folder = Path(os.environ[VARIABLE])
    job = CalibrationJob.load(folder)
    chip = Chip.find(job.chip)
    state = pcm_state.load(folder / STATE, chip)
    x = np.load(folder / VECTORS)
    golden = Tile(chip, state)
    started = time.monotonic()
    tile = await StreamedTile.start(dut, chip, *job.clock_half_periods_ps)
    score, cycles, reads = _Score(), {}, {}
    for mode in ReadMode:
        procedure = partial(calibrate.calibration, chip, 1, chip.array.columns, mode)
        await tile.load(state)
        before = tile.cycles()
        found = await tile.measure(procedure())
        cycles[mode] = {name: now - before[name] for name, now in tile.cycles().items()}
        reads[mode] = tile.reads
        expected = measure.run(procedure(), golden)
        score.compare_calibrations(expected, found)

        constants = np.load(folder / constants_file(mode))
        plain = TileConfig(mode, chip.array.rows, chip.array.columns, constants)
        corrected = calibrate.calibrated(plain, found)
        wanted = calibrate.calibrated(plain, expected)
        score.compare(f"{mode}, constants", wanted.constants, corrected.constants)
        for config, calibrated in ((plain, False), (corrected, True)):
            first = tile.reads
            await tile.configure(config)
            got = await tile.run(x)
            name = f"{mode}, {'after' if calibrated else 'before'} calibration, vector and column"
            score.compare(name, golden.run(config, x, first_read=first), got)
            np.save(folder / results_file(mode, calibrated), got)
    assert await tile.host.read("ERROR") == 0
    CalibrationReport(
        values_compared=score.compared,
        mismatches=score.mismatches,
        first_mismatch=score.first,
        cycles=cycles,
        reads=reads,
        simulate_seconds=time.monotonic() - started,
    ).save(folder)
