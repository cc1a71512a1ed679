"""`caduceus import`: a model, or other weights, to a network's description and weights."""

import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from caduceus.data import inputs
from caduceus.data.inputs import unit_of
from caduceus.devices.settings import Devices
from caduceus.importers.load import from_onnx
from caduceus.importers.replacements import with_weights
from caduceus.sim.compile import compiled
from caduceus.sim.golden import Golden
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Imported
from caduceus.spec.network import Network
from caduceus.spec.own_data import OwnData
from caduceus.spec.shipped import build_folder
from caduceus.study.network_run import NetworkRun, show
from caduceus.study.opened import Options

INPUTS = 256
"""Images or vectors that the report is of, of the first sequences as many."""


@dataclass(frozen=True)
class Request:
    """Values of the command's options; None for the default."""

    model: str
    chip: str
    name: str | None
    weights: Path | None
    output: Path | None
    taken: Options


def run(request: Request, console: Console) -> None:
    """Import, write the network's folder, run it on golden, and report layer by layer.

    Writes the network's description, weights and data, and the report, a JSON file. A network that
    the chip cannot hold is written as well: the report says what does not fit.

    Raises:
        UserError: the model is bad or has something that is not supported, or a file cannot be
            written.
    """
    started = time.monotonic()
    chip = Chip.find(request.chip)
    network = _network(request, chip)
    seconds = time.monotonic() - started
    folder = request.output or build_folder() / "networks" / network.name
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file: expected a folder")
    network.save(folder)
    for line in described(network, seconds):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    _report(network, chip, folder, console)
    console.print(str(folder / "network.yaml"), highlight=False, soft_wrap=True)


def _network(request: Request, chip: Chip) -> Network:
    taken = request.taken
    data = None if taken.data is None else OwnData.load(taken.data)
    if request.model.endswith(".onnx"):
        network = from_onnx(
            request.model, taken.calibrate,
            chip=chip, data=data, weights=request.weights, name=request.name,
        )  # fmt: skip
    elif request.weights is None:
        raise UserError(
            f"{request.model}: expected an ONNX model (.onnx), or a network and --weights"
        )
    else:
        network = with_weights(Network.find(request.model), request.weights)
        network = network if data is None else network.with_data(data)
    return network.per_core() if taken.per_core else network


def described(network: Network, seconds: float) -> list[str]:
    """Where a network comes from, in sentences."""
    made: Imported | None = network.graph.imported
    lines = [f"{network.name}: {len(network.graph.nodes)} layers, imported in {seconds:.1f} s"]
    if made is None:
        return lines
    return [
        *lines,
        f"{made.file}: opset {made.opset}, by {made.exporter}",
        f"calibration: {made.calibration}",
        f"float form against onnxruntime: largest difference {made.difference:.1e} of the output",
        *(f"note: {note}" for note in made.notes),
        *(
            f"layer {node.name}: {node.origin.lowered}"
            for node in network.graph.nodes
            if node.origin and node.origin.lowered
        ),
    ]


def _report(network: Network, chip: Chip, folder: Path, console: Console) -> None:
    """Run the network on golden and show what each layer costs and loses."""
    try:
        program = compiled(network, chip, ReadMode.FOUR_PHASE)
    except UserError as error:
        console.print(f"note: it does not fit: {error}", highlight=False, soft_wrap=True)
        return
    data = network.data
    most = INPUTS if data is None else min(INPUTS, len(data.inputs))
    sequences = unit_of(network) == "steps"
    given = inputs(network, None if sequences else most, sequences=most if sequences else 1)
    work = NetworkRun(network, chip, Devices.ideal(), program, given)
    golden = Golden(program, chip=chip)
    result = work.explained(work.measured(golden.run(work.x)), golden)
    show(result.save(folder / "import.json"), folder / "import.json", console)
