"""`caduceus calibrate`: calibrate one tile's converters in RTL; report the error before and after.

Random weights and inputs, uniform with 30 % zeros, as in the published characterization.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from caduceus.compiler.quantise import device_codes
from caduceus.devices import make, settings
from caduceus.golden.fast.tile import Tile
from caduceus.host.calibrate import INDEX
from caduceus.sim import runner
from caduceus.sim.calibration import measured
from caduceus.sim.calibration_job import (
    STATE,
    VARIABLE,
    VECTORS,
    CalibrationJob,
    CalibrationReport,
    constants_file,
    results_file,
)
from caduceus.sim.job import half_periods
from caduceus.sim.paths import absolute
from caduceus.sim.published import ZEROS
from caduceus.sim.run_files import can_be_written, empty, forget, only_run, working_files
from caduceus.sim.streamed_tile import PLUSARGS
from caduceus.sim.tile_design import tile_sources
from caduceus.spec import formats, pcm_state
from caduceus.spec.binary16 import binary16
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import TileConfig
from caduceus.spec.shipped import build_folder

INPUTS = 200
"""Vectors before the calibration, and as many after it."""
GMAX = formats.CELL_MAX // 2
"""Code of the largest weight: as on the chip, few columns reach a converter's limit."""
USED = 120
"""INT8 steps of the largest exact result: the rest is headroom for its error."""


@dataclass(frozen=True)
class Request:
    """What to calibrate.

    Attributes:
        chip: name or path of the description.
        simulator: verilator or icarus.
        seed: random seed.
        gain_spread: relative standard deviation of the converter gains.
        offset: standard deviation of their offsets, in counts.
        noise: read noise, standard deviation, in counts.
        output: file of the result.
    """

    chip: str
    simulator: str
    seed: int
    gain_spread: float
    offset: float
    noise: float
    output: Path


def drawn(chip: Chip, request: Request) -> tuple[NDArray[np.int64], PcmState, NDArray[np.int8]]:
    """Cell codes [rows, columns], the PCM state of a tile with them, and vectors [n, rows].

    Raises:
        UserError: a spread is out of range.
    """
    random = np.random.default_rng(request.seed)
    rows, columns = chip.array.rows, chip.array.columns

    def uniform(largest: int, shape: tuple[int, int]) -> NDArray[np.int64]:
        values = np.rint(random.uniform(-largest, largest, shape)).astype(np.int64)
        return values * (random.random(shape) >= ZEROS)

    cells = uniform(GMAX, (rows, columns))
    spreads = settings.Settings(
        format=1, model="ideal", adc_gain_spread=request.gain_spread, adc_offset=request.offset
    )
    gains, offsets = make.converters(chip, spreads, request.seed, 0, columns)
    noise = round(request.noise * 2**formats.NOISE_FRACTION)
    state = replace(
        pcm_state.ideal(chip, device_codes(cells.astype(np.int16))[np.newaxis], request.seed),
        gain_p=gains[:1],
        gain_n=gains[1:],
        offset_p=offsets[:1],
        offset_n=offsets[1:],
        noise=np.full((1, columns), noise, np.uint16),
        note=f"gain spread {request.gain_spread}, offset {request.offset}, noise {request.noise}",
    )
    x = uniform(formats.INT8_MAX, (INPUTS, rows)).astype(np.int8)
    return cells, state, x


@dataclass(frozen=True)
class Exact:
    """The exact results.

    Attributes:
        counts: float64 [n, columns], P - N of ideal converters without rounding.
        scale: INT8 steps per count, a binary16 number.
    """

    counts: NDArray[np.float64]
    scale: float

    def config(self, chip: Chip, mode: ReadMode) -> TileConfig:
        """Constants for ideal converters."""
        values = np.zeros((chip.array.columns, len(formats.COLUMN_CONSTANTS)))
        for name, value in (("gain_p", 1), ("gain_n", 1), ("scale", self.scale)):
            values[:, INDEX[name]] = value
        return TileConfig(mode, chip.array.rows, chip.array.columns, binary16(values, "a constant"))

    def error(self, results: NDArray[np.int8]) -> dict[str, float]:
        """Standard deviation and mean of the error, in counts, and % of the range."""
        wrong = results / self.scale - self.counts
        span = 2 * np.abs(self.counts).max()
        return {
            "sigma_counts": float(wrong.std()),
            "mean_counts": float(wrong.mean()),
            "sigma_percent": float(100 * wrong.std() / span),
        }


