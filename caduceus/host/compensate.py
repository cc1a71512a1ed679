"""Drift compensation: one factor per tile, measured by the host and folded into column constants.

Published (Le Gallo et al. 2023): "appropriate per-core rescaling of the MVM result". aihwkit's
global compensation takes the mean magnitude of the outputs for one-hot inputs, soon after
programming and later. Ours is the sum of the magnitudes of INT8 results for a fixed set of vectors.
Each vector drives an eighth of the rows at full length with random signs. A single row would give a
few counts, which INT8 steps and read noise would drown. All rows at once would saturate the
converters, and saturated results do not show drift. Every device is read equally often.

The tile's own configuration corrects the measured MVM, converter offsets included, since they do
not drift. Bias, ReLU, RX and everything after them are left out.

A measured factor is used only if it can be believed; the bounds are our choice:

- The results soon after programming are large enough: `LEAST_RESULT` and `LEAST_TOTAL`. A window
  drops the fraction of its count, so the ratio of two sums of a count or two means nothing.
- The factor is between `LEAST_FACTOR` and `most_factor(age)`: devices lose conductance, and no more
  of it than the drift law allows.
- No result is at the end of INT8.

Other tiles get the chip's median of the believed factors, or 1 if there is none; a tile that
answers 0 to every vector gets 1. `settled` decides, and says for each tile what was used and why.
With these bounds a tile's compensated result is at most `most_factor(age)` times the result without
compensation. So for the age of a month the error of a result grows by 1.5 times its uncompensated
magnitude at most, whatever the tile's devices do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from caduceus.host.calibrate import INDEX
from caduceus.spec import formats
from caduceus.spec.binary16 import binary16
from caduceus.spec.errors import UserError
from caduceus.spec.measurement import HostProcedure, Measurement
from caduceus.spec.program import TileConfig

GROUPS = 8
"""Vectors of a round; together they drive every row once."""
ROUNDS = 8
SEED = 20260
"""Of the signs and of which rows go together: the same vectors then and later."""
FIRST_SCALE = 2.0**-5
"""INT8 steps per count of the first look: the largest count, 4095, is about 127 of them."""
LOOKS = 2
"""Looks that find the scale, each at more steps per count than the one before."""
TARGET = 96
"""INT8 steps that the largest result of the baseline is to have: the rest of 127 is for noise."""

LEAST_RESULT = 6.0
"""Counts of a typical baseline result (`Answer.result`) from which a factor is believed. Our
choice: in random tiles of 1 to 16 columns the factor was then within 7 % (one standard deviation)
of the loss in charge, at 4 counts within 13 %, at 1 to 2 counts off by up to 100 times. Tiles of
the shipped networks have 9.6 counts or more."""
LEAST_TOTAL = 48.0
"""Counts of all baseline results together from which a factor is believed. Our choice: a handful of
results of 6 counts has too few roundings to average. The shipped networks' tiles have 690 or
more."""
LEAST_FACTOR = 0.9
"""Smallest factor that is believed. Our choice: devices only lose conductance, and read noise moves
the factor of the shipped networks' tiles by less than 0.01."""
MOST_FACTOR = 2.5
"""Largest factor that is believed in the first `YEAR`. Our choice: tiles of the shipped networks
reach 2.3 in a year, on the `generic` model."""
YEAR = 3.2e7
"""Seconds."""
MOST_EXPONENT = 0.06
"""Power of the age by which the largest factor grows after a year. Our choice: the models' mean
drift exponents are about 0.05; tiles of the shipped networks reach 3.3 at 1e10 s, where 3.5 is
believed."""


@dataclass(frozen=True)
class Answer:
    """A tile's results for the test vectors.

    Attributes:
        scale: binary16 bits; INT8 steps per count.
        total: sum of the results' magnitudes, INT8 steps.
        squares: sum of their squares.
        largest: the largest magnitude.
    """

    scale: int
    total: int
    squares: int
    largest: int

    @property
    def saturated(self) -> bool:
        """Whether a result is at the end of INT8."""
        return self.largest >= formats.INT8_MAX

    @property
    def counts(self) -> float:
        """Sum of the magnitudes in counts."""
        return self.total / _value(self.scale)

    @property
    def result(self) -> float:
        """Counts of a typical result: the mean magnitude, each result weighted by its own.

        Results of idle columns, about 0, neither lower it nor contribute to the factor.
        """
        return self.squares / self.total / _value(self.scale) if self.total else 0.0


