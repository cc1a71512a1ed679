"""`caduceus sim` for images on the whole chip: image in, logits out, every tile against golden."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from caduceus import images as test_images
from caduceus import typical
from caduceus.accuracy import TEST_SET, known
from compiler.images import compile_images
from sim import image_job, pipeline, runner
from sim.chip_sim import ChipRun, execute
from sim.deploy import DeviceRequest, deployed, ideal, within
from sim.image_job import ImageOutcome
from sim.paths import build_folder
from spec.chip import Chip
from spec.files import write_whole
from spec.formats import ReadMode
from spec.network import Network, Weights
from spec.program import ChipProgram
from spec.program_codes import computing

IMAGES = 2
"""Images when their number is not given."""


@dataclass(frozen=True)
class ImageRequest:
    """What to run.

    Attributes:
        description: name or path of the chip description, as the simulation finds it.
        images: how many.
        replicas: by layer, how many chains of tiles take its results in turn.
    """

    network: Network
    weights: Mapping[str, Weights]
    chip: Chip
    description: str
    simulator: str
    read_mode: ReadMode
    images: int
    waves: bool
    output: Path
    replicas: Mapping[str, int] = field(default_factory=dict)
    devices: DeviceRequest = field(default_factory=ideal)


def files_beside(output: Path) -> tuple[Path, Path]:
    """Trace and picture that a run leaves beside its result."""
    name = output.name.removesuffix(".json")
    return output.with_name(f"{name}.trace.json"), output.with_name(f"{name}.png")


def timing(chip: Chip, outcome: ImageOutcome) -> dict[str, float]:
    """What the RTL's clocks say.

    `latency_us`: from an image's first pixel, with the chip empty, to its last logit.
    `cycles_per_image`: `sync` clocks from image to image when they come back to back; those of the
    first image if there is no other. `images_per_second`: at the description's clock rates.
    """
    ends = outcome.ends
    latency = ends[0] - outcome.began
    period = median(np.diff(ends).tolist()) if len(ends) > 1 else latency
    return {
        "latency_us": latency / chip.clocks.sync_mhz,
        "cycles_per_image": period,
        "images_per_second": chip.clocks.sync_mhz * 1e6 / period,
    }


def bottleneck(program: ChipProgram, outcome: ImageOutcome, shares: Mapping[int, dict]) -> str:
    """The layer whose tiles' arrays and LDPUs have the least time to spare."""

    def load(number: int) -> float:
        return max(shares[number]["array"], shares[number]["LDPU"] - shares[number]["stalled"])

    slowest = max(computing(program), key=lambda tile: load(tile.tile))
    return slowest.block.layer


