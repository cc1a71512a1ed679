"""An ONNX file to a network: read, rewrite, calibrate, and compare with the file's own results."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caduceus.importers.calibrate import Calibrated, calibrated
from caduceus.importers.describe import Described, described
from caduceus.importers.float_metric import measured
from caduceus.importers.original import Original
from caduceus.importers.reader import Read, Reader
from caduceus.importers.recurrent import LstmReader, ReadLstm
from caduceus.importers.reference import FloatReference, pooled
from caduceus.importers.replacements import replacements
from caduceus.importers.rewrite import rewritten
from caduceus.importers.sequences import (
    calibrated_sequence,
    described_sequence,
    sequence_input,
)
from caduceus.importers.simplify import STEPS, Simplified, simplified
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError, shown
from caduceus.spec.files import present
from caduceus.spec.graph import NAME_MAX, Imported
from caduceus.spec.network import Network
from caduceus.spec.own_data import OwnData

RANDOM_INPUTS, STEPS_RANDOM = 16, 32
CALIBRATED = 256
"""Of a file's inputs, the first of which scales are chosen with."""
_SEED = 2023
COMPARED = 4
"""Inputs for which the network's float form is compared with the model."""
DIFFERENCE_MAX = 1e-3
"""Largest difference of their outputs, as a share of the largest output: sums in binary32 in
another order differ by less."""


def from_onnx(
    file: Path | str,
    calibration: ArrayLike | str | None = None,
    *,
    chip: Chip | None = None,
    data: OwnData | None = None,
    weights: Path | str | None = None,
    name: str | None = None,
) -> Network:
    """A network from an ONNX model.

    Args:
        file: `.onnx`, float or quantized (QDQ), with its external data beside it.
        calibration: inputs [n, ...] as the model takes them, before any normalization; or the path
            of a file of them, or `random` for numbers of a normal distribution. If None, the first
            of `data`, or else random ones.
        chip: whose converters the codes are chosen for; `hermes` if None.
        data: inputs, and what is expected of them; if None, those of the file `X.npz` beside
            `X.onnx`, or else those of the calibration, random ones as well.
        weights: `.safetensors` whose tensors take the place of initializers of the same names.
        name: of the network; made of the file's name if None.

    Raises:
        UserError: the file is no model, or has something that is not supported; the sentence names
            the node, its operator and attribute. Or inputs are not the model's.
    """
    file = Path(file)
    if data is None and present(beside := file.with_suffix(".npz")):
        data = OwnData.load(beside)
    with replacements(weights) as arrays:
        found = simplified(file, arrays)
    return network_of(found, calibration, chip=chip, data=data, name=name)


def network_of(
    found: Simplified,
    calibration: ArrayLike | str | None = None,
    *,
    chip: Chip | None = None,
    data: OwnData | None = None,
    name: str | None = None,
) -> Network:
    """As `from_onnx`, of a model that is read already; `data` is never that beside the file.

    Raises:
        UserError: as `from_onnx`.
    """
    file = found.file
    chip = chip or Chip.find("hermes")
    name = name or network_name(file)
    recurrent = any(node.op_type == "LSTM" for node in found.model.graph.node)
    make = _recurrent if recurrent else _feedforward
    given, of = _calibration(calibration, data)
    made = make(found, given, chip, name)
    network = made.result.network
    imported = Imported(
        file=file.name,
        opset=found.opset,
        exporter=found.exporter,
        calibration=f"{made.result.method}, on {made.inputs}{of}",
        difference=made.difference,
        notes=made.notes,
    )
    network = replace(network, graph=network.graph.model_copy(update={"imported": imported}))
    return measured(network.with_data(data or OwnData(made.given)), made.real)


def _calibration(given: ArrayLike | str | None, data: OwnData | None) -> tuple[Any, str]:
    """Inputs to calibrate with, None for random ones, and where they come from."""
    if isinstance(given, str) and given == "random":
        return None, ""
    if isinstance(given, str | Path):
        return OwnData.load(given).inputs[:CALIBRATED], f" of {Path(given).name}"
    if given is None and data is not None:
        return data.inputs[:CALIBRATED], " of the data"
    return given, ""


@dataclass(frozen=True)
class _Made:
    """What both kinds of models give.

    Attributes:
        result: the network.
        inputs: that it was calibrated with, in words.
        given: these, as the model takes them.
        real: from inputs as the model takes them to the network's in real units.
        difference, notes: as in `Imported`.
    """

    result: Calibrated
    inputs: str
    given: NDArray
    real: Callable[[NDArray], NDArray[np.float32]]
    difference: float
    notes: tuple[str, ...] = ()