@dataclass(frozen=True)
class Measured:
    """A tile's factor as measured.

    Attributes:
        factor: baseline's sum divided by the later one; None if nothing can be read.
        doubt: why it is not believed; empty if it is.
    """

    factor: float | None
    doubt: str = ""


@dataclass(frozen=True)
class DriftFactor:
    """A tile's factor as used.

    Attributes:
        measured: as of `Measured`.
        used: what the tile's scales are multiplied by.
        reason: why `used` is not `measured`, and what it is; empty if it is `measured`.
    """

    measured: float | None
    used: float
    reason: str = ""


def baseline(config: TileConfig) -> HostProcedure[Answer]:
    """Measure a tile that was just programmed.

    Drive it with `caduceus.golden.measure` or `caduceus.sim.streamed_tile.StreamedTile.measure`.

    Args:
        config: of the tile, calibrated if it is to be.
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
    return _answer(bits, results)


def factor(
    config: TileConfig, before: Answer, most: float = MOST_FACTOR
) -> HostProcedure[Measured]:
    """How much smaller a tile's results are now: the factor to multiply its scales by.

    Args:
        config: as for `baseline`, not compensated since.
        before: what `baseline` found.
        most: the largest factor that is believed; see `most_factor`.
    """
    results = yield Measurement(_plain(config, before.scale), vectors(config.rows))
    now = _answer(before.scale, results)
    for answer, when in ((before, "soon after programming"), (now, "now")):
        if not answer.total:
            return Measured(None, f"every result for the test vectors {when} is 0")
    found = before.total / now.total
    return Measured(found, _doubt(found, before, now, most))


def most_factor(age: float) -> float:
    """The largest factor that is believed `age` seconds after programming."""
    return MOST_FACTOR * max(1.0, age / YEAR) ** MOST_EXPONENT


def _doubt(found: float, before: Answer, now: Answer, most: float) -> str:
    """Why a factor is not believed; empty if it is."""
    if before.saturated or now.saturated:
        return f"a result for the test vectors is {formats.INT8_MAX} or more"
    if before.result < LEAST_RESULT:
        return (
            f"a typical result for the test vectors is {before.result:.1f} counts, expected "
            f"{LEAST_RESULT:g} or more"
        )
    if before.counts < LEAST_TOTAL:
        return (
            f"the results for the test vectors are {before.counts:.0f} counts in all, expected "
            f"{LEAST_TOTAL:g} or more"
        )
    if not LEAST_FACTOR <= found <= most:
        return f"expected {LEAST_FACTOR:g} to {most:.3g}"
    return ""


def settled(measured: Sequence[Measured]) -> list[DriftFactor]:
    """The factor that each tile of a chip gets.

    Args:
        measured: of the chip's computing tiles.

    Returns:
        in the same order: the tile's own factor where it is believed; 1 where nothing can be read;
        else the median of the believed ones, or 1 if there is none.
    """
    believed = [each.factor for each in measured if not each.doubt]
    middle = median(believed) if believed else 1.0
    what = "the chip's median" if believed else "no tile's factor is believed"
    return [
        DriftFactor(each.factor, each.factor)
        if not each.doubt
        else DriftFactor(None, 1.0, each.doubt)
        if each.factor is None
        else DriftFactor(each.factor, middle, f"{each.doubt}; {what}")
        for each in measured
    ]


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


def _value(scale: int) -> float:
    """Of binary16 bits."""
    return float(np.uint16(scale).view(np.float16))


def _bits(scale: float) -> int:
    return int(binary16(np.array([scale]), "drift: scale")[0])


def _plain(config: TileConfig, scale: int) -> TileConfig:
    """The tile's MVM alone, `scale` INT8 steps per corrected count."""
    constants = config.constants.copy()
    constants[:, INDEX["scale"]] = scale
    constants[:, INDEX["bias"]] = 0
    return TileConfig(config.read_mode, config.rows, config.columns, constants)


def _answer(scale: int, results: NDArray[np.int8]) -> Answer:
    """Sums of integers, so that they are the same in any order and on any machine."""
    magnitudes = np.abs(results.astype(np.int64))
    squares = int((magnitudes * magnitudes).sum())
    return Answer(scale, int(magnitudes.sum()), squares, int(magnitudes.max()))
