"""Drawn devices: mean and spread at many target conductances, against the published equations.

Expected moments are exact: they are sums over every value that a random number can have, with the
rounding to codes and the limits 0 and 510. A drawn mean or variance may be four standard errors
away (p = 6e-5 each). Seeds are fixed.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from noise_statistics import Moments
from pcm_reference import REFERENCES, Reference
from test_pcm_models import mutants

from caduceus.devices.ageing import RUN_SECONDS, Ageing, TileDevices
from caduceus.devices.models import MODELS
from caduceus.devices.settings import Devices, Settings

NAMES = sorted(REFERENCES)
SHARES = np.array([0, 0.004, 0.02, 0.06, 0.09, 0.13, 0.2, 0.28, 0.4, 0.6, 0.8, 1.0])
"""Target conductances as shares of g_max: both sides of every threshold of the fits."""
COLUMNS = 1 << 15
"""Cells a level; each has two polarities, so 65,536 conductances."""
HOUR, DAY, MONTH = 3600.0, 86400.0, 30 * 86400.0
OLDEST = 1e10


def _settings(name: str, **effects: bool) -> Settings:
    """A model with these effects and no other."""
    off = dict.fromkeys(("programming_noise", "drift", "read_noise"), False)
    return Settings(format=1, model=name, **off | effects)


def _levels(name: str) -> np.ndarray:
    return np.rint(SHARES * REFERENCES[name].full).astype(np.int64)


def _targets(levels: np.ndarray, columns: int = COLUMNS) -> np.ndarray:
    """uint8 [levels, columns, 4]: both polarities of every cell of a row have the row's level."""
    first = np.minimum(levels, 255)
    devices = np.stack([first, levels - first] * 2, axis=1)
    return np.repeat(devices[:, np.newaxis], columns, axis=1).astype(np.uint8)


def _conductances(codes: np.ndarray) -> np.ndarray:
    """Codes of the polarities, [levels, 2 * columns]."""
    return codes.reshape(len(codes), -1, 2).sum(axis=-1, dtype=np.int64)


def _drawn(name: str, age: float, seed: int = 7, **effects: bool) -> tuple[np.ndarray, TileDevices]:
    devices = Ageing(Devices(_settings(name, **effects), seed, age)).tile(
        _targets(_levels(name)), 3
    )
    return _conductances(devices.codes), devices


def _codes(values: np.ndarray) -> np.ndarray:
    return np.rint(np.maximum(values, 0)).clip(0, 510)


def demand_programming(name: str) -> None:
    """Codes after programming have the published mean and spread at every level."""
    reference = REFERENCES[name]
    drawn, _ = _drawn(name, 0.0, programming_noise=True)
    for level, codes in zip(_levels(name), drawn, strict=True):
        sigma = reference.programming_codes(level / reference.full)
        expected = Moments.of(lambda z, level=level, sigma=sigma: _codes(level + sigma * z))
        expected.demand(codes, f"{name}, target {level}")


def demand_drift(name: str, ages: tuple[float, ...]) -> None:
    """Codes after drift, and the exponents that they show, are as published at every level."""
    reference = REFERENCES[name]
    for age in ages:
        drawn, _ = _drawn(name, age, drift=True)
        loss = reference.loss(age)
        for level, codes in zip(_levels(name), drawn, strict=True):
            x = level / reference.full
            mean, spread = reference.mean(x), reference.spread(x)

            def later(z, level=level, mean=mean, spread=spread, loss=loss):
                return _codes(level * np.exp(-np.abs(mean + spread * z) * loss))

            what = f"{name}, target {level}, {age:g} s"
            Moments.of(later).demand(codes, what)
            if level >= 50:
                exponent = partial(_exponent, level, loss)
                shown = Moments.of(lambda z, f=exponent, g=later: f(g(z)))
                shown.demand(exponent(codes), f"{what}, exponent")
                # Once they have lost more than a few codes, rounding hides little of it.
                assert age < DAY or shown.mean == pytest.approx(mean, rel=0.05)


def _exponent(level: int, loss: float, codes: np.ndarray) -> np.ndarray:
    return np.log(level / codes) / loss


def _slow(reference: Reference, age: float) -> float:
    """What Q multiplies in the codes: the published deviation without that of `RUN_SECONDS`."""
    fast = np.log((RUN_SECONDS + reference.t_read) / (2 * reference.t_read))
    return float(np.sqrt(reference.noise(age) ** 2 - fast))


def demand_read(name: str, ages: tuple[float, ...]) -> None:
    """Slow read noise in the codes and fast in the variance, together as published."""
    reference = REFERENCES[name]
    for age in ages:
        drawn, devices = _drawn(name, age, read_noise=True)
        slow = _slow(reference, age)
        for row, level in enumerate(_levels(name)):
            what = f"{name}, target {level}, {age:g} s"
            sigma = level * reference.read(level / reference.full)
            expected = Moments.of(lambda z, c=level, s=sigma * slow: _codes(c + s * z))
            expected.demand(drawn[row], what)
            # Of both polarities, the same for all cells.
            assert np.ptp(devices.variance[row]) == 0
            fast = devices.variance[row, 0] / 2
            assert fast + (sigma * slow) ** 2 == pytest.approx(
                (sigma * reference.noise(age)) ** 2, rel=1e-4
            ), what


