"""Speed of the whole chip in RTL: its build, and its run with few and with all tiles busy."""

import shutil

from rich.console import Console

from caduceus.chip_sim import ChipRun, execute, random_inputs, timing
from caduceus.paths import BUILD
from compiler.whole_chip import compile_layer
from spec import chip as chip_description
from spec.errors import UserError
from spec.formats import ReadMode
from spec.network import Weights
from spec.program_codes import computing
from train.random_layer import random_layer

CHIPS = ("hermes", "caduceus")
LAYERS = ((1, 252, 224), (3, 224, 224), (3, 224, 2048))
"""Kernel, channels and outputs of layers that fill 1, 8 and 64 tiles of 256x256."""
CLOCKS = 8_000
"""`sync` cycles of a run, about."""
CLOCKS_PER_VECTOR = {"hermes": 260, "caduceus": 54}
"""Back to back, 1-phase."""


def run(console: Console) -> list[dict]:
    """One row a chip and number of busy tiles.

    Raises:
        UserError: RTL and golden model differ, or a build or simulation failed.
    """
    rows = []
    for name in CHIPS:
        chip = chip_description.find(name)
        place = BUILD / "bench" / f"{name}-chip"
        shutil.rmtree(place, ignore_errors=True)  # so that the build is measured
        build_seconds = None
        for size, channels, outputs in LAYERS:
            network, arrays = random_layer("bench", size, channels, outputs, gmax=320)
            weights = {"conv": Weights(arrays["conv.weight"].astype("f4"), arrays["conv.bias"])}
            program = compile_layer(network, weights, chip, ReadMode.ONE_PHASE)
            x = random_inputs(network, CLOCKS // CLOCKS_PER_VECTOR[name])
            results, outcome = execute(ChipRun(chip, name, program, x, "verilator", place), console)
            if outcome.mismatches:
                raise UserError(f"chip {name}: RTL and golden differ: {outcome.first_mismatch}")
            build_seconds = build_seconds or results.build_seconds
            figures = timing(chip, outcome)
            rows.append(
                {
                    "chip": name,
                    "busy_tiles": len(computing(program)),
                    "vectors": len(x),
                    "values_compared": outcome.values_compared,
                    "mismatches": outcome.mismatches,
                    "latency_ns": figures["latency_ns"],
                    "mvm_rate_per_tile": figures["mvm_rate_per_tile"],
                    "khz": outcome.cycles["sync"] / outcome.simulate_seconds / 1e3,
                    "build_seconds": build_seconds,
                    "simulate_seconds": outcome.simulate_seconds,
                }
            )
    return rows
