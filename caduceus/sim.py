"""`caduceus sim`: networks in RTL against golden; here those that go through one tile."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from caduceus import image_sim, sequence_sim
from caduceus import images as test_images
from caduceus.accuracy import TEST_SET, known
from caduceus.image_sim import ImageRequest
from caduceus.replicas import Replicas, chosen, refused
from caduceus.vector_sim import run_network
from compiler.one_tile import compile_network
from golden import network as golden_network
from sim import runner
from sim.deploy import DeviceRequest, deployed_layers, ideal, within
from sim.paths import absolute, build_folder
from sim.progress import watch
from sim.results import Results
from sim.run_files import can_be_written, forget, only_run
from sim.tile_design import tile_sources
from sim.tile_host import half_periods
from sim.workload import Workload, workload
from spec import chip as chip_description
from spec import network as network_description
from spec import pcm_state, recurrent
from spec.chip import Chip
from spec.errors import UserError
from spec.files import write_whole
from spec.formats import ReadMode
from spec.network import Network, Weights
from spec.pcm_state import PcmState
from spec.program import Program
from tb.network_job import PLUSARGS, VARIABLE, Job, Outcome, save_constants

MAIN_JOB = {
    "hermes": ("resnet9", "lstm_ptb"),
    "caduceus": ("resnet9", "lstm_ptb"),
    "tiny": ("resnet_tiny", "lstm_tiny"),
    "ulx3s": ("conv_32x16", "lstm_tiny"),
}
"""Networks of each chip, when none is named; the others need one by name."""
IMAGES, STEPS = 10, 20
"""Images through one tile or input vectors, and characters, when their number is not given."""


@dataclass(frozen=True)
class Request:
    """What the user asked for; see the command's options. None is what is usual."""

    chip: str
    network: str | None
    simulator: str
    read_mode: ReadMode
    images: int | None
    waves: bool
    output: Path
    replicas: Replicas = None
    devices: DeviceRequest = field(default_factory=ideal)


def accuracy(predictions: Sequence[int], labels: NDArray[np.uint8]) -> float:
    """Share of the predictions that are right."""
    return float(np.mean(np.asarray(predictions) == labels))


def networks_of(chip: Chip, name: str | None) -> tuple[str, ...]:
    """The networks that are meant by `name`: it, or the chip's own if None.

    Raises:
        UserError: there is none.
    """
    names = (name,) if name else MAIN_JOB.get(chip.name)
    if names is None:
        raise UserError(
            f"chip {chip.name} has no network of its own: name one of "
            f"{', '.join(network_description.available())}"
        )
    return names


@dataclass(frozen=True)
class Prepared:
    """A request with all that it names loaded, and its job's folder written.

    Attributes:
        place: folder of the build; `job` in it is the job's.
        states: PCM state of each layer, from which the golden model works. The RTL reads the
            images that `prepare` made of them, `job/states/state_<layer number>.hex`.
    """

    chip: Chip
    network: Network
    weights: dict[str, Weights]
    program: Program
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8] | None
    states: list[PcmState]
    place: Path

    @property
    def job(self) -> Path:
        """Working folder of the simulation."""
        return self.place / "job"


def prepare(request: Request) -> Prepared:
    """Load what `request` names and write the job's files.

    Raises:
        UserError: something named does not exist, is bad, or does not fit.
    """
    chip = chip_description.find(request.chip)
    if request.simulator not in runner.SIMULATORS:
        raise UserError(
            f"unknown simulator '{request.simulator}': there are {', '.join(runner.SIMULATORS)}"
        )
    network, weights = network_description.find(request.network)
    images, labels = test_images.pictures(network, request.images or IMAGES)
    asked = within(network, request.devices.settings)
    program = compile_network(asked, weights, chip, request.read_mode)
    program, states = deployed_layers(program, chip, request.devices)
    place = build_folder() / "sim" / f"{chip.name}-{request.simulator}"
    prepared = Prepared(chip, network, weights, program, images, labels, states, place)
    shutil.rmtree(prepared.job, ignore_errors=True)
    (prepared.job / "states").mkdir(parents=True)
    Job(
        # The simulation runs in another folder.
        chip=absolute(request.chip),
        network=absolute(request.network),
        read_mode=request.read_mode,
        clock_half_periods_ps=half_periods(chip),
    ).save(prepared.job)
    np.save(prepared.job / "images.npy", images)
    save_constants(program, prepared.job)
    for index, (layer, state) in enumerate(zip(program.layers, states, strict=True)):
        pcm_state.save(state, prepared.job / f"{layer.layer.name}.pcm")
        pcm_state.write_image(state, 0, prepared.job / "states" / f"state_{index}.hex")
    return prepared


def simulate(request: Request, prepared: Prepared, console: Console) -> tuple[Results, Outcome]:
    """Build the tile if need be, and run the job.

    Raises:
        UserError: the build or the simulation failed.
    """
    chip, images = prepared.chip, prepared.images
    vectors = {
        layer.layer.name: len(images) * prod(layer.geometry.output[:2])
        for layer in prepared.program.layers
    }
    with watch(prepared.job, console, vectors):
        results = runner.run_bench(
            name=f"sim-{chip.name}-{request.simulator}",
            sources=tile_sources(chip, prepared.place / "design"),
            top="tile_harness",
            parameters={"UNITS": chip.link.units},
            test_module="tb.run_network",
            simulator=request.simulator,
            build_dir=prepared.place / "build",
            run_dir=prepared.job,
            extra_env={VARIABLE: str(prepared.job)},
            plusargs=PLUSARGS,
            waves=request.waves,
        )
    if not results.ok:
        raise UserError(f"the simulation failed: {results.report}")
    return results, Outcome.load(prepared.job)


