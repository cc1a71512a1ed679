"""Speed of the whole chip in RTL: its build, and its run with few and with all tiles busy."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from caduceus.compiler.network import compile_network
from caduceus.data import inputs
from caduceus.sim.kept_design import kept_design
from caduceus.sim.simulation import Simulation, place_of
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network, Weights
from caduceus.spec.shipped import build_folder
from train.random_layer import random_layer

ONE, EIGHT, ALL = (1, 252, 224), (3, 224, 224), (3, 224, 2048)
"""Kernel, channels and outputs of layers that fill 1, 8 and 64 tiles of 256x256."""
RUNS = (
    *(("hermes", ReadMode.ONE_PHASE, layer) for layer in (ONE, EIGHT, ALL)),
    ("hermes", ReadMode.FOUR_PHASE, ALL),
    *(("hermes_wide", ReadMode.ONE_PHASE, layer) for layer in (ONE, EIGHT, ALL)),
    ("hermes_wide", ReadMode.FOUR_PHASE, ALL),
)
"""A chip's first run builds it."""
CLOCKS = 20_000
"""`sync` cycles of a run, about."""
CLOCKS_PER_VECTOR = {
    ("hermes", ReadMode.ONE_PHASE): 260,
    ("hermes", ReadMode.FOUR_PHASE): 260,
    ("hermes_wide", ReadMode.ONE_PHASE): 54,
    ("hermes_wide", ReadMode.FOUR_PHASE): 208,
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
        chip = Chip.find(name)
        place = build_folder() / "speed" / f"{name}-chip"
        earlier = next((row for row in rows if row["chip"] == name), None)
        if earlier is None:
            shutil.rmtree(place, ignore_errors=True)
        graph, arrays = random_layer("bench", size, channels, outputs, gmax=320)
        weights = {"conv": Weights(arrays["conv.weight"].astype("f4"), arrays["conv.bias"])}
        network = Network(graph, weights)
        program = compile_network(network, chip, mode)
        x = inputs(network, CLOCKS // CLOCKS_PER_VECTOR[name, mode]).x
        began = time.monotonic()
        design = place_of(chip, "verilator", place) / "design"
        kept_design(design, chip, "verilator", record=True, build=place)
        verilog_seconds = time.monotonic() - began
        with _without_ccache():
            simulation = Simulation(program, build=place, chip=chip, console=console)
            found = simulation.run(x.reshape(len(x), 1, -1)).figures
        if found.mismatches:
            raise UserError(f"chip {name}: RTL and golden differ: {found.first_mismatch}")
        rows.append(
            {
                "chip": name,
                "read_mode": str(mode),
                "busy_tiles": found.tiles,
                "vectors": found.inputs,
                "values_compared": found.values_compared,
                "mismatches": found.mismatches,
                "latency_ns": found.latency_ns,
                "latency_with_input_ns": found.latency_with_input_ns,
                "mvm_rate_per_tile": found.mvm_rate_per_tile,
                "khz": found.khz,
                "simulate_seconds": found.simulate_seconds,
                "peak_mib": found.peak_mib,
                "verilog_seconds": earlier["verilog_seconds"] if earlier else verilog_seconds,
                "build_seconds": earlier["build_seconds"] if earlier else found.build_seconds,
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
