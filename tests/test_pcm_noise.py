"""Read noise of columns: from the devices' variances to what counters show."""

import numpy as np
import pytest
from pcm_reference import REFERENCES

from caduceus.devices import make
from caduceus.devices.ageing import INPUT_POWER, Ageing, InputStatistics, column_noise
from caduceus.devices.settings import Devices, Settings
from caduceus.golden.fast.tile import Tile
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import TileConfig

HERMES = Chip.find("hermes")
HOUR = 3600.0
ROWS, COLUMNS = 64, 48
READS = 6000
COUNTS_PER_CODE = HERMES.nominal_gain * 127 / 2**32
"""Counts of a full pulse on one conductance code."""


def _quiet(name: str) -> Settings:
    """Read noise alone."""
    return Settings(format=1, model=name, programming_noise=False, drift=False)


def _targets(seed: int, rows: int = 256, columns: int = 256) -> np.ndarray:
    """One tile: both polarities of every cell are well above 0, so that every window counts."""
    codes = np.random.default_rng(seed).integers(40, 110, (1, rows, columns, 4))
    codes[..., 1::2] = 0
    return codes.astype(np.uint8)


def _variance(name: str, targets: np.ndarray, age: float) -> np.ndarray:
    """Of cells from read to read, in codes squared, worked out from the published equations."""
    reference = REFERENCES[name]
    codes = targets[0, ..., ::2].astype(np.float64)
    relative = reference.read(codes / reference.full)
    fast = np.log((1.0 + reference.t_read) / (2 * reference.t_read))
    return ((codes * relative) ** 2).sum(axis=-1) * fast


@pytest.mark.parametrize("windows", [1, 4])
@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_a_columns_noise_is_its_cells(name: str, windows: int) -> None:
    targets = _targets(5)
    rng = np.random.default_rng(6)
    power = rng.uniform(0, 1, 256) ** 2
    gain = rng.uniform(0.7, 1.3, 256) * HERMES.nominal_gain
    variance = Ageing(Devices(_quiet(name), 1, HOUR)).tile(targets[0], 0).variance
    expected = _variance(name, targets, HOUR)
    np.testing.assert_allclose(variance, expected, rtol=1e-5)
    counts = np.sqrt((power[:, np.newaxis] * expected).sum(axis=0) / windows) * gain * 127 / 2**32
    got = column_noise(variance, InputStatistics(power), gain, windows)
    assert got.dtype == np.uint16
    # In 1/256 count, rounded; the powers and variances are rounded before.
    assert np.abs(got - counts * 256).max() < 0.51


def test_without_a_power_inputs_are_those_of_the_published_measurement() -> None:
    """Uniform, 30 % of them 0."""
    inputs = np.linspace(-1, 1, 100_001)
    assert pytest.approx(0.7 * (inputs**2).mean(), rel=1e-4) == INPUT_POWER
    variance = np.full((256, 3), 7.0)
    gain = np.array([0.0, 1.0, 2.0]) * HERMES.nominal_gain
    without = column_noise(variance, None, gain, 1)
    named = InputStatistics(np.full(256, INPUT_POWER))
    assert np.array_equal(without, column_noise(variance, named, gain, 1))
    assert without[0] == 0 and abs(int(without[2]) - 2 * int(without[1])) <= 1


def test_limits() -> None:
    gain = np.full(2, float(HERMES.nominal_gain))
    assert not column_noise(np.zeros((4, 2)), None, gain, 1).any()
    most = (1 << formats.NOISE_BITS) - 1
    assert (column_noise(np.full((4, 2), 1e7), InputStatistics(np.ones(4)), gain, 1) == most).all()


def test_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    variance, power = rng.uniform(0, 900, (256, 40)), rng.uniform(0, 1, 256)
    gain = np.full(40, float(HERMES.nominal_gain))
    order = rng.permutation(256)
    assert np.array_equal(
        column_noise(variance, InputStatistics(power), gain, 4),
        column_noise(variance[order], InputStatistics(power[order]), gain, 4),
    )


