"""Record what aihwkit's noise models draw: writes `tests/data/aihwkit_moments.json`.

    PYTHONPATH=. .venv-peers/bin/python tests/record_aihwkit.py

by an interpreter that has aihwkit (`make peers`). The file has for each model target codes
(`levels`), and for each of these, and of the ages where they matter, what `COUNT` draws have for
mean, variance, fourth central moment and median, in codes:

    programmed   [levels][4]         rounded to codes, as devices here are, and cut off at 510
    exponent     [levels][4]         drift exponents
    aged         [ages][levels][4]   programmed, drifted and read
    read         [ages][levels][4]   read noise alone: targets, read at that age
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from aihwkit.inference.noise.hermes import HermesNoiseModel
from aihwkit.inference.noise.pcm import PCMLikeNoiseModel
from numpy.typing import NDArray

from caduceus.devices.models import MODELS

RECORD = Path(__file__).resolve().parent / "data" / "aihwkit_moments.json"
COUNT = 1 << 16
SHARES = np.array([0, 0.02, 0.06, 0.09, 0.13, 0.2, 0.29, 0.4, 0.6, 0.8])
"""Of g_max. What is programmed above 510 codes is cut off, which aihwkit knows nothing of."""
AGES = [25.0, 3600.0, 86400.0, 30 * 86400.0]
LARGEST_CODE = 510
THEIRS = {
    "generic": lambda: PCMLikeNoiseModel(g_max=25.0),
    "hermes_odp": lambda: HermesNoiseModel(num_devices=1),
    "hermes_tdp": lambda: HermesNoiseModel(num_devices=2),
}


def _moments(drawn: torch.Tensor | NDArray) -> list[list[float]]:
    """Of each row."""
    values = np.asarray(drawn, np.float64)
    apart = values - values.mean(axis=-1, keepdims=True)
    found = values.mean(-1), (apart**2).mean(-1), (apart**4).mean(-1), np.median(values, axis=-1)
    return [[float(f"{value:.9g}") for value in row] for row in np.stack(found, axis=-1)]


def _drawn(name: str) -> dict[str, list]:
    model, full = THEIRS[name](), MODELS[name].full_code
    unit = model.g_max / full
    levels = np.rint(SHARES * full).astype(int).tolist()
    target = (torch.tensor(levels, dtype=torch.float64)[:, None] * unit).repeat(1, COUNT)
    # The drawing functions change what they are given.
    programmed = model.apply_programming_noise_to_conductance(target.clone())
    exponent = model.generate_drift_coefficients(target.clone())

    def at(age: float, conductances: torch.Tensor, exponents: torch.Tensor) -> list[list[float]]:
        drifted = model.apply_drift_noise_to_conductance(
            conductances.clone(), exponents.clone(), age
        )
        return _moments(drifted / unit)

    none = torch.zeros_like(target)
    return {
        "levels": levels,
        "programmed": _moments(np.rint(np.asarray(programmed / unit)).clip(0, LARGEST_CODE)),
        "exponent": _moments(exponent),
        "aged": [at(age, programmed, exponent) for age in AGES],
        "read": [at(age, target, none) for age in AGES],
    }


def main() -> None:
    """Draw and write."""
    torch.manual_seed(1)
    record = {
        "aihwkit": version("aihwkit"),
        "count": COUNT,
        "ages": AGES,
        "models": {name: _drawn(name) for name in THEIRS},
    }
    RECORD.write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
