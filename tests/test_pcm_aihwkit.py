"""Devices against IBM's aihwkit, where an interpreter that has it is found.

It runs in a process of its own, as it wants a PyTorch of its own. `AIHWKIT_PYTHON` in the
environment names the interpreter; else it is looked for where the set-up of the peers leaves it.
Bounds are 4.5 standard errors of the difference (p = 7e-6 each), and what the codes hide: stated
where it is.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from noise_statistics import Moments

from pcm.devices import Ageing
from pcm.models import MODELS
from pcm.settings import Settings

pytestmark = pytest.mark.regress

REPOSITORY = Path(__file__).resolve().parent.parent
COUNT = 1 << 16
SHARES = np.array([0, 0.02, 0.06, 0.09, 0.13, 0.2, 0.29, 0.4, 0.6, 0.8])
"""Of g_max. What is programmed above 510 codes is cut off, which aihwkit knows nothing of."""
AGES = {"25 s": 25.0, "1 h": 3600.0, "1 day": 86400.0, "1 month": 30 * 86400.0}
NAMES = sorted(MODELS)
ERRORS = 4.5


def _interpreter() -> str | None:
    places = [
        Path(os.environ.get("AIHWKIT_PYTHON", "")),
        *(REPOSITORY / place / "bin" / "python" for place in (".venv-peers", "build/peers")),
    ]
    for place in places:
        if place.is_file():
            ran = subprocess.run([place, "-c", "import aihwkit"], capture_output=True, check=False)
            if ran.returncode == 0:
                return str(place)
    return None


def _levels(name: str) -> np.ndarray:
    return np.rint(SHARES * MODELS[name].full_code).astype(np.int64)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    interpreter = _interpreter()
    if interpreter is None:
        pytest.skip("no interpreter with aihwkit")
    folder = tmp_path_factory.mktemp("aihwkit")
    request, answer = folder / "request.json", folder / "answer.npz"
    models = {
        name: {"full": MODELS[name].full_code, "levels": _levels(name).tolist()} for name in NAMES
    }
    wanted = {"models": models, "count": COUNT, "ages": list(AGES.values())}
    request.write_text(json.dumps(wanted), encoding="utf-8")
    script = REPOSITORY / "tests" / "aihwkit_draws.py"
    subprocess.run([interpreter, script, request, answer], check=True)
    with np.load(answer) as file:
        return {key: file[key].astype(np.float64) for key in file.files}


def _ours(name: str, age: float, **effects: bool) -> tuple[np.ndarray, np.ndarray]:
    """Codes of polarities [levels, COUNT], and the variance of each from read to read."""
    off = dict.fromkeys(("programming_noise", "drift", "read_noise"), False)
    levels = _levels(name)
    first = np.minimum(levels, 255)
    devices = np.stack([first, levels - first] * 2, axis=1)
    targets = np.repeat(devices[:, np.newaxis], COUNT // 2, axis=1).astype(np.uint8)
    made = Ageing(Settings(format=1, model=name, **off | effects), 3, age).tile(targets, 1)
    # A cell's variance is that of its two polarities: half of it each, on average.
    return (
        made.codes.reshape(len(levels), -1, 2).sum(axis=-1, dtype=np.int64),
        made.variance.mean(axis=1) / 2,
    )


def _error_of_variance(values: np.ndarray) -> float:
    apart = values - values.mean()
    return float(np.sqrt(((apart**4).mean() - apart.var() ** 2) / values.size))


def _demand(
    what: str, ours: np.ndarray, theirs: np.ndarray, fast: float = 0.0, hidden: float = 0.0
) -> None:
    """Same mean and variance; `fast` is what our reads add to the codes' variance.

    `hidden` is by how much, in codes, a mean and a deviation may differ besides.
    """
    error = np.sqrt((ours.var() + fast + theirs.var()) / COUNT)
    mean = ours.mean() - theirs.mean()
    deviations = np.sqrt([ours.var() + fast, theirs.var()])
    print(
        f"{what}: mean {ours.mean():.3f} and {theirs.mean():.3f} +- {error:.3f}, "
        f"deviation {deviations[0]:.3f} and {deviations[1]:.3f}"
    )
    assert abs(mean) < ERRORS * error + hidden, what
    spread = np.hypot(_error_of_variance(ours), _error_of_variance(theirs))
    spread /= 2 * max(deviations.max(), 1e-9)
    assert abs(deviations[0] - deviations[1]) < ERRORS * spread + hidden, what


@pytest.mark.parametrize("name", NAMES)
def test_programming(name: str, theirs: dict[str, np.ndarray]) -> None:
    """Their conductances rounded to codes, as ours are."""
    ours, _ = _ours(name, 0.0, programming_noise=True)
    for level, drawn, programmed in zip(
        _levels(name), ours, theirs[f"{name}.programmed"], strict=True
    ):
        _demand(f"{name}, {level}", drawn, np.rint(programmed).clip(0, 510))


@pytest.mark.parametrize("name", NAMES)
def test_drift_exponents(name: str, theirs: dict[str, np.ndarray]) -> None:
    """Theirs against our equations, and against what our codes show after a month."""
    model, age = MODELS[name], AGES["1 month"]
    loss = np.log((age + model.t_0) / model.t_0)
    ours, _ = _ours(name, age, drift=True)
    for level, codes, exponents in zip(
        _levels(name), ours, theirs[f"{name}.exponent"], strict=True
    ):
        x = level / model.full_code
        mean, spread = model.drift_mean(x), model.drift_sigma(x)
        expected = Moments.of(lambda z, mean=mean, spread=spread: np.abs(mean + spread * z))
        assert exponents.mean() == pytest.approx(expected.mean, abs=ERRORS * spread / 256)
        assert exponents.std() == pytest.approx(np.sqrt(expected.variance), rel=0.015)
        if level >= 50:
            shown = np.log(level / np.maximum(codes, 0.5)) / loss
            _demand(f"{name}, {level}: exponent", shown, exponents, hidden=0.0003)
            # A median may be half a code away.
            assert np.median(shown) == pytest.approx(
                np.median(exponents), abs=0.5 / np.median(codes) / loss
            )


@pytest.mark.parametrize("name", NAMES)
def test_read_noise(name: str, theirs: dict[str, np.ndarray]) -> None:
    """Slow and fast part together; where there is enough of it to be seen in codes."""
    for row, age in enumerate(AGES.values()):
        ours, fast = _ours(name, age, read_noise=True)
        for column, level in enumerate(_levels(name)):
            read = theirs[f"{name}.read"][row, column]
            # Rounding to codes adds a twelfth. What falls below 0 is cut off, theirs of all
            # fluctuations, ours of the slow ones.
            cut = 0.02 * level if name == "generic" and level < 40 else 0.0
            _demand(f"{name}, {level}, {age:g} s", ours[column], read, fast[column], 0.15 + cut)


@pytest.mark.parametrize("name", NAMES)
def test_aged_devices(name: str, theirs: dict[str, np.ndarray]) -> None:
    """Everything together, at four ages."""
    effects = dict.fromkeys(("programming_noise", "drift", "read_noise"), True)
    for row, age in enumerate(AGES.values()):
        ours, fast = _ours(name, age, **effects)
        for column, level in enumerate(_levels(name)):
            aged = theirs[f"{name}.aged"][row, column]
            # As for read noise.
            cut = 0.02 * level if name == "generic" and level < 40 else 0.0
            _demand(f"{name}, {level}, {age:g} s", ours[column], aged, fast[column], 0.15 + cut)
