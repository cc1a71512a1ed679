"""Calibration of a tile's converters, as a host does it: measure, fit, and choose LDPU constants.

Published (Khaddam-Aljameh et al. 2022): three reference currents, P and N apart, an average of
several reads, and what is left of gain and offset errors corrected digitally in the LDPU. There,
offset is trimmed before gain, because one trim moves the other. Here nothing moves, and one
straight line gives both. How the host reads a counter, the currents and the number of reads are our
choice.

The host sees INT8 results only. To read one counter it has the LDPU multiply the other one by 0:
first in steps of `COARSE_STEP` counts, then count by count around what that gave. In both read
modes and all windows a reference of one sign feeds the counter: positive for P, negative for N.

A counter that gets charge q in each of W windows counts on average

    W * (gain * q + offset - 1/2),

as every window is rounded down. That holds if the rounded-off fractions are spread evenly, so each
of the three currents is varied over `DITHER` neighboring levels.

In a 4-phase read of inputs of one sign, as they come after a ReLU, each counter has a window
without a pulse. It counts the offset, or 0 where the offset is negative, which no straight line
gives: it is measured separately.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import formats
from caduceus.spec.binary16 import binary16
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import PHASES, ReadMode, Steer
from caduceus.spec.measurement import REFERENCE_MAX, HostProcedure, Measurement
from caduceus.spec.program import TileConfig

COARSE_STEP = 16
"""Counts in an INT8 step of the first look: 127 of them are about the largest exact count."""
COARSE_READS = 4
LEVELS = (0.2, 0.45, 0.7)
"""The three reference currents, as shares of the range of a converter of nominal gain. A gain of
1.4 times the nominal one still fits."""
DITHER = 16
"""Levels around each of the three, an eighth of a count apart."""
READS = 4
"""Reads of each level."""
EMPTY_READS = 32
"""Reads without a pulse, of each counter."""
GAIN_MIN, GAIN_MAX = 0.5, 1.5
"""Gains of a working converter, times the nominal one; +-21 % is published."""
EXACT_COUNT = 1 << formats.FP16_FRACTION_BITS + 1
"""Up to here every count is a binary16 number."""

INDEX = {constant.name: constant.index for constant in formats.COLUMN_CONSTANTS}
_CORRECTED = ("gain_p", "gain_n", "offset")


def windows(read_mode: ReadMode) -> int:
    """Windows of an MVM in which one counter counts."""
    steers = [phase.steer for phase in PHASES[read_mode]]
    return 1 if Steer.BY_SIGN in steers else steers.count(Steer.P)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Gains and offsets of the converters of a tile's first columns, and their correction.

    Attributes:
        read_mode: read mode of the measurement, the only one it corrects.
        gain_p, gain_n: float64 [columns], times the nominal gain.
        offset_p, offset_n: float64 [columns], counts per window.
        empty_p, empty_n: float64 [columns], counts per window without a pulse; 0 in 1-phase, where
            no constant could subtract them.
        reads: MVMs of the measurement.
    """

    read_mode: ReadMode
    gain_p: NDArray[np.float64]
    gain_n: NDArray[np.float64]
    offset_p: NDArray[np.float64]
    offset_n: NDArray[np.float64]
    empty_p: NDArray[np.float64]
    empty_n: NDArray[np.float64]
    reads: int

    @property
    def columns(self) -> int:
        """Number of measured columns."""
        return len(self.gain_p)

    def corrections(self, one_sign: bool = False) -> tuple[NDArray[np.float64], ...]:
        """Factor of P, factor of N, summand of P, summand of N; float64 [columns] each.

        The factors are exact: `P * factor` has the nominal gain. The offset of a counter is
        `factor * (offset - 1/2)` counts in every window that it counts in. In 4-phase reads
        these are always both of its windows, and all of the offset is subtracted. With inputs of
        `one_sign`, one of the two windows has no pulse, and the counts of an empty window are
        subtracted for it. In 1-phase reads only the counter of the charge's sign counts, and one
        constant serves both: it should be lowered by P's offset when P counts, and raised by N's
        when N counts. With either sign in half of the reads, half of each gives the least mean
        square error; plus and minus half their sum remains.
        """
        by_sign = _by_sign(self.read_mode)
        share, empty = (1 / 2 if by_sign else windows(self.read_mode)), 0
        if one_sign and not by_sign:
            empty = share = share / 2
        factor_p, factor_n = 1 / self.gain_p, 1 / self.gain_n
        return (
            factor_p,
            factor_n,
            -factor_p * (share * (self.offset_p - 1 / 2) + empty * self.empty_p),
            -factor_n * (share * (self.offset_n - 1 / 2) + empty * self.empty_n),
        )


