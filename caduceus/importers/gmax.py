"""Cell codes of the largest weights, chosen so that converters rarely saturate.

A column's counts grow with its codes: the largest code is the most exact against rounding and
device noise, as long as conversions stay below the limit of a phase. (The paper has one Gmax per
core; one per column is our choice, see docs/numbers.md.)
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import formats
from caduceus.spec.chip import Chip

SATURATED_SHARE = 1e-5
"""Share of a column's conversions that may reach the limit of a phase."""


def column_gmax(
    weight: NDArray[np.floating],
    x: NDArray[np.int8],
    blocks: Sequence[range],
    chip: Chip,
) -> NDArray[np.uint16]:
    """The largest code for the largest weight of every column, 1 to `formats.CELL_MAX`.

    Args:
        weight: real weights [rows, columns].
        x: typical INT8 input vectors [n, rows].
        blocks: rows of each tile.
        chip: its converters.

    Returns:
        uint16 [columns]; conversions of at most `SATURATED_SHARE` of these vectors saturate, in
        4-phase and in 1-phase reads.
    """
    largest = np.abs(weight).max(axis=0, initial=0.0).astype(np.float64)
    charge = _charges(weight, x, blocks)
    # A column without charge has room for any code.
    with np.errstate(divide="ignore", invalid="ignore"):
        codes = _allowed(chip) * np.where(charge > 0, largest / charge, np.inf)
    return np.clip(np.floor(codes), 1, formats.CELL_MAX).astype(np.uint16)


def layer_gmax(
    weight: NDArray[np.floating], x: NDArray[np.int8], blocks: Sequence[range], chip: Chip
) -> int:
    """As `column_gmax`, one code for the largest weight of the whole matrix, as published."""
    charge = float(_charges(weight, x, blocks).max(initial=0.0))
    if not charge:
        return formats.CELL_MAX
    code = _allowed(chip) * float(np.abs(weight).max()) / charge
    return int(np.clip(np.floor(code), 1, formats.CELL_MAX))


def _allowed(chip: Chip) -> float:
    """Charge of a conversion that just reaches the limit of a phase."""
    return chip.adc.phase_limit * 2**formats.GAIN_FRACTION / chip.nominal_gain


def _charges(
    weight: NDArray[np.floating], x: NDArray[np.int8], blocks: Sequence[range]
) -> NDArray[np.float64]:
    """The largest charge of a conversion by column, in units of weight times INT8 steps."""
    found = np.zeros(weight.shape[1])
    for block in blocks:
        part = weight[block.start : block.stop].astype(np.float32)
        inputs = x[:, block.start : block.stop].astype(np.float32)
        plus, minus = np.maximum(part, 0), np.maximum(-part, 0)
        for side in (np.maximum(inputs, 0), np.maximum(-inputs, 0)):
            for half in (plus, minus):
                found = np.maximum(found, _high(side @ half))
        # The net charge, converted at once in 1-phase, can be larger than that of any phase.
        found = np.maximum(found, _high(np.abs(inputs @ part)))
    return found


def _high(charges: NDArray[np.floating]) -> NDArray[np.floating]:
    """By column, the charge that all but `SATURATED_SHARE` of the conversions stay below."""
    place = min(len(charges) - 1, int(np.ceil((1 - SATURATED_SHARE) * len(charges))) - 1)
    return np.partition(charges, place, axis=0)[place]