def _feedforward(found: Simplified, given: ArrayLike | None, chip: Chip, name: str) -> _Made:
    read = Reader(found).read()
    rewritten(read.graph)
    made = described(read, name)
    original = Original(found, [read.chip_output])
    x, words = _inputs(original, given, found)
    real = chip_input(read, made, x)
    outputs = FloatReference(made.network).run(real[:COMPARED])
    got = outputs[pooled(made.network.graph.nodes[-1].name)].transpose(0, 3, 1, 2)
    got = got.reshape(len(got), -1)[:, read.output.index.reshape(-1)]
    difference = _difference(original, x[:COMPARED], got)
    return _Made(
        calibrated(made, real, chip), words, x,
        partial(chip_input, read, made), difference, tuple(read.notes),
    )  # fmt: skip


def _recurrent(found: Simplified, given: ArrayLike | None, chip: Chip, name: str) -> _Made:
    read = LstmReader(found).result
    network = described_sequence(read, name)
    original = Original(found, [read.chip_output])
    x, words = _inputs(original, given, found, read)
    real = sequence_input(read, x)
    compared = x[:COMPARED]
    if read.steps is None:  # the simplified model has that many
        compared = np.take(compared, range(STEPS), axis=1, mode="wrap")
    outputs = FloatReference(network).run(sequence_input(read, compared))
    got = outputs[network.graph.nodes[-1].name]
    got = got[:, -1] if read.last else got
    difference = _difference(original, compared, got)
    return _Made(
        calibrated_sequence(network, real, chip), words, x,
        partial(sequence_input, read), difference,
    )  # fmt: skip


def network_name(file: Path) -> str:
    """A network's name made of a file's."""
    name = re.sub(r"[^a-z0-9]+", "_", file.stem.lower()).strip("_") or "network"
    return (name if name[0].isalpha() else f"n{name}")[:NAME_MAX]


def _inputs(
    original: Original, given: ArrayLike | None, found: Simplified, read: ReadLstm | None = None
) -> tuple[NDArray, str]:
    """Inputs to calibrate with, [n, ...] in the model's own shape, and what they are."""
    shape = original.shape
    open_steps = read is not None and read.steps is None
    if given is None:
        random = np.random.default_rng(_SEED)
        size = (RANDOM_INPUTS, STEPS_RANDOM if open_steps else shape[0], *shape[1:])
        if read is not None and read.table is not None:
            return random.integers(0, len(read.table), size), f"{RANDOM_INPUTS} random sequences"
        x = random.standard_normal(size).astype(np.float32)
        return x, f"{RANDOM_INPUTS} random inputs (normal distribution)"
    where = f"{found.file}: calibration"
    try:
        x = np.asarray(given)
    except ValueError:
        raise UserError(f"{where}: got rows that differ in length, expected an array") from None
    fits = x.ndim == len(shape) + 1 and x.shape[1 + open_steps :] == shape[open_steps:]
    if x.dtype.kind not in "fiu" or not fits or not x.size:
        axes = ["n", *(["steps"] if open_steps else []), *shape[open_steps:]]
        raise UserError(
            f"{where}: got {x.dtype} {shown(list(x.shape))}, expected real numbers "
            f"[{', '.join(map(str, axes))}]"
        )
    if not np.isfinite(x).all():
        raise UserError(f"{where}: got values that are not finite, expected finite ones")
    if read is not None and read.table is not None:
        most = len(read.table) - 1
        if (x.dtype.kind == "f" and not (x == np.rint(x)).all()) or x.min() < 0 or x.max() > most:
            raise UserError(f"{where}: got other values, expected whole numbers from 0 to {most}")
    return x, f"{len(x)} inputs"


def chip_input(read: Read, made: Described, x: NDArray) -> NDArray[np.float32]:
    """The network's inputs in real units for those of the model, [n, *input.shape]."""
    graph = made.network.graph
    source = read.graph.source
    channels, height, width = source.shape
    flat = x.reshape(len(x), -1).astype(np.float64)
    if source.layout == "chw":
        flat = flat.reshape(len(x), channels, height, width).transpose(0, 2, 3, 1)
    maps = flat.reshape(len(x), *((height, width, channels)))
    for each in graph.host.before:
        maps = maps * np.array(each.factor) + np.array(each.shift)
    return maps.reshape(len(x), *graph.input.shape).astype(np.float32)


def _difference(original: Original, x: NDArray, got: NDArray[np.float32]) -> float:
    """How far the network's float form is from the model: the proof that lowering is right.

    Raises:
        UserError: too far: the importer is wrong.
    """
    wanted = original.run(x)[original.tensors[0]].reshape(len(x), -1)
    largest = float(np.abs(wanted).max(initial=0.0))
    difference = float(np.abs(got.reshape(wanted.shape) - wanted).max(initial=0.0))
    difference /= largest or 1.0
    if not difference <= DIFFERENCE_MAX:
        raise UserError(
            f"{original.file}: the imported network gives other results than the model: "
            f"difference: got {difference:.3g} of the largest output, expected at most "
            f"{DIFFERENCE_MAX}: please report this model"
        )
    return difference
