"""A network for a run: its program, test inputs, and how well their outputs do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from caduceus import accuracy, bpc, text, typical
from caduceus import images as test_images
from caduceus.replicas import Replicas, chosen, refused
from pcm.settings import Devices
from sim.comparison import unit
from sim.compile_adapter import compile_any
from sim.inputs import count
from sim.result import Metric, Result
from sim.workload import Workload, workload
from spec import network as network_description
from spec import recurrent
from spec.chip import Chip
from spec.errors import UserError
from spec.formats import ReadMode
from spec.program import ChipProgram
from spec.program_codes import computing

MAIN_JOB = {
    "hermes": ("resnet9", "lstm_ptb"),
    "caduceus": ("resnet9", "lstm_ptb"),
    "tiny": ("resnet_tiny", "lstm_tiny"),
    "ulx3s": ("conv_32x16", "lstm_tiny"),
}
"""Networks of each chip, when none is named; the others need one by name."""
IMAGES, VECTORS, STEPS = 2, 10, 20
"""Inputs when their number is not given."""


@dataclass(frozen=True)
class NetworkRun:
    """What is to be run.

    Attributes:
        program: of the network.
        x: inputs, as `sim.inputs.shaped` takes them.
        sample: typical inputs, for which read noise is reckoned.
        metric: how well outputs do; None where there is nothing to recognise or to predict.
    """

    program: ChipProgram
    x: NDArray[np.int8]
    sample: NDArray[np.int8]
    metric: Callable[[Result], Metric | None]

    def announce(self, chip: Chip, devices: Devices, how: str, console: Console) -> None:
        """Say what is about to run; `how` names what runs it."""
        program, inputs = self.program, count(self.program, self.x)
        slices = f" and {len(program.slices)} of {chip.gdpu.slices} GDPU slices"
        console.print(
            f"{program.network} on chip {chip.name}, {len(computing(program))} of {chip.tiles} "
            f"tiles{slices if program.slices else ''}, {how}, {program.read_mode} reads, "
            f"{devices}, {inputs} {unit(program)}s",
            highlight=False,
            soft_wrap=True,
        )

    def measured(self, result: Result) -> Result:
        """The result with how well it does among its figures."""
        metric = self.metric(result)
        if metric is None:
            return result
        found = {"metric": metric}
        if metric.name == "accuracy":
            found["predictions"] = result.predictions.tolist()
        return result.with_figures(**found)


def show(result: Result, path: Path, console: Console) -> None:
    """Say what came, a mismatch in red."""
    for line in (*result.report().split("\n"), str(path)):
        style = "bold red" if line.startswith("MISMATCH") else None
        console.print(line, style=style, highlight=False, soft_wrap=True)


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


def prepared(
    name: str,
    chip: Chip,
    read_mode: ReadMode,
    inputs: int | None,
    devices: Devices,
    console: Console,
    replicas: Replicas = None,
) -> NetworkRun:
    """Compile network `name` for `chip`, and take `inputs` test inputs of it.

    Raises:
        UserError: there is no such network, it does not fit, or there are not so many inputs.
    """
    found = recurrent.find(name)
    if found is not None:
        if replicas:
            raise refused(found[0].name)
        x, following = text.inputs(*found, inputs or STEPS)
        program = compile_any(name, chip, read_mode, devices=devices)
        return NetworkRun(
            program, x[np.newaxis], typical.steps(*found),
            _bits(*found, chip, read_mode, devices, following),
        )  # fmt: skip
    network, weights = network_description.find(name)
    layer = workload(network, chip) is Workload.LAYER
    if replicas and layer:
        raise refused(network.name)
    x, labels = test_images.inputs(network, inputs or (VECTORS if layer else IMAGES))
    many: Mapping[str, int] = {}
    if not layer:
        many = chosen(replicas, network, weights, chip, read_mode, console)
    program = compile_any(name, chip, read_mode, many, devices)
    if layer:
        x, sample = x.reshape(len(x), 1, -1), typical.vectors(network)
    else:
        sample = typical.images(network)
    metric = _accuracy(network, weights, chip, read_mode, devices, labels)
    return NetworkRun(program, x, sample, metric)


def _accuracy(
    network: network_description.Network,
    weights: dict[str, network_description.Weights],
    chip: Chip,
    read_mode: ReadMode,
    devices: Devices,
    labels: NDArray[np.uint8] | None,
) -> Callable[[Result], Metric | None]:
    def metric(result: Result) -> Metric | None:
        if labels is None:
            return None
        return Metric(
            "accuracy",
            float(np.mean(result.predictions == labels)),
            accuracy.known(network, weights, chip, read_mode, devices),
            network.float_accuracy,
        )

    return metric


def _bits(
    network: recurrent.RecurrentNetwork,
    weights: recurrent.RecurrentWeights,
    chip: Chip,
    read_mode: ReadMode,
    devices: Devices,
    following: NDArray[np.uint8] | None,
) -> Callable[[Result], Metric | None]:
    def metric(result: Result) -> Metric | None:
        if following is None:
            return None
        bits = text.bits(result.outputs[0], network.dense.output_scale, following)
        return Metric(
            "bpc",
            float(np.mean(bits)),
            bpc.known(network, weights, chip, read_mode, devices),
            network.float_bpc,
        )

    return metric
