"""`caduceus pcm-write`: write a tile's array in RTL, compare with golden, report the errors.

Random weights, uniform with 30 % zeros, as in the published characterization.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from caduceus.golden.fast.tile import Tile
from caduceus.golden.reference.pcm_writer import PcmWriter, PcmWritten
from caduceus.sim import pcm_write_job, runner
from caduceus.sim.job import half_periods
from caduceus.sim.paths import absolute
from caduceus.sim.pcm_write_job import (
    DIAGONALS,
    FINAL,
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
from caduceus.sim.progress import watch
from caduceus.sim.published import ZEROS
from caduceus.sim.run_files import can_be_written, empty, forget, only_run, working_files
from caduceus.sim.scoreboard import Scoreboard
from caduceus.sim.streamed_tile import PLUSARGS
from caduceus.sim.tile_design import tile_sources
from caduceus.spec import formats, pcm_state, pcm_write
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.pcm_write import Procedure
from caduceus.spec.shipped import build_folder

VECTORS_AFTER = 20
"""Number of vectors for the MVMs in either read mode after the PCM write."""
LARGEST = {1: 80, 2: 160}
"""Largest weight in counts, by the number of devices in use (published)."""
PERCENTILES = (50, 75, 90, 99)
TIME_LIMIT_SECONDS = 6 * 3600


@dataclass(frozen=True)
class Request:
    """Options of the PCM write.

    Attributes:
        chip: name or path of the description.
        devices: in use per cell, 1 or 2.
        simulator: verilator or icarus.
        seed: random seed.
        noise: read noise, standard deviation, in counts.
        diagonals: number of diagonals, from the first; all if None.
        output: file of the result.
    """

    chip: str
    devices: int
    simulator: str
    seed: int
    noise: float
    diagonals: int | None
    output: Path


def drawn(chip: Chip, request: Request) -> tuple[PcmState, NDArray[np.int64], NDArray[np.int8]]:
    """A tile of blank devices, targets [diagonals, lines], and vectors [n, rows]."""
    random = np.random.default_rng(request.seed)
    rows, columns = chip.array.rows, chip.array.columns
    blank = np.zeros((1, rows, columns, len(formats.DEVICES)), np.uint8)
    noise = round(request.noise * 2**formats.NOISE_FRACTION)
    state = replace(
        pcm_state.ideal(chip, blank, request.seed), noise=np.full((1, columns), noise, np.uint16)
    )
    shape = pcm_write.diagonals(chip), pcm_write.lines(chip)
    largest = LARGEST[request.devices]
    targets = random.integers(-largest, largest + 1, shape) * (random.random(shape) >= ZEROS)
    x = random.integers(-formats.INT8_MAX, formats.INT8_MAX + 1, (VECTORS_AFTER, rows), np.int8)
    return state, targets[: request.diagonals], x


def _simulated(
    request: Request, chip: Chip, place: Path, console: Console, drawing: tuple
) -> PcmWriteReport:
    """Write the job, build and run it."""
    job, (state, targets, x) = place / "job", drawing
    with working_files(place):
        empty(job)
        (job / FINAL).mkdir()
        PcmWriteJob(absolute(request.chip), request.devices, half_periods(chip)).save(job)
        pcm_state.save(state, job / STATE)
        np.save(job / TARGETS, targets)
        np.save(job / VECTORS, x)
        sources = tile_sources(chip, place / "design")
    with watch(job, console, {DIAGONALS: len(targets)}, unit=""):
        results = runner.run_bench(
            name=f"program-{chip.name}-{request.simulator}",
            sources=sources,
            top="tile_harness",
            parameters={"UNITS": chip.link.units},
            test_module="caduceus.sim.run_pcm_write",
            simulator=request.simulator,
            build_dir=place / "build",
            run_dir=job,
            extra_env={VARIABLE: str(job)},
            plusargs=(*PLUSARGS, *pcm_write_job.PLUSARGS),
            time_limit=TIME_LIMIT_SECONDS,
        )
    if not results.ok:
        raise UserError(f"the simulation failed: {results.sentence}")
    return PcmWriteReport.load(job)


def _compared(
    request: Request, chip: Chip, job: Path, drawing: tuple, simulated: PcmWriteReport
) -> tuple[Scoreboard, PcmWritten]:
    """Compare the outcome with the golden model; its figures for every line."""
    state, targets, x = drawing
    golden = PcmWriter(chip, state)
    procedure = Procedure(request.devices)
    each = [golden.program(diagonal, wanted, procedure) for diagonal, wanted in enumerate(targets)]
    found = PcmWritten(**{n: np.stack([getattr(e, n) for e in each]) for n in vars(each[0])})
    score = Scoreboard()
    with np.load(job / RESULTS) as rtl:
        for name, values in vars(found).items():
            score.add(
                values,
                rtl[name],
                lambda i, n=name: f"{n} of diagonal {i[0]}, line {i[1]}",
            )
    score.add([golden.pulses], [simulated.pulses], lambda _: "number of pulses")
    score.add([golden.reads], [simulated.reads], lambda _: "number of verify reads")
    words = _final_words(job / FINAL / "state_0.hex")
    score.add(
        pcm_state.words(golden.state(), 0), words, lambda i: f"word {i[0]} of the array's state"
    )
    tile = Tile(chip, golden.state())
    for mode in ReadMode:
        products = tile.run(products_config(chip, mode), x, first_read=golden.reads)
        golden.reads += len(x)
        score.add(
            products, np.load(job / products_file(mode)),
            lambda i, m=mode: f"{m} product {i[0]}, column {i[1]}",
        )  # fmt: skip
    return score, found


def _final_words(file: Path) -> NDArray[np.int64]:
    """Words of the array's state at the end of the simulation.

    Raises:
        UserError: the file is missing or cannot be read.
    """
    try:
        text = file.read_text("ascii")
    except OSError as error:
        raise UserError(f"{file}: cannot read the array's final state: {error.strerror}") from None
    return np.array([int(word, 16) for word in text.split()])


def _statistics(found: PcmWritten, targets: NDArray[np.int64]) -> dict[str, object]:
    """Programming error and number of iterations, over the iterated devices.

    None stands for a statistic without data.
    """
    used = targets != 0
    error, iterations, within = found.error[used], found.iterations[used], found.within[used]

    def of(values: NDArray, figure: Callable[[NDArray], float]) -> float | None:
        return float(figure(values)) if len(values) else None

    return {
        "cells": targets.size,
        "iterated": int(used.sum()),
        "within_margin": of(within, np.mean),
        "error_counts": {
            "mean": of(error, np.mean),
            "sigma": of(error, np.std),
            "sigma_within_margin": of(error[within], np.std),
        },
        "iterations": {
            "mean": of(iterations, np.mean),
            **{str(p): of(iterations, partial(np.percentile, q=p)) for p in PERCENTILES},
            "histogram": np.bincount(iterations, minlength=pcm_write.ITERATIONS + 1).tolist(),
        },
    }


def run(request: Request, console: Console) -> bool:
    """Write, compare, report; returns whether every value was equal.

    Raises:
        UserError: an option is out of range or does not fit the chip, the build or the simulation
            failed, or the result cannot be written.
    """
    started = time.monotonic()
    can_be_written(request.output)
    chip = Chip.find(request.chip)
    if (request.diagonals or 1) > pcm_write.diagonals(chip):
        raise UserError(
            f"diagonals = {request.diagonals}: chip {chip.name} allows 1 to "
            f"{pcm_write.diagonals(chip)}"
        )
    version = runner.tool_version(request.simulator)
    drawing = drawn(chip, request)
    place = build_folder() / "pcm-write" / f"{chip.name}-{request.simulator}"
    with only_run(place, console):
        forget(request.output)
        simulated = _simulated(request, chip, place, console, drawing)
        with console.status("comparing with the golden model"):
            score, found = _compared(request, chip, place / "job", drawing, simulated)
    report = {
        "chip": chip.name,
        "simulator": request.simulator,
        "simulator_version": version,
        "devices": request.devices,
        "seed": request.seed,
        "noise": request.noise,
        "diagonals": len(drawing[1]),
        **_statistics(found, drawing[1]),
        "pulses": simulated.pulses,
        "verify_reads": simulated.reads,
        "cycles": simulated.busy_cycles,
        "time_ms": simulated.busy_cycles / chip.clocks.sync_mhz / 1e3,
        "cycles_with_host": simulated.cycles,
        "values_compared": score.compared,
        "mismatches": score.mismatches,
        "first_mismatch": score.first,
        "khz": simulated.cycles / simulated.simulate_seconds / 1e3,
        "simulate_seconds": simulated.simulate_seconds,
        "wall_seconds": time.monotonic() - started,
    }
    write_whole(request.output, json.dumps(report, indent=2) + "\n", "result")
    _show(report, request.output, console)
    return score.mismatches == 0


def _show(report: Mapping, path: Path, console: Console) -> None:
    error, iterations = report["error_counts"], report["iterations"]
    if report["mismatches"]:
        console.print(f"MISMATCH: {report['first_mismatch']}", style="bold red", soft_wrap=True)
    text = f"{report['iterated']} of {report['cells']} cells iterated"
    if report["iterated"]:
        text += (
            f", {report['within_margin']:.2%} within the margin; error {error['mean']:.2f} +- "
            f"{error['sigma']:.2f} counts; {iterations['mean']:.2f} iterations, 90 % within "
            f"{iterations['90']:.0f}"
        )
    console.print(
        f"{text}\n"
        f"{report['pulses']} pulses and {report['verify_reads']} verify reads, "
        f"{report['cycles']} cycles, {report['time_ms']:.2f} ms on the chip\n"
        f"{report['values_compared']} values compared, {report['mismatches']} mismatches, "
        f"{report['wall_seconds']:.0f} s\n{path}",
        highlight=False,
        soft_wrap=True,
    )