def run_network(request: ImageRequest, console: Console) -> bool:
    """Compile, build, run, compare, report; returns whether every value was equal.

    Besides the result it leaves `<output>.trace.json` and `<output>.png`, see `sim.pipeline`.

    Raises:
        UserError: the network does not fit the chip, there are not so many images, a build or
            simulation failed, or the result cannot be written.
    """
    started = time.monotonic()
    network, chip = request.network, request.chip
    x, labels = test_images.inputs(network, request.images)
    devices = request.devices
    program = compile_images(
        within(network, devices.settings), request.weights, chip, request.read_mode,
        request.replicas,
    )  # fmt: skip
    program, state = deployed(program, chip, devices, typical.images(network))
    tiles = computing(program)
    console.print(
        f"{network.name} on chip {chip.name}, {len(tiles)} of {chip.tiles} tiles, "
        f"{request.simulator}, {request.read_mode} reads, {devices}, {len(x)} images",
        highlight=False,
        soft_wrap=True,
    )
    place = build_folder() / "sim" / f"{chip.name}-chip-{request.simulator}"
    run = ChipRun(
        chip, request.description, program, x, request.simulator, place, request.waves, state=state
    )
    watched, replicas = image_job.busiest(program)
    pixels = len(x) * image_job.results(watched) * replicas
    steps = {"pixels": pixels, "images": len(x)}
    results = execute(run, console, "sim.run_images", steps, image_job.PLUSARGS)
    outcome = ImageOutcome.load(run.job)
    end_ps = outcome.start_ps + round(outcome.cycles["sync"] * 1e6 / chip.clocks.sync_mhz)
    activities = pipeline.read(program, run.job / image_job.RECORD, end_ps)
    shares = pipeline.shares(activities, outcome.start_ps, end_ps)
    trace, picture = files_beside(request.output)
    pipeline.write_trace(trace, program, activities, outcome.start_ps)
    pipeline.write_picture(picture, program, activities, outcome.start_ps, end_ps)
    report = {
        "network": network.name,
        "chip": chip.name,
        "simulator": request.simulator,
        "simulator_version": runner.tool_version(request.simulator),
        "read_mode": str(request.read_mode),
        "devices": str(devices),
        "inputs": len(x),
        "tiles": len(tiles),
        "replicas": dict(request.replicas),
        "values_compared": outcome.values_compared,
        "mismatches": outcome.mismatches,
        "first_mismatch": outcome.first_mismatch,
        "mvms": sum(outcome.mvms.values()),
        "cycles": outcome.cycles,
        "simulated_us": outcome.cycles["sync"] / chip.clocks.sync_mhz,
        **timing(chip, outcome),
        "bottleneck": bottleneck(program, outcome, shares),
        "shares": {
            pipeline.label(tile) + f" tile {tile.tile}": shares[tile.tile] for tile in tiles
        },
        "khz": outcome.cycles["sync"] / outcome.simulate_seconds / 1e3,
        "build_seconds": results.build_seconds,
        "simulate_seconds": outcome.simulate_seconds,
        "golden_images_per_second": len(x) / outcome.golden_seconds,
        "peak_mib": outcome.peak_mib,
        "wall_seconds": time.monotonic() - started,
        "trace": str(trace),
        "picture": str(picture),
        **_accuracy(request, outcome, labels),
    }
    write_whole(request.output, json.dumps(report, indent=2) + "\n", "result")
    _show(report, request.output, console)
    if results.waves:
        console.print(f"waves: {results.waves}", highlight=False, soft_wrap=True)
    return outcome.mismatches == 0


def _accuracy(
    request: ImageRequest, outcome: ImageOutcome, labels: NDArray[np.uint8] | None
) -> dict[str, object]:
    """How many images were recognised, where there is something to recognise."""
    if labels is None:
        return {}
    network = request.network
    predicted = [int(np.argmax(values)) for values in outcome.outputs]
    golden = known(network, dict(request.weights), request.chip, request.read_mode, request.devices)
    found = {
        "predictions": predicted,
        "labels": labels.tolist(),
        "rtl_accuracy": float(np.mean(predicted == labels)),
        "float_accuracy": network.float_accuracy,
    }
    if golden is not None:
        found |= {"golden_accuracy": golden, "golden_accuracy_images": TEST_SET}
    return found


def _show(report: dict, path: Path, console: Console) -> None:
    if report["mismatches"]:
        console.print(f"MISMATCH: {report['first_mismatch']}", style="bold red", soft_wrap=True)
    answers = ""
    if "predictions" in report:
        pairs = zip(report["predictions"], report["labels"], strict=True)
        right = sum(predicted == label for predicted, label in pairs)
        answers = f", {right} of {report['inputs']} recognised"
    console.print(
        f"{report['inputs']} images, {report['mvms']} MVMs, {report['values_compared']} values of "
        f"all tiles and of the chip compared, {report['mismatches']} mismatches{answers}\n"
        f"{report['cycles_per_image']:.0f} cycles an image, "
        f"{report['images_per_second']:.0f} images/s on the chip; latency of the first "
        f"{report['latency_us']:.1f} us; slowest layer {report['bottleneck']}\n"
        f"{report['cycles']['sync']} sync and {report['cycles']['mvm']} mvm cycles in "
        f"{report['simulate_seconds']:.1f} s: {report['khz']:.1f} kHz\n"
        f"{report['trace']} (open in ui.perfetto.dev), {report['picture']}\n"
        f"{path}",
        highlight=False,
        soft_wrap=True,
    )
