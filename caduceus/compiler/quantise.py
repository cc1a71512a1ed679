"""Real weights to conductance codes, and real scales to binary16 column constants."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import formats
from caduceus.spec.binary16 import binary16
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError


def largest_weight(weight: NDArray[np.float32]) -> float:
    """Largest magnitude in a layer's matrix: what `gmax` stands for in all of its blocks."""
    return float(np.abs(weight).max())


def cell_codes(
    weight: NDArray[np.float32], gmax: int, largest: float | None = None
) -> NDArray[np.int16]:
    """Signed cell codes, the largest weight at `gmax`: G = W * Gmax / Wmax per core, as published.

    Args:
        weight: [rows, columns].
        gmax: 1 to `formats.CELL_MAX`.
        largest: Wmax; that of `weight` if None. All blocks of a layer share one (our choice), so
            that their results add up in the same units.
    """
    if largest is None:
        largest = largest_weight(weight)
    if largest == 0:
        return np.zeros(weight.shape, dtype=np.int16)
    return np.rint(weight.astype(np.float64) * (gmax / largest)).astype(np.int16)


def device_codes(cells: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Codes of the four devices of every cell, uint8 [rows, columns, 4].

    The first device of a polarity is filled before the second, so that at most one of the two is
    neither at its largest code nor at 0 (published for two-device programming).
    """
    devices = []
    for polarity in (np.maximum(cells, 0), np.maximum(-cells, 0)):
        first = np.minimum(polarity, formats.DEVICE_MAX)
        devices += [first, polarity - first]
    return np.stack(devices, axis=-1).astype(np.uint8)


@dataclass(frozen=True)
class Steps:
    """What turns real values into a layer's codes and INT8 steps.

    Attributes:
        where: network and layer, for errors.
        gmax: code of the weight `largest`.
        largest: Wmax.
        input_scale: real value of one INT8 step of the input.
        output_scale: of the output; one number, or one for each column.
        peak: column of the layer's matrix that has the largest weight, for errors.
    """

    where: str
    gmax: int
    largest: float
    input_scale: float
    output_scale: float | NDArray[np.float64]
    peak: int = 0


def column_constants(
    steps: Steps,
    bias: NDArray[np.float32],
    chip: Chip,
    columns: NDArray[np.intp] | None = None,
) -> NDArray[np.uint16]:
    """Constants that turn counts into a layer's INT8 steps, and add `bias` to them.

    Args:
        steps: of the layer.
        bias: float32 [columns], in real units; zeros where another tile adds it.
        chip: gives the nominal gain.
        columns: of the layer's matrix, for errors; from 0 on if None.

    Returns:
        uint16 [columns, 5], binary16 in the order of `formats.COLUMN_CONSTANTS`.

    Raises:
        UserError: a constant does not fit binary16; the sentence names the column.
    """
    # One count stands for this much of the output's INT8 steps.
    counts_per_charge = chip.nominal_gain / 2**formats.GAIN_FRACTION
    real_per_count = steps.input_scale * (steps.largest or 1.0) / steps.gmax / counts_per_charge
    scale = np.full(len(bias), real_per_count / steps.output_scale)
    shift = bias.astype(np.float64) / steps.output_scale

    constants = np.empty((len(bias), len(formats.COLUMN_CONSTANTS)), dtype=np.uint16)
    for constant in formats.COLUMN_CONSTANTS:
        constants[:, constant.index] = constant.reset
    index = {constant.name: constant.index for constant in formats.COLUMN_CONSTANTS}
    # The largest weight of all columns is what the scale of each is made of.
    peak = f"{steps.where}, column {steps.peak} with the largest weight, {steps.largest:.4g}: scale"
    constants[:, index["scale"]] = _each_binary16(scale, [peak] * len(bias))
    numbers = range(len(bias)) if columns is None else columns
    names = [f"{steps.where}, column {column}: bias" for column in numbers]
    constants[:, index["bias"]] = _each_binary16(shift, names)
    return constants


def _each_binary16(values: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.uint16]:
    """Nearest binary16 of each value, as bits.

    Raises:
        UserError: one does not fit; the sentence has its name.
    """
    try:
        return binary16(values, names[0])
    except UserError:
        for value, name in zip(values[:, np.newaxis], names, strict=True):
            binary16(value, name)
        raise
