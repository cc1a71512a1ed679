"""Speed and clock cycles of the whole chip in RTL, by the state of the working tree alone."""

from typing import Any

from benchmarks.plays import ALL, EIGHT, ONE, Measured, Task, full, measured
from benchmarks.state import State
from caduceus.spec.formats import ReadMode

LAYERS = (
    *(("hermes", ReadMode.ONE_PHASE, layer) for layer in (ONE, EIGHT, ALL)),
    ("hermes", ReadMode.FOUR_PHASE, ALL),
    *(("hermes_wide", ReadMode.ONE_PHASE, layer) for layer in (ONE, EIGHT, ALL)),
    ("hermes_wide", ReadMode.FOUR_PHASE, ALL),
)
NETWORK, IMAGES = "resnet9", 2
NETWORK_RUNS = [(chip, mode) for chip in ("hermes", "hermes_wide") for mode in ReadMode]
SMALL_RUNS = (("verilator", 20), ("icarus", 2))
"""Simulator and number of images: some seconds each."""


def layers(state: State, threads: int) -> list[dict[str, Any]]:
    """One row per chip, read mode and number of busy tiles.

    Raises:
        Failed: the state has no figures.
    """
    keys = ("tiles", "inputs", "values_compared", "mismatches", "latency_ns",
            "latency_with_input_ns", "mvm_rate_per_tile", "khz", "peak_mib")  # fmt: skip
    return [
        _row(task, measured(state, task), keys)
        for task in (full(chip, mode, layer, threads) for chip, mode, layer in LAYERS)
    ]


def networks(state: State, threads: int) -> list[dict[str, Any]]:
    """One row per chip and read mode: ResNet-9 from image to logits on the whole chip.

    Raises:
        Failed: as `layers`.
    """
    keys = ("tiles", "values_compared", "mismatches", "cycles_per_input", "inputs_per_second",
            "latency_with_input_ns", "bottleneck", "khz", "peak_mib")  # fmt: skip
    rows = []
    for chip, mode in NETWORK_RUNS:
        task = Task(chip, mode, IMAGES, network=NETWORK, threads=threads)
        found = measured(state, task)
        seconds = found.figures["simulate_seconds"] / IMAGES
        rows.append(_row(task, found, keys) | {"seconds_per_image": seconds})
    return rows


def small(state: State) -> list[dict[str, Any]]:
    """One row per simulator: a small network on the small chip.

    Raises:
        Failed: as `layers`.
    """
    keys = ("network", "simulator", "inputs", "mismatches", "khz", "simulate_seconds")
    rows = []
    for simulator, images in SMALL_RUNS:
        task = Task(
            "tiny", ReadMode.FOUR_PHASE, images, network="fashion_tiny", simulator=simulator
        )
        rows.append(_row(task, measured(state, task), keys))
    return rows


def _row(task: Task, found: Measured, keys: tuple[str, ...]) -> dict[str, Any]:
    figures = {key: found.figures[key] for key in keys}
    return {
        "chip": task.chip, "read_mode": str(task.read_mode), "threads": found.threads, **figures,
    }  # fmt: skip
