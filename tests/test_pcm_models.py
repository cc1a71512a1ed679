"""Device models: the published equations at many conductances, written down a second time."""

from dataclasses import replace

import numpy as np
import pytest
from pcm_reference import REFERENCES

from caduceus.devices.models import MODELS, DeviceModel, Fit, PowerFit

NAMES = sorted(REFERENCES)
JUST_BELOW_ONE = 1 - 1e-12
THRESHOLDS = (0.0945, 0.1591, 0.16, 0.3039, 0.3055)
XS = np.unique(
    [0, 1e-9, 1e-7, *np.geomspace(1e-8, 1, 60), *np.linspace(0, 1, 96)]
    + [value * factor for value in THRESHOLDS for factor in (JUST_BELOW_ONE, 1, 1 + 1e-12)]
)


def demand_equations(model: DeviceModel) -> None:
    """All of the model's equations agree with the reference's at every x."""
    reference = REFERENCES[model.name]
    for name, ours, theirs in (
        ("programming noise", model.programming_sigma, reference.programming),
        ("drift, mean", model.drift_mean, reference.mean),
        ("drift, spread", model.drift_sigma, reference.spread),
        ("read noise", model.read, reference.read),
    ):
        got = [ours(float(x)) for x in XS]
        np.testing.assert_allclose(got, theirs(XS), rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_equations_are_the_published_ones(name: str) -> None:
    model, reference = MODELS[name], REFERENCES[name]
    demand_equations(model)
    assert (model.name, model.full_code) == (name, reference.full)
    assert (model.g_max, model.t_0, model.t_read) == (
        reference.g_max, reference.t_0, reference.t_read,
    )  # fmt: skip
    assert model.devices == (1 if name == "hermes_odp" else 2)


def test_every_model_has_a_reference() -> None:
    assert set(MODELS) == set(REFERENCES)


@pytest.mark.parametrize(
    ("name", "x", "sigma"),
    [
        ("hermes_odp", 1.0, 1.008),
        ("hermes_tdp", 1.0, 1.093),
        ("hermes_odp", 0.0, 0.15781817),
        ("hermes_tdp", 0.0, 0.16603222),
        ("generic", 1.0, 1.05538),
    ],
)
def test_published_programming_noise(name: str, x: float, sigma: float) -> None:
    """In uS, with the digits that the record gives."""
    assert MODELS[name].programming_sigma(x) == pytest.approx(sigma, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "what", "x", "value"),
    [
        # Limits, far below and above the thresholds.
        ("hermes_odp", "drift_mean", 0.0, 0.13),
        ("hermes_odp", "drift_mean", 1.0, 0.0174),
        ("hermes_odp", "drift_sigma", 0.0, 0.04),
        ("hermes_odp", "drift_sigma", 0.3038, 0.0124),
        ("hermes_odp", "read", 0.0, 0.04),
        ("hermes_odp", "read", 0.159, 0.0181430),
        ("hermes_odp", "read", 1.0, 0.0168),
        ("hermes_tdp", "drift_sigma", 0.3054, 0.0091),
        ("hermes_tdp", "read", 0.1599, 0.015),
        ("hermes_tdp", "read", 1.0, 0.0123),
        ("generic", "drift_mean", 0.0, 0.1),
        ("generic", "drift_mean", 1.0, 0.049),
        ("generic", "drift_sigma", 0.0, 0.045),
        ("generic", "drift_sigma", 1.0, 0.008),
        ("generic", "read", 0.0, 0.2),
        ("generic", "read", 1.0, 0.0088),
    ],
)
def test_limits(name: str, what: str, x: float, value: float) -> None:
    assert getattr(MODELS[name], what)(x) == pytest.approx(value, abs=1e-7)


def mutants(model: DeviceModel, factor: float) -> list[tuple[str, DeviceModel]]:
    """The model with one coefficient of an equation changed, and which."""
    found = [
        (
            f"programming {place}",
            replace(model, programming=_scaled(model.programming, place, factor)),
        )
        for place in range(len(model.programming))
    ]
    for part in ("drift_mean", "drift_sigma", "read"):
        fit = getattr(model, part)
        names = ("factor", "exponent", "high")
        if isinstance(fit, Fit):
            names = ("slope", "intercept", "low", "high") + ("threshold",) * bool(fit.polynomial)
            found += [
                (f"{part} {place}", replace(model, **{part: replace(fit, polynomial=new)}))
                for place in range(len(fit.polynomial))
                for new in [_scaled(fit.polynomial, place, factor)]
            ]
        found += [
            (f"{part} {name}", replace(model, **{part: replace(fit, **{name: value * factor})}))
            for name in names
            for value in [getattr(fit, name)]
        ]
    return found


def _scaled(values: tuple[float, ...], place: int, factor: float) -> tuple[float, ...]:
    return (*values[:place], values[place] * factor, *values[place + 1 :])


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_coefficient_is_noticed(name: str) -> None:
    unnoticed = []
    for what, mutant in mutants(MODELS[name], 1.15):
        try:
            demand_equations(mutant)
        except AssertionError:
            continue
        unnoticed.append(what)
    assert not unnoticed


def test_fits_are_limited() -> None:
    fit = Fit(-1.0, 0.0, 0.5, 2.0)
    assert [fit(x) for x in (0, 1e-9, 1.0, 5.0)] == [2.0, 2.0, 0.5, 0.5]
    assert PowerFit(1.0, 0.5, 0.1, 7.0)(0.0) == 7.0
    assert PowerFit(1.0, 0.5, 0.2, 7.0)(0.0) == 5.0
