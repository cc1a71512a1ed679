"""An ONNX file to a network: read, rewrite, calibrate, and compare with the file's own results."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caduceus.importers.calibrate import calibrated
from caduceus.importers.describe import Described, described
from caduceus.importers.original import Original
from caduceus.importers.reader import Read, Reader
from caduceus.importers.reference import FloatReference, pooled
from caduceus.importers.rewrite import rewritten
from caduceus.importers.simplify import Simplified, simplified
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError, shown
from caduceus.spec.graph import NAME_MAX
from caduceus.spec.network import Network

RANDOM_INPUTS = 16
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
    read = Reader(found).read()
    rewritten(read.graph)
    made = described(read, name or network_name(file))
    original = Original(found, [read.chip_output])
    x, words = _inputs(original, calibration, found)
    real = chip_input(read, made, x)
    difference = _difference(read, made, original, x[:COMPARED], real[:COMPARED])
    result = calibrated(made, real, chip or Chip.find("hermes"))
    return Imported(
        result.network, file, found.opset, found.exporter,
        f"{result.method}, on {words}", difference, tuple(read.notes),
    )  # fmt: skip


def network_name(file: Path) -> str:
    """A network's name made of a file's."""
    name = re.sub(r"[^a-z0-9]+", "_", file.stem.lower()).strip("_") or "network"
    return (name if name[0].isalpha() else f"n{name}")[:NAME_MAX]


def _inputs(original: Original, given: ArrayLike | None, found: Simplified) -> tuple[NDArray, str]:
    """Inputs to calibrate with, [n, ...] in the model's own shape, and what they are."""
    shape = original.shape
    if given is None:
        random = np.random.default_rng(_SEED)
        x = random.standard_normal((RANDOM_INPUTS, *shape)).astype(np.float32)
        return x, f"{RANDOM_INPUTS} random inputs (normal distribution)"
    where = f"{found.file}: calibration"
    try:
        x = np.asarray(given)
    except ValueError:
        raise UserError(f"{where}: got rows that differ in length, expected an array") from None
    if x.dtype.kind not in "fiu" or x.shape[1:] != shape or not len(x):
        raise UserError(
            f"{where}: got {x.dtype} {shown(list(x.shape))}, expected real numbers "
            f"[n{''.join(f', {size}' for size in shape)}]"
        )
    if not np.isfinite(x).all():
        raise UserError(f"{where}: got values that are not finite, expected finite ones")
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


def _difference(
    read: Read, made: Described, original: Original, x: NDArray, real: NDArray[np.float32]
) -> float:
    """How far the network's float form is from the model: the proof that lowering is right.

    Raises:
        UserError: too far: the importer is wrong.
    """
    wanted = original.run(x)[read.chip_output].reshape(len(x), -1)
    last = made.network.graph.nodes[-1].name
    got = FloatReference(made.network).run(real)[pooled(last)]
    got = got.transpose(0, 3, 1, 2) if got.ndim == 4 else got
    got = got.reshape(len(x), -1)[:, read.output.index.reshape(-1)]
    largest = float(np.abs(wanted).max(initial=0.0))
    difference = float(np.abs(got - wanted).max(initial=0.0)) / (largest or 1.0)
    if not difference <= DIFFERENCE_MAX:
        raise UserError(
            f"{read.graph.file}: the imported network gives other results than the model: "
            f"difference: got {difference:.3g} of the largest output, expected at most "
            f"{DIFFERENCE_MAX}: please report this model"
        )
    return difference