def _by_sign(read_mode: ReadMode) -> bool:
    """Whether the charge's sign says which counter counts."""
    return Steer.BY_SIGN in (phase.steer for phase in PHASES[read_mode])


def calibrated(config: TileConfig, calibration: Calibration, one_sign: bool = False) -> TileConfig:
    """Adapt `config`, made for ideal converters, to the measured ones.

    The new configuration treats `P * factor + summand` as `config` treats an ideal count P, and N
    in the same way: its own `gain_p`, `gain_n` and `offset` stay in effect. `one_sign` says that no
    input of the tile is negative, or none positive.

    Raises:
        UserError: the calibration is of another read mode or of fewer columns, or a constant does
            not fit binary16.
    """
    if config.read_mode is not calibration.read_mode:
        raise UserError(
            f"calibration: read mode: got {calibration.read_mode}, expected {config.read_mode}, "
            "as in the configuration"
        )
    if config.columns > calibration.columns:
        raise UserError(
            f"calibration: columns: got {calibration.columns}, expected {config.columns} or more, "
            "as in the configuration"
        )
    before = config.constants.view(np.float16).astype(np.float64)
    gain_p, gain_n, offset = (before[:, INDEX[name]] for name in _CORRECTED)
    corrections = (values[: config.columns] for values in calibration.corrections(one_sign))
    factor_p, factor_n, added_p, added_n = corrections
    constants = config.constants.copy()
    for name, values in (
        ("gain_p", gain_p * factor_p),
        ("gain_n", gain_n * factor_n),
        ("offset", offset + gain_p * added_p - gain_n * added_n),
    ):
        constants[:, INDEX[name]] = binary16(values, f"calibrated {name}")
    return replace(config, constants=constants)


def calibration(
    chip: Chip, rows: int, columns: int, read_mode: ReadMode
) -> HostProcedure[Calibration]:
    """Measure a tile's converters.

    Drive it with `caduceus.golden.measure` or `caduceus.sim.streamed_tile.StreamedTile.measure`.

    Args:
        chip: description of the tile's chip.
        rows: length of the vectors that start the reads; their values do not matter, and 1 is the
            quickest.
        columns: number of columns to measure, from the first on.
        read_mode: read mode to correct.

    Raises:
        UserError: a converter is out of range; the sentence names its column.
    """
    counter_windows = windows(read_mode)
    config = TileConfig(
        read_mode, rows, columns, np.zeros((columns, len(formats.COLUMN_CONSTANTS)), np.uint16)
    )
    levels = reference_levels(chip, counter_windows)
    per_level = formats.SLOTS * chip.nominal_gain / 2**formats.GAIN_FRACTION
    found, reads = [], 0
    for counter in (Steer.P, Steer.N):
        counts = yield from _counts(config, levels, counter)
        reads += levels.shape[0] * COARSE_READS + levels.size * READS
        slope, start = _line(levels, counts)
        gain = slope / (counter_windows * per_level)
        _demand_answer(counter, gain, counts, counter_windows, chip)
        empty = np.zeros(columns)
        if not _by_sign(read_mode):
            empty = yield from _empty_windows(config, counter)
            empty = empty / (EMPTY_READS * counter_windows)
            reads += EMPTY_READS
        found.append((gain, start / counter_windows + 1 / 2, empty))
    (gain_p, offset_p, empty_p), (gain_n, offset_n, empty_n) = found
    return Calibration(read_mode, gain_p, gain_n, offset_p, offset_n, empty_p, empty_n, reads)