@pytest.mark.parametrize("name", NAMES)
def test_programming_noise(name: str) -> None:
    demand_programming(name)


@pytest.mark.parametrize("name", NAMES)
def test_drift(name: str) -> None:
    demand_drift(name, (25.0, HOUR, DAY, MONTH, OLDEST))


@pytest.mark.parametrize("name", NAMES)
def test_read_noise(name: str) -> None:
    demand_read(name, (0.0, HOUR, MONTH))


CHECKS: dict[str, Callable[[str], None]] = {
    "programming": demand_programming,
    "drift_mean": partial(demand_drift, ages=(MONTH,)),
    "drift_sigma": partial(demand_drift, ages=(MONTH,)),
    "read": partial(demand_read, ages=(0.0,)),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", CHECKS)
def test_a_changed_coefficient_is_noticed(
    name: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every coefficient of an equation, one by one, 15 % larger.

    Except the thresholds: both sides of a fit join there too smoothly for moments to show it.
    """
    unnoticed = []
    for what, mutant in mutants(MODELS[name], 1.15):
        if what.split()[0] != part or what.endswith("threshold"):
            continue
        monkeypatch.setitem(MODELS, name, mutant)
        try:
            CHECKS[part](name)
        except AssertionError:
            continue
        unnoticed.append(what)
    assert not unnoticed


def _simulated(
    name: str, level: int, age: float, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Codes after all that happens to devices, from the equations and numpy's normals."""
    reference = REFERENCES[name]
    x = level / reference.full
    noise = rng.standard_normal((3, count))
    made = np.maximum(level + reference.programming_codes(x) * noise[0], 0)
    exponent = np.abs(reference.mean(x) + reference.spread(x) * noise[1])
    now = made * ((age + reference.t_0) / reference.t_0) ** -exponent
    relative = reference.read(made / reference.full) * _slow(reference, age)
    return _codes(now * (1 + relative * noise[2]))


@pytest.mark.parametrize("age", [HOUR, MONTH])
@pytest.mark.parametrize("name", NAMES)
def test_all_effects_together(name: str, age: float) -> None:
    """Each is where the equations have it: drift by target, read noise by what was programmed."""
    rng = np.random.default_rng(1)
    effects = dict.fromkeys(("programming_noise", "drift", "read_noise"), True)
    drawn, _ = _drawn(name, age, **effects)
    for level, codes in zip(_levels(name), drawn, strict=True):
        expected = _simulated(name, level, age, 1 << 20, rng)
        apart = expected - expected.mean()
        moments = Moments(expected.mean(), apart.var(), (apart**4).mean())
        # The simulation has errors of its own, a quarter of those of the draws.
        moments.demand(codes, f"{name}, target {level}, {age:g} s", errors=4.2)


@pytest.mark.parametrize("effect", ["programming_noise", "drift", "read_noise"])
def test_an_effect_can_be_left_out(effect: str) -> None:
    """Nothing is left of it, and the others are as they were."""
    levels = np.full(64, 200)
    effects = dict.fromkeys(("programming_noise", "drift", "read_noise"), True)
    with_it, without = (
        Ageing(Devices(_settings("hermes_tdp", **effects | {effect: on}), 1, DAY)).tile(
            _targets(levels, 64), 0
        )
        for on in (True, False)
    )
    assert not np.array_equal(with_it.codes, without.codes)
    assert (without.variance.max() == 0) == (effect == "read_noise")
    none = Ageing(Devices(_settings("hermes_tdp"), 1, DAY)).tile(_targets(levels, 64), 0)
    assert np.array_equal(none.codes, _targets(levels, 64)) and not none.variance.any()


def test_no_drift_at_age_0() -> None:
    drawn, _ = _drawn("hermes_tdp", 0.0, drift=True)
    assert (drawn == _levels("hermes_tdp")[:, np.newaxis]).all()


def test_the_first_device_of_a_polarity_is_filled_before_the_second() -> None:
    _, devices = _drawn("hermes_tdp", 0.0, programming_noise=True)
    first, second = devices.codes[..., ::2], devices.codes[..., 1::2]
    assert ((first == 255) | (second == 0)).all() and second.max() == 255


def test_devices_are_independent() -> None:
    """Neighbouring cells, polarities, and effects of one cell, to four standard errors."""
    levels = np.full(256, 200)
    targets = _targets(levels, 256)
    polarity = _conductances(
        Ageing(Devices(_settings("hermes_odp", programming_noise=True), 1, 0.0))
        .tile(targets, 0)
        .codes
    ).reshape(256, 256, 2)
    drifted = _conductances(
        Ageing(Devices(_settings("hermes_odp", drift=True), 1, MONTH)).tile(targets, 0).codes
    ).reshape(256, 256, 2)
    read = _conductances(
        Ageing(Devices(_settings("hermes_odp", read_noise=True), 1, MONTH)).tile(targets, 0).codes
    ).reshape(256, 256, 2)
    for one, other in (
        (polarity[..., 0], polarity[..., 1]),
        (polarity[:-1], polarity[1:]),
        (polarity[:, :-1], polarity[:, 1:]),
        (polarity, drifted),
        (polarity, read),
        (drifted, read),
    ):
        correlation = np.corrcoef(one.reshape(-1), other.reshape(-1))[0, 1]
        assert abs(correlation) < 4 / np.sqrt(one.size)
