"""`caduceus sim`: a trained network through one tile in RTL, every activation against golden."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from caduceus import images as test_images
from caduceus.accuracy import TEST_SET, known
from caduceus.paths import BUILD, HARNESS
from caduceus.progress import watch
from compiler.one_tile import compile_network
from golden import network as golden_network
from hdl import pcm_array
from hdl.axi_tile import AxiTile
from hdl.verilog import write
from spec import chip as chip_description
from spec import network as network_description
from spec import pcm_state
from spec.chip import Chip
from spec.errors import UserError
from spec.files import write_whole
from spec.formats import ReadMode
from spec.network import Network, Weights
from spec.program import Program
from tb import runner
from tb.network_job import PLUSARGS, VARIABLE, Job, Outcome
from tb.results import Results
from tb.tile_host import half_periods

DEFAULT_NETWORK = {"hermes": "fashion_small", "tiny": "fashion_tiny"}
"""Network that each chip runs when none is named; the others need one by name."""
DEFAULT_IMAGES = 10


@dataclass(frozen=True)
class Request:
    """What the user asked for; see the command's options."""

    chip: str
    network: str | None
    simulator: str
    read_mode: ReadMode
    images: int
    waves: bool
    output: Path


def tile_sources(chip: Chip, folder: Path) -> list[Path]:
    """Verilog of the tile and its behavioural array, written to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        *pcm_array.write_sources(folder, chip),
        write(AxiTile(chip), "axi_tile", folder / "axi_tile.v"),
        *sorted(HARNESS.glob("*.sv")),
    ]


def accuracy(predictions: Sequence[int], labels: NDArray[np.uint8]) -> float:
    """Share of the predictions that are right."""
    return float(np.mean(np.asarray(predictions) == labels))


def network_of(chip: Chip, name: str | None) -> tuple[Network, dict[str, Weights]]:
    """The network called `name`, or the chip's own if None.

    Raises:
        UserError: there is none.
    """
    name = name or DEFAULT_NETWORK.get(chip.name)
    if name is None:
        raise UserError(
            f"chip {chip.name} has no network of its own: name one of "
            f"{', '.join(network_description.available())}"
        )
    return network_description.find(name)


def _prepare(job: Job, program: Program, chip: Chip, images: NDArray, folder: Path) -> list:
    """Write the job and its inputs; returns the PCM state of each layer."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job.save(folder)
    np.save(folder / "images.npy", images)
    states = []
    for layer in program.layers:
        state = pcm_state.ideal(chip, layer.codes[np.newaxis])
        pcm_state.save(state, folder / f"{layer.layer.name}.pcm")
        states.append(state)
    return states


def _simulate(request: Request, chip: Chip, place: Path, folder: Path) -> Results:
    return runner.run_bench(
        name=f"sim-{chip.name}-{request.simulator}",
        sources=tile_sources(chip, place / "design"),
        top="tile_harness",
        parameters={"UNITS": chip.link.units},
        test_module="tb.run_network",
        simulator=request.simulator,
        build_dir=place / "build",
        run_dir=folder,
        extra_env={VARIABLE: str(folder)},
        plusargs=PLUSARGS,
        waves=request.waves,
    )


def run(request: Request, console: Console) -> bool:
    """Build, run, compare, report; returns whether every activation was equal.

    Writes `request.output` (`result.json`).

    Raises:
        UserError: something named does not exist or does not fit, a build or simulation failed.
    """
    started = time.monotonic()
    chip = chip_description.find(request.chip)
    if request.simulator not in runner.SIMULATORS:
        raise UserError(
            f"unknown simulator '{request.simulator}': there are {', '.join(runner.SIMULATORS)}"
        )
    network, weights = network_of(chip, request.network)
    images, labels = test_images.first(request.images)
    program = compile_network(network, weights, chip, request.read_mode)
    request.output.unlink(missing_ok=True)

    place = BUILD / "sim" / f"{chip.name}-{request.simulator}"
    folder = place / "job"
    sync_half, mvm_half = half_periods(chip)
    name = request.network or DEFAULT_NETWORK[chip.name]
    job = Job(request.chip, name, request.read_mode, (sync_half, mvm_half))
    states = _prepare(job, program, chip, images, folder)
    console.print(
        f"{network.name} on chip {chip.name}, {request.simulator}, {request.read_mode} reads, "
        f"{len(images)} images",
        highlight=False,
    )
    vectors = {
        layer.layer.name: len(images) * prod(layer.geometry.output[:2]) for layer in program.layers
    }
    with watch(folder, console, vectors):
        results = _simulate(request, chip, place, folder)
    if not results.ok:
        raise UserError(f"the simulation failed: {results.report}")
    outcome = Outcome.load(folder)
    golden = known(network, weights, chip, request.read_mode)
    golden_images = TEST_SET
    if golden is None:
        predicted = golden_network.run(program, chip, images, states).argmax(axis=1)
        golden, golden_images = accuracy(predicted.tolist(), labels), len(images)
    report = {
        "network": network.name,
        "chip": chip.name,
        "simulator": request.simulator,
        "simulator_version": runner.tool_version(request.simulator),
        "read_mode": str(request.read_mode),
        "inputs": len(images),
        "values_compared": outcome.values_compared,
        "mismatches": outcome.mismatches,
        "first_mismatch": outcome.first_mismatch,
        "mvms": outcome.mvms,
        "cycles": outcome.cycles,
        "simulated_us": outcome.cycles["sync"] / chip.clocks.sync_mhz,
        "khz": outcome.cycles["sync"] / outcome.simulate_seconds / 1e3,
        "build_seconds": results.build_seconds,
        "simulate_seconds": outcome.simulate_seconds,
        "wall_seconds": time.monotonic() - started,
        "rtl_accuracy": accuracy(outcome.predictions, labels),
        "golden_accuracy": golden,
        "golden_accuracy_images": golden_images,
        "float_accuracy": network.float_accuracy,
    }
    write_whole(request.output, json.dumps(report, indent=2) + "\n", "result")
    _show(report, request.output, console)
    if results.waves:
        console.print(f"waves: {results.waves}", highlight=False)
    return outcome.mismatches == 0


def _show(report: dict, path: Path, console: Console) -> None:
    cycles = report["cycles"]
    if report["mismatches"]:
        console.print(f"MISMATCH: {report['first_mismatch']}", style="bold red", highlight=False)
    console.print(
        f"{report['inputs']} images, {report['mvms']} MVMs, {report['values_compared']} INT8 "
        f"activations compared, {report['mismatches']} mismatches\n"
        f"{cycles['sync']} sync and {cycles['mvm']} mvm cycles ({report['simulated_us']:.1f} us "
        f"on the chip) in {report['simulate_seconds']:.1f} s: {report['khz']:.1f} kHz\n"
        f"{path}",
        highlight=False,
    )