def _top_count(chip: Chip, counter_windows: int) -> int:
    """Largest count of one window that saturates nothing; sums of windows are exact in binary16."""
    return min(chip.adc.phase_limit, EXACT_COUNT // counter_windows)


def reference_levels(chip: Chip, counter_windows: int) -> NDArray[np.int64]:
    """Reference currents to measure at, int64 [3, DITHER], in units of charge per slot."""
    per_level = formats.SLOTS * chip.nominal_gain / 2**formats.GAIN_FRACTION
    step = max(1, round(2 / DITHER / per_level))
    reach = step * (DITHER - 1)
    top = min(_top_count(chip, counter_windows) / per_level, (REFERENCE_MAX - reach) / LEVELS[-1])
    centres = np.array([int(share * top) for share in LEVELS])
    return np.maximum(1, centres[:, np.newaxis]) + step * np.arange(DITHER)


def _counts(
    config: TileConfig, levels: NDArray[np.int64], counter: Steer
) -> HostProcedure[NDArray[np.int64]]:
    """Counts of one counter, int64 [3, DITHER, READS, columns]."""
    sign = _sign(counter)

    def look(at: TileConfig, level: int, reads: int) -> Measurement:
        return Measurement(at, np.zeros((reads, config.rows), np.int8), sign * level)

    coarse = _looking_at(config, counter, 1 / COARSE_STEP, 0)
    centres = []
    for level in levels[:, DITHER // 2].tolist():
        results = yield look(coarse, level, COARSE_READS)
        total = results.sum(axis=0, dtype=np.int64)
        centres.append(total * COARSE_STEP // COARSE_READS)
    counts = np.empty((*levels.shape, READS, config.columns), dtype=np.int64)
    for row, centre in enumerate(centres):
        fine = _looking_at(config, counter, 1, centre)
        for place, level in enumerate(levels[row].tolist()):
            results = yield look(fine, level, READS)
            _demand_inside(counter, results)
            counts[row, place] = centre + results.astype(np.int64)
    return counts


def _empty_windows(config: TileConfig, counter: Steer) -> HostProcedure[NDArray[np.int64]]:
    """Sum of the counts of one counter over reads without a pulse, int64 [columns]."""
    x = np.zeros((EMPTY_READS, config.rows), np.int8)
    results = yield Measurement(_looking_at(config, counter, 1, 0), x)
    _demand_inside(counter, results)
    return results.sum(axis=0, dtype=np.int64)


def _sign(counter: Steer) -> int:
    """Sign of the reference current that feeds a counter, and of the counter in P - N."""
    return 1 if counter is Steer.P else -1


def _looking_at(
    config: TileConfig, counter: Steer, scale: float, centre: int | NDArray[np.int64]
) -> TileConfig:
    """A configuration that sends (count - centre) * scale of one counter."""
    sign = _sign(counter)
    values = np.zeros(config.constants.shape)
    values[:, INDEX["gain_p" if counter is Steer.P else "gain_n"]] = 1
    values[:, INDEX["offset"]] = -sign * centre
    values[:, INDEX["scale"]] = sign * scale
    return replace(config, constants=binary16(values, "calibration: a constant"))


def _line(
    levels: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares line through the counts: counts per level, counts at 0; float64 [columns].

    Sums of integers are the same in any order and on any machine.
    """
    reads = counts.shape[2]
    number = levels.size * reads
    sum_x, sum_xx = int(levels.sum()) * reads, int((levels**2).sum()) * reads
    sum_y = counts.sum(axis=(0, 1, 2))
    sum_xy = (levels[..., np.newaxis] * counts.sum(axis=2)).sum(axis=(0, 1))
    slope = (number * sum_xy - sum_x * sum_y) / (number * sum_xx - sum_x**2)
    return slope, (sum_y - slope * sum_x) / number


def _demand_inside(counter: Steer, results: NDArray[np.int8]) -> None:
    """Refuse results at the end of INT8, which hide the count."""
    most = np.abs(results.astype(np.int64)).max(axis=0)
    if most.max() >= formats.INT8_MAX:
        raise UserError(
            f"calibration: column {int(most.argmax())}: counter {counter.name}: spread of reads: "
            f"got {formats.INT8_MAX} counts or more, expected less"
        )


def _demand_answer(
    counter: Steer,
    gain: NDArray[np.float64],
    counts: NDArray[np.int64],
    counter_windows: int,
    chip: Chip,
) -> None:
    """Refuse columns whose converter does not work, or was at an end of its range."""
    bad = (gain < GAIN_MIN) | (gain > GAIN_MAX)
    if bad.any():
        column = int(bad.argmax())
        raise UserError(
            f"calibration: column {column}: counter {counter.name}: gain: got {gain[column]:.3f} "
            f"times the nominal one, expected {GAIN_MIN} to {GAIN_MAX}"
        )
    most = counter_windows * (_top_count(chip, counter_windows) - 1)
    low, high = counts.min(axis=(0, 1, 2)), counts.max(axis=(0, 1, 2))
    bad = (low < 1) | (high > most)
    if bad.any():
        column = int(bad.argmax())
        raise UserError(
            f"calibration: column {column}: counter {counter.name}: counts at the reference "
            f"currents: got {low[column]} to {high[column]}, expected 1 to {most}"
        )