def exact(chip: Chip, cells: NDArray[np.int64], x: NDArray[np.int8]) -> Exact:
    """The products, in counts, and a scale that spreads them over INT8."""
    counts = x.astype(np.int64) @ cells * (chip.nominal_gain / 2**formats.GAIN_FRACTION)
    return Exact(counts, float(np.float16(USED / np.abs(counts).max())))


def _prepare(
    job: Path, name: str, chip: Chip, state: PcmState, x: NDArray[np.int8], wanted: Exact
) -> None:
    empty(job)
    CalibrationJob(name, half_periods(chip)).save(job)
    pcm_state.save(state, job / STATE)
    np.save(job / VECTORS, x)
    for mode in ReadMode:
        np.save(job / constants_file(mode), wanted.config(chip, mode).constants)


def run(request: Request, console: Console) -> bool:
    """Draw, measure in RTL, compare, report; returns whether every value was equal.

    Raises:
        UserError: an option is out of range or does not fit the chip, a converter cannot be
            calibrated, the build or the simulation failed, or the result cannot be written.
    """
    started = time.monotonic()
    can_be_written(request.output)
    chip = Chip.find(request.chip)
    version = runner.tool_version(request.simulator)
    cells, state, x = drawn(chip, request)
    for mode in ReadMode:
        # Refuse a chip that cannot be calibrated before the build.
        measured(Tile(chip, state), 1, chip.array.columns, mode)
    wanted = exact(chip, cells, x)
    place = build_folder() / "calibrate" / f"{chip.name}-{request.simulator}"
    job = place / "job"
    with only_run(place, console), console.status("building and simulating"):
        forget(request.output)
        with working_files(place):
            _prepare(job, absolute(request.chip), chip, state, x, wanted)
            sources = tile_sources(chip, place / "design")
        results = runner.run_bench(
            name=f"calibrate-{chip.name}-{request.simulator}",
            sources=sources,
            top="tile_harness",
            parameters={"UNITS": chip.link.units},
            test_module="caduceus.sim.run_calibration",
            simulator=request.simulator,
            build_dir=place / "build",
            run_dir=job,
            extra_env={VARIABLE: str(job)},
            plusargs=PLUSARGS,
        )
        if not results.ok:
            raise UserError(f"the simulation failed: {results.sentence}")
        simulated = CalibrationReport.load(job)
        sent = {
            (mode, calibrated): np.load(job / results_file(mode, calibrated))
            for mode in ReadMode
            for calibrated in (False, True)
        }
    ideal = replace(pcm_state.ideal(chip, state.codes, request.seed), noise=state.noise)
    errors = {}
    for mode in ReadMode:
        config = wanted.config(chip, mode)
        errors[str(mode)] = {
            "before": wanted.error(sent[mode, False]),
            "after": wanted.error(sent[mode, True]),
            "ideal_converters": wanted.error(Tile(chip, ideal).run(config, x)),
        }
    report = {
        "chip": chip.name,
        "simulator": request.simulator,
        "simulator_version": version,
        "seed": request.seed,
        "gain_spread": request.gain_spread,
        "offset": request.offset,
        "noise": request.noise,
        "vectors": len(x),
        "errors": errors,
        "cycles": simulated.cycles,
        "reads": simulated.reads,
        "values_compared": simulated.values_compared,
        "mismatches": simulated.mismatches,
        "first_mismatch": simulated.first_mismatch,
        "simulate_seconds": simulated.simulate_seconds,
        "wall_seconds": time.monotonic() - started,
    }
    write_whole(request.output, json.dumps(report, indent=2) + "\n", "result")
    _show(report, chip, request.output, console)
    return simulated.mismatches == 0


def _show(report: Mapping, chip: Chip, path: Path, console: Console) -> None:
    for mode, errors in report["errors"].items():
        before, after, ideal = (
            f"{error['sigma_counts']:.2f} counts ({error['sigma_percent']:.2f} %)"
            for error in errors.values()
        )
        cycles = report["cycles"][mode]["sync"]
        console.print(
            f"{mode} reads: error {before} before, {after} after, {ideal} with ideal converters; "
            f"calibration takes {report['reads'][mode]} MVMs, {cycles} cycles, "
            f"{cycles / chip.clocks.sync_mhz:.0f} us",
            highlight=False,
            soft_wrap=True,
        )
    if report["mismatches"]:
        console.print(f"MISMATCH: {report['first_mismatch']}", style="bold red", soft_wrap=True)
    console.print(
        f"{report['values_compared']} values compared, {report['mismatches']} mismatches, "
        f"{report['wall_seconds']:.0f} s\n{path}",
        highlight=False,
        soft_wrap=True,
    )
