"""Real weights to conductance codes, and real scales to binary16 column constants."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import formats
from caduceus.spec.binary16 import binary16
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError

Column = NDArray[np.float64]
"""A number for each column of a matrix."""


def largest_weights(weight: NDArray[np.float32], *, per_core: bool) -> Column:
    """Largest magnitude of every column, or of the whole matrix for all, float64 [columns]."""
    found = np.abs(weight).max(axis=0, initial=0.0).astype(np.float64)
    return np.full_like(found, found.max(initial=0.0)) if per_core else found


def cell_codes(
    weight: NDArray[np.float32], gmax: NDArray[np.integer] | int, largest: Column
) -> NDArray[np.int16]:
    """Signed cell codes: G = W * Gmax / Wmax.

    Published with one Wmax per core. With one per column the LDPU's scale makes up for it at no
    cost (our choice).

    Args:
        weight: [rows, columns].
        gmax: 1 to `formats.CELL_MAX`, for each column or all.
        largest: Wmax of every column. All blocks of a layer share them (our choice).
    """
    factor = gmax / np.where(largest == 0, 1.0, largest)
    return np.rint(weight.astype(np.float64) * factor).astype(np.int16)


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
        gmax: code of the weight `largest`, by column.
        largest: Wmax, by column.
        input_scale: real value of one INT8 step of the input.
        output_scale: of the output; one number, or one for each column.
        peak: column of the layer's matrix that has the largest weight, where all columns share
            Wmax; None where each has its own.
    """

    where: str
    gmax: NDArray[np.integer]
    largest: Column
    input_scale: float
    output_scale: float | Column
    peak: int | None = None


def column_constants(
    steps: Steps,
    bias: NDArray[np.float32],
    chip: Chip,
    columns: NDArray[np.intp] | None = None,
) -> NDArray[np.uint16]:
    """Constants that turn counts into a layer's INT8 steps, and add `bias` to them.

    Args:
        steps: of the layer.
        bias: float32 [columns of the layer], in real units; zeros where another tile adds it.
        chip: gives the nominal gain.
        columns: those of the layer that the constants are for; all if None.

    Returns:
        uint16 [columns, 5], binary16 in the order of `formats.COLUMN_CONSTANTS`.

    Raises:
        UserError: a constant does not fit binary16; the sentence names the column.
    """
    numbers = np.arange(len(bias)) if columns is None else columns
    scale = _scales(steps, chip)[numbers]
    shift = (bias.astype(np.float64) / steps.output_scale)[numbers]

    constants = np.empty((len(numbers), len(formats.COLUMN_CONSTANTS)), dtype=np.uint16)
    for constant in formats.COLUMN_CONSTANTS:
        constants[:, constant.index] = constant.reset
    index = {constant.name: constant.index for constant in formats.COLUMN_CONSTANTS}
    # What all columns share is the work of the one with the largest weight.
    peaks = numbers if steps.peak is None else np.full(len(numbers), steps.peak)
    names = [
        f"{steps.where}, column {peak} with the largest weight, {steps.largest[peak]:.4g}: scale"
        for peak in peaks
    ]
    constants[:, index["scale"]] = _each_binary16(scale, names)
    names = [f"{steps.where}, column {column}: bias" for column in numbers]
    constants[:, index["bias"]] = _each_binary16(shift, names)
    return constants


def _scales(steps: Steps, chip: Chip) -> Column:
    """Steps of the output that one count stands for, of every column of the layer.

    Where each column has its own Wmax, one of zeros has a scale of 0. So has one whose scale is
    below the normal numbers of binary16, as after a batch normalization that switched it off: its
    counts together are far less than a step. (A layer of nothing else is a mistake: it keeps its
    scales, which are refused.)
    """
    counts_per_charge = chip.nominal_gain / 2**formats.GAIN_FRACTION
    largest = np.where(steps.largest == 0, 1.0, steps.largest)
    scale = steps.input_scale * largest / steps.gmax / counts_per_charge / steps.output_scale
    if steps.peak is None:
        scale[steps.largest == 0] = 0
        weak = scale < np.finfo(np.float16).tiny
        if not weak.all():
            scale[weak] = 0
    return scale


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
