"""Published device models, written down a second time.

The equations stand here as in IBM's aihwkit (`PCMLikeNoiseModel`, `HermesNoiseModel`), on arrays
and with numpy's logarithm; nothing is taken from `devices`. x is g / g_max.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _ln(x: Floats) -> Floats:
    return np.log(np.clip(x, 1e-7, None))


def _generic_programming(x: Floats) -> Floats:
    return 0.26348 + 1.9650 * x - 1.1731 * x**2


def _generic_mean(x: Floats) -> Floats:
    return np.clip(-0.0155 * _ln(x) + 0.0244, 0.049, 0.1)


def _generic_spread(x: Floats) -> Floats:
    return np.clip(-0.0125 * _ln(x) - 0.0059, 0.008, 0.045)


def _generic_read(x: Floats) -> Floats:
    return np.minimum(0.2, 0.0088 / np.maximum(1e-3, x**0.65))


def _hermes_mean(x: Floats) -> Floats:
    low = np.clip(-0.0387 * _ln(x) - 0.0182, 0.0720, 0.13)
    return np.where(x < 0.0945, low, -0.0436 * x**2 - 0.0126 * x + 0.0736)


def _odp_programming(x: Floats) -> Floats:
    return 0.15781817 + 2.32443916 * x - 2.16310839 * x**2 + 0.68841818 * x**3


def _odp_spread(x: Floats) -> Floats:
    low = np.clip(-0.0120 * _ln(x) - 0.0023, 0.0124, 0.04)
    return np.where(x < 0.3039, low, -0.0165 * x**2 + 0.0116 * x + 0.0104)


def _odp_read(x: Floats) -> Floats:
    low = np.clip(-0.0078 * _ln(x) + 0.0038, 0.0179, 0.04)
    return np.where(x < 0.1591, low, 0.0664 * x**3 - 0.1352 * x**2 + 0.0768 * x + 0.0088)


def _tdp_programming(x: Floats) -> Floats:
    return 0.16603222 + 4.71806468 * x - 8.48101252 * x**2 + 4.68961419 * x**3


def _tdp_spread(x: Floats) -> Floats:
    low = np.clip(-0.0117 * _ln(x) - 0.0057, 0.0091, 0.04)
    return np.where(x < 0.3055, low, -0.0118 * x**2 + 0.0093 * x + 0.0073)


def _tdp_read(x: Floats) -> Floats:
    low = np.clip(-0.0117 * _ln(x) - 0.0069, 0.015, 0.04)
    return np.where(x < 0.16, low, 0.0069 * x**3 - 0.0280 * x**2 + 0.0211 * x + 0.0123)


@dataclass(frozen=True)
class Reference:
    """A model: `programming` in uS, the others without unit, all of x.

    `full` is the code of `g_max`; t_0 and t_read are in seconds.
    """

    full: int
    g_max: float
    t_0: float
    t_read: float
    programming: Callable[[Floats], Floats]
    mean: Callable[[Floats], Floats]
    spread: Callable[[Floats], Floats]
    read: Callable[[Floats], Floats]

    def programming_codes(self, x: Floats) -> Floats:
        """Standard deviation of a programmed conductance in codes."""
        return self.programming(x) * self.full / self.g_max

    def loss(self, age: float) -> float:
        """ln((t + t_0) / t_0): what the drift exponent multiplies."""
        return float(np.log((age + self.t_0) / self.t_0))

    def noise(self, age: float) -> float:
        """What Q multiplies: the published deviation of a read, all time scales together."""
        t = age + self.t_0
        return float(np.sqrt(np.log((t + self.t_read) / (2 * self.t_read))))


REFERENCES = {
    "generic": Reference(
        510, 25.0, 20.0, 250e-9,
        _generic_programming, _generic_mean, _generic_spread, _generic_read,
    ),
    "hermes_odp": Reference(
        255, 10.35, 200.0, 512e-9, _odp_programming, _hermes_mean, _odp_spread, _odp_read
    ),
    "hermes_tdp": Reference(
        510, 20.7, 300.0, 512e-9, _tdp_programming, _hermes_mean, _tdp_spread, _tdp_read
    ),
}  # fmt: skip