@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_counters_show_the_devices_noise(name: str, mode: ReadMode) -> None:
    """Variance of P - N over many reads, away from the counters' limits, against the equations."""
    targets = np.zeros((1, 256, 256, 4), dtype=np.uint8)
    targets[:, :ROWS, :COLUMNS] = _targets(8, ROWS, COLUMNS)
    x = np.random.default_rng(9).integers(-127, 128, ROWS).astype(np.int8)
    if mode is ReadMode.FOUR_PHASE:
        x[:8] = [127, -127] * 4  # enough charge in every window
    else:
        # Enough in the one, which is rounded towards 0: around it, less would be seen.
        x = np.abs(x)
        targets[..., 0] += 60 * (targets[..., 0] > 0).astype(np.uint8)
    power = np.zeros(256)
    power[:ROWS] = (x.astype(float) / 127) ** 2
    state = make.state(
        HERMES, targets, Devices(_quiet(name), 3, HOUR), mode, [InputStatistics(power)]
    )
    constants = np.zeros((COLUMNS, len(formats.COLUMN_CONSTANTS)), dtype=np.uint16)
    config = TileConfig(rows=ROWS, columns=COLUMNS, read_mode=mode, constants=constants)
    p, n = Tile(HERMES, state).counts(config, np.repeat(x[np.newaxis], READS, axis=0))
    result = p.astype(np.int64) - n
    if mode is ReadMode.FOUR_PHASE:
        assert p.min() > 0 and n.min() > 0 and max(p.max(), n.max()) < HERMES.adc.phase_limit
    else:
        assert p.min() > 0 and p.max() < HERMES.adc.phase_limit

    wanted = (power[:ROWS, np.newaxis] * _variance(name, targets, HOUR)[:ROWS, :COLUMNS]).sum(
        axis=0
    ) * COUNTS_PER_CODE**2
    windows = len(formats.PHASES[mode])
    # Every window is rounded down to a count, which adds a twelfth.
    expected = wanted + windows / 12
    measured = result.var(axis=0)
    # Standard errors of a variance: 4.5 for any column (p = 3e-4 for all 48), 4 for their mean,
    # which also feels that codes of noise are rounded, and a sample's deviation of 1024.1.
    error = np.sqrt(2 / READS)
    ratio = measured / expected
    assert np.abs(ratio - 1).max() < 4.5 * error
    assert abs(ratio.mean() - 1) < 4 * error / np.sqrt(COLUMNS) + 0.001


def test_inputs_of_one_sign_show_all_of_the_noise() -> None:
    """Two windows have no pulse, and the noise of those counts from 0 up only."""
    targets = _targets(12)
    x = np.random.default_rng(4).integers(0, 128, ROWS).astype(np.int8)
    power = np.zeros(256)
    power[:ROWS] = (x.astype(float) / 127) ** 2
    inputs = InputStatistics(power, one_sign=True)
    state = make.state(
        HERMES, targets, Devices(_quiet("generic"), 3, HOUR), ReadMode.FOUR_PHASE, [inputs]
    )
    blank = make.state(HERMES, targets, Devices(Settings(format=1, model="ideal"), 3, HOUR),
                       ReadMode.FOUR_PHASE)  # fmt: skip
    constants = np.zeros((COLUMNS, len(formats.COLUMN_CONSTANTS)), dtype=np.uint16)
    config = TileConfig(rows=ROWS, columns=COLUMNS, read_mode=ReadMode.FOUR_PHASE,
                        constants=constants)  # fmt: skip
    batch = np.repeat(x[np.newaxis], READS, axis=0)
    quiet, _ = Tile(HERMES, blank).counts(config, batch[:1])
    p, n = Tile(HERMES, state).counts(config, batch)
    assert quiet.min() > 20 and quiet.max() < HERMES.adc.phase_limit - 20
    wanted = (inputs.power[:, np.newaxis] * _variance("generic", targets, HOUR)[:, :COLUMNS]).sum(
        axis=0
    ) * COUNTS_PER_CODE**2
    measured = (p.astype(np.int64) - n).var(axis=0)
    # Four windows are rounded down, two of them at 0: up to a third of a count squared.
    assert wanted.mean() > 1
    assert 0.93 < measured.mean() / (wanted.mean() + 1 / 3) < 1.07


def test_the_slow_part_is_in_the_codes_and_not_in_the_reads() -> None:
    """Older devices have more of it; reads vary as much as before."""
    targets = _targets(5)[0]
    young, old = (
        Ageing(Devices(_quiet("hermes_tdp"), 1, age)).tile(targets, 0) for age in (0.0, 1e8)
    )
    assert np.array_equal(young.variance, old.variance)
    apart = [(each.codes.astype(int) - targets).std() for each in (young, old)]
    assert apart[0] < apart[1]
