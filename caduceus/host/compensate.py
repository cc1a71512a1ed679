"""Drift compensation: one factor a tile, as a host finds it and puts it into the column constants.

Published (Le Gallo et al. 2023): "appropriate per-core rescaling of the MVM result". aihwkit's
global compensation takes the mean magnitude of the outputs for one-hot inputs, soon after
programming and later. Ours is the sum of the magnitudes of INT8 results for a fixed set of vectors
that drive an eighth of the rows each, at full length and with random signs: with a single row a
result would be a few counts, which INT8 steps and read noise would drown; with all rows converters
would saturate, and what is saturated does not show drift. Every device is read equally often.

The MVM is measured as the tile's configuration corrects it, offsets of the converters included,
for they do not drift; bias, ReLU, RX and all that comes later are left out.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caduceus.host.calibrate import INDEX
from caduceus.spec import formats
from caduceus.spec.binary16 import binary16
from caduceus.spec.errors import UserError
from caduceus.spec.measurement import HostProcedure, Measurement
from caduceus.spec.program import TileConfig

GROUPS = 8
"""A round of vectors drives every row once, in so many vectors."""
ROUNDS = 8
SEED = 20260
"""Of the signs and of which rows go together: the same vectors then and later."""
FIRST_SCALE = 2.0**-5
"""INT8 steps a count of the first look: the largest count, 4095, is about 127 of them."""
LOOKS = 2
"""Looks that find the scale, each at more steps a count than the one before."""
TARGET = 96
"""INT8 steps that the largest result of the baseline is to have: the rest of 127 is for noise."""


@dataclass(frozen=True)
class Baseline:
    """What a tile answered soon after programming.

    Attributes:
        scale: binary16 bits; INT8 steps a count, for the measurements later as well.
        total: sum of the results' magnitudes.
    """

    scale: int
    total: int


def baseline(config: TileConfig) -> HostProcedure[Baseline]:
    """Measure a tile that was just programmed.

    Drive it with `caduceus.golden.measure` or `caduceus.sim.streamed_tile.StreamedTile.measure`.

    Args:
        config: of the tile, calibrated if it is to be.

    Raises:
        UserError: the tile answers 0, or saturates.
    """
    x = vectors(config.rows)
    scale = FIRST_SCALE
    for _ in range(LOOKS):
        results = yield Measurement(_plain(config, _bits(scale)), x)
        # What rounds to a step is up to half a step larger.
        largest = int(np.abs(results.astype(np.int64)).max()) + 1 / 2
        scale *= TARGET / largest
    bits = _bits(scale)
    results = yield Measurement(_plain(config, bits), x)
    return Baseline(bits, _total(results))


def factor(config: TileConfig, before: Baseline) -> HostProcedure[float]:
    """How much smaller a tile's results are now: what their scale is to be multiplied by.

    Args:
        config: as for `baseline`, not compensated since.
        before: what `baseline` found.

    Raises:
        UserError: the tile answers 0, or saturates.
    """
    results = yield Measurement(_plain(config, before.scale), vectors(config.rows))
    return before.total / _total(results)


def compensated(config: TileConfig, factor: float) -> TileConfig:
    """`config` with the MVM's part of every result multiplied by `factor`, the bias not.

    Raises:
        UserError: the factor is no positive number, or a scale does not fit binary16.
    """
    if not (np.isfinite(factor) and factor > 0):
        raise UserError(f"drift factor: got {factor}, expected a positive number")
    constants = config.constants.copy()
    scale = constants.view(np.float16)[:, INDEX["scale"]].astype(np.float64) * factor
    constants[:, INDEX["scale"]] = binary16(scale, "compensated scale")
    return replace(config, constants=constants)


def vectors(rows: int) -> NDArray[np.int8]:
    """The test vectors, int8 [n, rows]: 0, and the largest activation of either sign."""
    random = np.random.default_rng(SEED)
    groups = min(GROUPS, rows)
    x = np.zeros((ROUNDS, groups, rows), dtype=np.int8)
    for each in x:
        each[random.permutation(rows) % groups, np.arange(rows)] = random.choice(
            [-formats.INT8_MAX, formats.INT8_MAX], rows
        )
    return x.reshape(-1, rows)


def _bits(scale: float) -> int:
    return int(binary16(np.array([scale]), "drift: scale")[0])


def _plain(config: TileConfig, scale: int) -> TileConfig:
    """The tile's MVM alone, `scale` INT8 steps a corrected count."""
    constants = config.constants.copy()
    constants[:, INDEX["scale"]] = scale
    constants[:, INDEX["bias"]] = 0
    return TileConfig(config.read_mode, config.rows, config.columns, constants)


def _total(results: NDArray[np.int8]) -> int:
    """Sum of the magnitudes."""
    magnitudes = np.abs(results.astype(np.int64))
    if not magnitudes.any():
        raise UserError(
            "drift: every result of the tile for the test vectors is 0: expected a tile whose "
            "devices answer"
        )
    if magnitudes.max() >= formats.INT8_MAX:
        column = int(magnitudes.max(axis=0).argmax())
        raise UserError(
            f"drift: column {column}: a result for the test vectors is {formats.INT8_MAX} or more: "
            f"expected less; the baseline had at most {TARGET}"
        )
    return int(magnitudes.sum())
