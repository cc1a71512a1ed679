"""Devices against draws of IBM's aihwkit, of which moments are recorded (`record_aihwkit.py`).

Bounds are 4.5 standard errors of the difference (p = 7e-6 each), and what the codes hide: stated
where it is.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from noise_statistics import Moments

from caduceus.devices.ageing import Ageing
from caduceus.devices.models import MODELS
from caduceus.devices.settings import Devices, Settings

RECORD = json.loads(
    (Path(__file__).resolve().parent / "data" / "aihwkit_moments.json").read_text(encoding="utf-8")
)
COUNT, AGES = RECORD["count"], RECORD["ages"]
MONTH = 30 * 86400.0
NAMES = sorted(RECORD["models"])
ERRORS = 4.5


@dataclass(frozen=True)
class Drawn:
    """What `COUNT` draws have: central moments, and the median."""

    mean: float
    variance: float
    fourth: float
    median: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Drawn":
        apart = values - values.mean()
        return cls(values.mean(), values.var(), (apart**4).mean(), float(np.median(values)))

    def error_of_variance(self) -> float:
        return float(np.sqrt((self.fourth - self.variance**2) / COUNT))


def _levels(name: str) -> np.ndarray:
    return np.array(RECORD["models"][name]["levels"])


def _theirs(name: str, what: str, *age: int) -> list[Drawn]:
    """Recorded of each level, at an age where there are several."""
    rows = RECORD["models"][name][what]
    for index in age:
        rows = rows[index]
    return [Drawn(*row) for row in rows]


def test_the_record_is_of_all_models() -> None:
    assert sorted(MODELS) == NAMES and AGES[-1] == MONTH
    for name, recorded in RECORD["models"].items():
        assert recorded["levels"][-1] > MODELS[name].full_code // 2
        assert len(recorded["read"]) == len(recorded["aged"]) == len(AGES)


def _ours(name: str, age: float, **effects: bool) -> tuple[np.ndarray, np.ndarray]:
    """Codes of polarities [levels, COUNT], and the variance of each from read to read."""
    off = dict.fromkeys(("programming_noise", "drift", "read_noise"), False)
    levels = _levels(name)
    first = np.minimum(levels, 255)
    devices = np.stack([first, levels - first] * 2, axis=1)
    targets = np.repeat(devices[:, np.newaxis], COUNT // 2, axis=1).astype(np.uint8)
    made = Ageing(Devices(Settings(format=1, model=name, **off | effects), 3, age)).tile(targets, 1)
    # A cell's variance is that of its two polarities: half of it each, on average.
    return (
        made.codes.reshape(len(levels), -1, 2).sum(axis=-1, dtype=np.int64),
        made.variance.mean(axis=1) / 2,
    )


def _demand(
    what: str, values: np.ndarray, theirs: Drawn, fast: float = 0.0, hidden: float = 0.0
) -> None:
    """Same mean and variance; `fast` is what our reads add to the codes' variance.

    `hidden` is by how much, in codes, a mean and a deviation may differ besides.
    """
    ours = Drawn.of(values)
    error = np.sqrt((ours.variance + fast + theirs.variance) / COUNT)
    deviations = np.sqrt([ours.variance + fast, theirs.variance])
    reported = (
        f"{what}: mean {ours.mean:.3f} and {theirs.mean:.3f} +- {error:.3f}, "
        f"deviation {deviations[0]:.3f} and {deviations[1]:.3f}"
    )
    assert abs(ours.mean - theirs.mean) < ERRORS * error + hidden, reported
    spread = np.hypot(ours.error_of_variance(), theirs.error_of_variance())
    spread /= 2 * max(deviations.max(), 1e-9)
    assert abs(deviations[0] - deviations[1]) < ERRORS * spread + hidden, reported


@pytest.mark.parametrize("name", NAMES)
def test_programming(name: str) -> None:
    """Their conductances rounded to codes, as ours are."""
    ours, _ = _ours(name, 0.0, programming_noise=True)
    for level, drawn, programmed in zip(
        _levels(name), ours, _theirs(name, "programmed"), strict=True
    ):
        _demand(f"{name}, {level}", drawn, programmed)


@pytest.mark.parametrize("name", NAMES)
def test_drift_exponents(name: str) -> None:
    """Theirs against our equations, and against what our codes show after a month."""
    model = MODELS[name]
    loss = np.log((MONTH + model.t_0) / model.t_0)
    ours, _ = _ours(name, MONTH, drift=True)
    for level, codes, exponents in zip(_levels(name), ours, _theirs(name, "exponent"), strict=True):
        x = level / model.full_code
        mean, spread = model.drift_mean(x), model.drift_sigma(x)
        expected = Moments.of(lambda z, mean=mean, spread=spread: np.abs(mean + spread * z))
        assert exponents.mean == pytest.approx(expected.mean, abs=ERRORS * spread / 256)
        assert exponents.variance == pytest.approx(expected.variance, rel=0.03)
        if level >= 50:
            shown = np.log(level / np.maximum(codes, 0.5)) / loss
            _demand(f"{name}, {level}: exponent", shown, exponents, hidden=0.0003)
            # A median may be half a code away.
            assert np.median(shown) == pytest.approx(
                exponents.median, abs=0.5 / np.median(codes) / loss
            )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("what", "effects"),
    [
        ("read", ("read_noise",)),
        ("aged", ("programming_noise", "drift", "read_noise")),
    ],
)
def test_reads_at_all_ages(name: str, what: str, effects: tuple[str, ...]) -> None:
    """Slow and fast part together; where there is enough of it to be seen in codes."""
    for row, age in enumerate(AGES):
        ours, fast = _ours(name, age, **dict.fromkeys(effects, True))
        theirs = _theirs(name, what, row)
        for column, level in enumerate(_levels(name)):
            # Rounding to codes adds a twelfth. What falls below 0 is cut off, theirs of all
            # fluctuations, ours of the slow ones.
            cut = 0.02 * level if name == "generic" and level < 40 else 0.0
            _demand(
                f"{name}, {level}, {age:g} s", ours[column], theirs[column], fast[column],
                0.15 + cut,
            )  # fmt: skip
