"""Speed of the whole chip in RTL: its build, and its run with few and with all tiles busy."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from caduceus import images as test_images
from compiler.whole_chip import compile_layer
from sim.chip_job import ChipOutcome
from sim.chip_sim import ChipRun, execute, sources, timing
from sim.paths import build_folder
from spec import chip as chip_description
from spec.errors import UserError
from spec.formats import ReadMode
from spec.network import Weights
from spec.program_codes import computing
from train.random_layer import random_layer

ONE, EIGHT, ALL = (1, 252, 224), (3, 224, 224), (3, 224, 2048)
"""Kernel, channels and outputs of layers that fill 1, 8 and 64 tiles of 256x256."""
RUNS = (
    *(("hermes", ReadMode.ONE_PHASE, layer) for layer in (ONE, EIGHT, ALL)),
    ("hermes", ReadMode.FOUR_PHASE, ALL),
    *(("caduceus", ReadMode.ONE_PHASE, layer) for layer in (ONE, EIGHT, ALL)),
    ("caduceus", ReadMode.FOUR_PHASE, ALL),
)
"""A chip's first run builds it."""
CLOCKS = 20_000
"""`sync` cycles of a run, about."""
CLOCKS_PER_VECTOR = {
    ("hermes", ReadMode.ONE_PHASE): 260,
    ("hermes", ReadMode.FOUR_PHASE): 260,
    ("caduceus", ReadMode.ONE_PHASE): 54,
    ("caduceus", ReadMode.FOUR_PHASE): 208,
}
"""Back to back."""


def run(console: Console) -> list[dict]:
    """One row a chip, read mode and number of busy tiles.

    `verilog_seconds` is the time to generate the chip's Verilog, `build_seconds` that of Verilator
    and the C++ compiler, both from nothing.

    Raises:
        UserError: RTL and golden model differ, or a build or simulation failed.
    """
    rows: list[dict] = []
    for name, mode, (size, channels, outputs) in RUNS:
        chip = chip_description.find(name)
        place = build_folder() / "bench" / f"{name}-chip"
        earlier = next((row for row in rows if row["chip"] == name), None)
        if earlier is None:
            shutil.rmtree(place, ignore_errors=True)
        network, arrays = random_layer("bench", size, channels, outputs, gmax=320)
        weights = {"conv": Weights(arrays["conv.weight"].astype("f4"), arrays["conv.bias"])}
        program = compile_layer(network, weights, chip, mode)
        x, _ = test_images.inputs(network, CLOCKS // CLOCKS_PER_VECTOR[name, mode])
        x = x.reshape(len(x), -1)
        job = ChipRun(chip, name, program, x, "verilator", place, record=False)
        began = time.monotonic()
        sources(job)
        verilog_seconds = time.monotonic() - began
        with _without_ccache():
            results = execute(job, console, "sim.run_chip", {job.program.network: len(job.x)})
            outcome = ChipOutcome.load(job.job)
        if outcome.mismatches:
            raise UserError(f"chip {name}: RTL and golden differ: {outcome.first_mismatch}")
        figures = timing(chip, outcome)
        rows.append(
            {
                "chip": name,
                "read_mode": str(mode),
                "busy_tiles": len(computing(program)),
                "vectors": len(x),
                "values_compared": outcome.values_compared,
                "mismatches": outcome.mismatches,
                "latency_ns": figures["latency_ns"],
                "latency_with_input_ns": figures["latency_with_input_ns"],
                "mvm_rate_per_tile": figures["mvm_rate_per_tile"],
                "khz": outcome.cycles["sync"] / outcome.simulate_seconds / 1e3,
                "simulate_seconds": outcome.simulate_seconds,
                "peak_mib": outcome.peak_mib,
                "verilog_seconds": earlier["verilog_seconds"] if earlier else verilog_seconds,
                "build_seconds": earlier["build_seconds"] if earlier else results.build_seconds,
            }
        )
    return rows


@contextmanager
def _without_ccache() -> Iterator[None]:
    """Have the compiler work, as on a machine that has never built the chip."""
    name = "CCACHE_DISABLE"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
