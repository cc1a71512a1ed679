"""A network for a run: its program, test inputs, and the metric of their outputs."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from caduceus.compiler.network import Replicas
from caduceus.data import Inputs, inputs
from caduceus.devices.settings import Devices
from caduceus.sim.comparison import counted, unit
from caduceus.sim.compile import compiled, notes
from caduceus.sim.deploy import in_words
from caduceus.sim.result import Metric, Result
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network
from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing
from caduceus.study import layer_report, measure, metrics, placement
from caduceus.study.opened import Options, opened


@dataclass(frozen=True)
class NetworkRun:
    """A program with its inputs.

    Attributes:
        network, chip, devices: what the program was made of and for.
        program: of the network.
        inputs: test inputs, and what is expected of their outputs.
    """

    network: Network
    chip: Chip
    devices: Devices
    program: Program
    inputs: Inputs

    @property
    def x(self) -> NDArray[np.int8]:
        """The inputs as the program takes them."""
        return self.program.vectors(self.inputs.x)

    def announce(self, how: str, console: Console) -> None:
        """Print what is about to run; `how` names the target."""
        program, chip = self.program, self.chip
        slices = f" and {len(program.slices)} of {chip.gdpu.slices} GDPU slices"
        console.print(
            f"{program.network} on chip {chip.name}, {len(computing(program))} of {chip.tiles} "
            f"tiles{slices if program.slices else ''}, {how}, {program.read_mode} reads, "
            f"{in_words(program, self.devices)}, {counted(self.inputs.count, unit(program))}"
            + (f" in {len(self.x)} sequences" if program.slices and len(self.x) > 1 else ""),
            highlight=False,
            soft_wrap=True,
        )
        if (made := self.network.graph.imported) is not None:
            console.print(
                f"imported from {made.file}: {made.calibration}", highlight=False, soft_wrap=True
            )
        placement.announce_notes(self._notes, console)

    @cached_property
    def _notes(self) -> list[str]:
        return notes(self.network, self.chip, self.program)

    def explained(self, result: Result, on: layer_report.OnDevices) -> Result:
        """A `measured` result with its layers, and its metric at every stage.

        Args:
            result: of the run.
            on: what it came from, or a golden model of the same program and devices.
        """
        result = layer_report.with_layers(result, self.network, on, self.x)
        if result.figures.metric is None:
            return result
        stages = layer_report.quality(
            self.network, on, self.devices, self.inputs, result.figures.metric.value
        )
        return result.with_figures(quality=stages)

    def measured(self, result: Result) -> Result:
        """The result with its metric, and what the weights lost, among its figures."""
        made = self.network.graph.imported
        result = result.with_figures(
            notes=self._notes, calibration=made.calibration if made else None
        )
        value = metrics.value(self.program, self.inputs, result.outputs)
        if value is None:
            return result
        name = metrics.metric_of(self.network)
        known = measure.known(self.network, self.chip, self.program.read_mode, self.devices)
        labels = self.inputs.labels if self.inputs.own is None else self.inputs.own.labels
        metric = Metric(
            name, value, known["value"] if known else None, metrics.float_metric(self.network),
            self.inputs.count if labels is None else labels.size,
        )  # fmt: skip
        found: dict[str, object] = {"metric": metric}
        if name == "accuracy" and self.inputs.own is not None:
            classes = metrics.predicted(self.program, result.outputs, labels)
            found["predictions"] = classes.tolist()
        elif name == "accuracy":
            found["predictions"] = result.predictions.tolist()
        return result.with_figures(**found)


def show(result: Result, path: Path, console: Console) -> None:
    """Print a result, a mismatch in red."""
    for line in (*result.report().split("\n"), str(path)):
        style = "bold red" if line.startswith("MISMATCH") else None
        console.print(line, style=style, highlight=False, soft_wrap=True)


def prepared(
    name: str,
    chip: Chip,
    read_mode: ReadMode,
    count: int | None,
    devices: Devices,
    console: Console,
    replicas: Replicas = None,
    sequences: int = 1,
    taken: Options | None = None,
) -> NetworkRun:
    """Compile network `name` for `chip` and `devices`, and take `count` test inputs of it.

    With several sequences, so many steps of each.

    Raises:
        UserError: the network is unknown or does not fit, its data set has fewer inputs, or it
            takes no sequences.
    """
    network = opened(name, chip, taken)
    given = inputs(network, count, sequences=sequences)
    program = compiled(network, chip, read_mode, devices=devices, replicas=replicas)
    if replicas == "auto":
        placement.announce_replicas(program, console)
    return NetworkRun(network, chip, devices, program, given)
