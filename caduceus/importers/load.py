"""An ONNX file to a network: read, rewrite, calibrate, and compare with the file's own results."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caduceus.importers.calibrate import Calibrated, calibrated
from caduceus.importers.describe import Described, described
from caduceus.importers.original import Original
from caduceus.importers.reader import Read, Reader
from caduceus.importers.recurrent import LstmReader, ReadLstm
from caduceus.importers.reference import FloatReference, pooled
from caduceus.importers.rewrite import rewritten
from caduceus.importers.sequences import (
    calibrated_sequence,
    described_sequence,
    sequence_input,
)
from caduceus.importers.simplify import STEPS, Simplified, simplified
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError, shown
from caduceus.spec.graph import NAME_MAX
from caduceus.spec.network import Network

RANDOM_INPUTS, STEPS_RANDOM = 16, 32
_SEED = 2023
COMPARED = 4
"""Inputs for which the network's float form is compared with the model."""
DIFFERENCE_MAX = 1e-3
"""Largest difference of their outputs, as a share of the largest output: sums in binary32 in
another order differ by less."""


@dataclass(frozen=True)
class Imported:
    """A network, and how it was made.

    Attributes:
        network: complete.
        file: of the model.
        opset, exporter: of the model, as it says.
        calibration: what scales and `gmax` were chosen from, in words.
        difference: of the network's float form from the model in onnxruntime: the largest, as a
            share of the largest output.
        notes: sentences on what was changed.
    """

    network: Network
    file: Path
    opset: int
    exporter: str
    calibration: str
    difference: float
    notes: tuple[str, ...]


def load(
    file: Path | str,
    calibration: ArrayLike | None = None,
    chip: Chip | None = None,
    *,
    name: str | None = None,
) -> Imported:
    """Import a model.

    Args:
        file: `.onnx`, with its external data beside it.
        calibration: typical inputs [n, ...] as the model takes them, without normalization; random
            ones (of a normal distribution) if None.
        chip: whose converters are calibrated for; `hermes` if None.
        name: of the network; made of the file's name if None.

    Raises:
        UserError: the file is no model, or has something that is not supported; the sentence names
            the node, its operator and attribute. Or `calibration` is no input of the model.
    """
    file = Path(file)
    found = simplified(file)
    chip = chip or Chip.find("hermes")
    name = name or network_name(file)
    recurrent = any(node.op_type == "LSTM" for node in found.model.graph.node)
    make = _recurrent if recurrent else _feedforward
    made = make(found, calibration, chip, name)
    return Imported(
        made.result.network, file, found.opset, found.exporter,
        f"{made.result.method}, on {made.inputs}", made.difference, made.notes,
    )  # fmt: skip


@dataclass(frozen=True)
class _Made:
    """What both kinds of models give; attributes as of `Imported`, and the inputs in words."""

    result: Calibrated
    inputs: str
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
    return _Made(calibrated(made, real, chip), words, difference, tuple(read.notes))


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
    return _Made(calibrated_sequence(network, real, chip), words, difference)


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