def run(request: Request, console: Console) -> bool:
    """Build, run, compare, report; returns whether every value was equal.

    Writes `request.output` (`result.json`). Where several networks run, each has a result of its
    own beside it, `<output>-<network>.json`, and `output` has all of them.

    Raises:
        UserError: something named does not exist or does not fit, a build or simulation failed,
            or the result cannot be written.
    """
    started = time.monotonic()
    can_be_written(request.output)
    chip = chip_description.find(request.chip)
    runner.tool_version(request.simulator)
    names = networks_of(chip, request.network)
    if request.replicas and len(names) > 1:
        raise UserError(f"replicas without a network: name one, of {', '.join(names)}")
    with only_run(build_folder() / "sim", console):
        if len(names) == 1:
            return _run(replace(request, network=names[0]), chip, console, started)
        return _run_all(request, names, chip, console)


def _run_all(request: Request, names: Sequence[str], chip: Chip, console: Console) -> bool:
    """Run several networks; a result for each, and one for all."""
    outputs = {
        name: request.output.with_name(f"{request.output.stem}-{name}.json") for name in names
    }
    # If one of them fails, those after it have none.
    for output in (request.output, *outputs.values()):
        _forget(output)
    found, equal = {}, True
    for name, output in outputs.items():
        one = replace(request, network=name, output=output)
        equal &= _run(one, chip, console, time.monotonic())
        found[name] = json.loads(output.read_text(encoding="utf-8"))
    totals = {
        key: sum(report[key] for report in found.values())
        for key in ("values_compared", "mismatches", "wall_seconds")
    }
    write_whole(request.output, json.dumps(totals | {"networks": found}, indent=2) + "\n", "result")
    console.print(
        f"{totals['values_compared']} values compared in all, {totals['mismatches']} mismatches, "
        f"{totals['wall_seconds']:.0f} s\n{request.output}",
        highlight=False,
        soft_wrap=True,
    )
    return equal


def _forget(output: Path) -> None:
    """Remove an old result, trace and picture: they must not pass for this run's if it fails.

    Raises:
        UserError: as `sim.run_files.forget`.
    """
    forget(output, *image_sim.files_beside(output))


def _run(request: Request, chip: Chip, console: Console, started: float) -> bool:
    """The run itself, with the folders to itself."""
    what = chip, absolute(request.chip), request.simulator, request.read_mode
    how = request.waves, request.output, console
    found = recurrent.find(request.network)
    if found is not None:
        if request.replicas:
            raise refused(found[0].name)
        _forget(request.output)
        return sequence_sim.run_network(
            *found, *what, request.images or STEPS, *how, request.devices
        )
    network, weights = network_description.find(request.network)
    kind = workload(network, chip)
    if request.replicas and kind is not Workload.IMAGES:
        raise refused(network.name)
    if kind is Workload.LAYER:
        _forget(request.output)
        return run_network(network, weights, *what, request.images or IMAGES, *how, request.devices)
    if kind is Workload.IMAGES:
        _forget(request.output)
        images = request.images or image_sim.IMAGES
        replicas = chosen(request.replicas, network, weights, chip, request.read_mode, console)
        return image_sim.run_network(
            ImageRequest(
                network, weights, *what, images, request.waves, request.output, replicas,
                request.devices,
            ),
            console,
        )  # fmt: skip
    prepared = prepare(request)
    _forget(request.output)
    chip, network, images = prepared.chip, prepared.network, prepared.images
    console.print(
        f"{network.name} on chip {chip.name}, {request.simulator}, {request.read_mode} reads, "
        f"{request.devices}, {len(images)} images",
        highlight=False,
        soft_wrap=True,
    )
    results, outcome = simulate(request, prepared, console)
    report = {
        "network": network.name,
        "chip": chip.name,
        "simulator": request.simulator,
        "simulator_version": runner.tool_version(request.simulator),
        "read_mode": str(request.read_mode),
        "devices": str(request.devices),
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
        **_accuracies(prepared, outcome, request),
    }
    write_whole(request.output, json.dumps(report, indent=2) + "\n", "result")
    _show(report, request.output, console)
    if results.waves:
        console.print(f"waves: {results.waves}", highlight=False, soft_wrap=True)
    return outcome.mismatches == 0


def _accuracies(prepared: Prepared, outcome: Outcome, request: Request) -> dict[str, object]:
    """How many images were recognised, where there is something to recognise."""
    network, chip, labels = prepared.network, prepared.chip, prepared.labels
    if labels is None:
        return {}
    golden = known(network, prepared.weights, chip, request.read_mode, request.devices)
    golden_images = TEST_SET
    if golden is None:
        outputs = golden_network.run(prepared.program, chip, prepared.images, prepared.states)
        golden, golden_images = accuracy(outputs.argmax(axis=1).tolist(), labels), len(labels)
    return {
        "rtl_accuracy": accuracy(outcome.predictions, labels),
        "golden_accuracy": golden,
        "golden_accuracy_images": golden_images,
        "float_accuracy": network.float_accuracy,
    }


def _show(report: dict, path: Path, console: Console) -> None:
    cycles = report["cycles"]
    if report["mismatches"]:
        console.print(f"MISMATCH: {report['first_mismatch']}", style="bold red", soft_wrap=True)
    console.print(
        f"{report['inputs']} images, {report['mvms']} MVMs, {report['values_compared']} INT8 "
        f"activations compared, {report['mismatches']} mismatches\n"
        f"{cycles['sync']} sync and {cycles['mvm']} mvm cycles ({report['simulated_us']:.1f} us "
        f"on the chip) in {report['simulate_seconds']:.1f} s: {report['khz']:.1f} kHz\n"
        f"{path}",
        highlight=False,
        soft_wrap=True,
    )
