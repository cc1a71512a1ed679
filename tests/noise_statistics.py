"""The exact distribution of a sample of noise, and whether what was drawn is of it.

Expected values are sums over every value that a sample can have. A bound is so many standard
errors; p is the chance that a fair draw breaks it, for a normal distribution of the statistic.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.formats import SAMPLE_FRACTION
from caduceus.spec.read_noise import QUANTILES

Floats = NDArray[np.float64]


@cache
def sample_distribution() -> tuple[Floats, Floats]:
    """Every value that a sum of four quantiles can have, in deviations, and its probability."""
    most = max(QUANTILES)
    one = np.zeros(2 * most + 1)
    np.add.at(one, np.array(QUANTILES) + most, 1 / len(QUANTILES))
    two = np.convolve(one, one)
    four = np.convolve(two, two)
    values = np.arange(-4 * most, 4 * most + 1)
    taken = four > 1e-13  # 2**-32 is the least there is; what is below came from rounding
    return values[taken] / 2**SAMPLE_FRACTION, four[taken] / four[taken].sum()


@dataclass(frozen=True)
class Moments:
    """Mean, variance and fourth central moment of a distribution."""

    mean: float
    variance: float
    fourth: float

    @classmethod
    def of(cls, function: Callable[[Floats], Floats]) -> "Moments":
        """Those of a function of a sample."""
        values, chance = sample_distribution()
        results = function(values)
        mean = chance @ results
        apart = results - mean
        return cls(float(mean), float(chance @ apart**2), float(chance @ apart**4))

    def demand_mean(self, drawn: NDArray, what: str, errors: float = 4.0) -> None:
        """The mean of `drawn` must be within so many standard errors of this."""
        error = np.sqrt(self.variance / drawn.size)
        assert abs(drawn.mean() - self.mean) <= errors * error + 1e-9, (
            f"{what}: mean {drawn.mean():.5f}, not {self.mean:.5f} +- {error:.5f}"
        )

    def demand(self, drawn: NDArray, what: str, errors: float = 4.0) -> None:
        """Mean and variance of `drawn` must be within so many standard errors of these.

        Four of a normal distribution's are passed by chance once in 15,800 times.
        """
        self.demand_mean(drawn, what, errors)
        count = drawn.size
        spread = ((drawn - self.mean) ** 2).mean()
        spread_error = np.sqrt(max(self.fourth - self.variance**2, 0) / count)
        assert abs(spread - self.variance) <= errors * spread_error + 1e-9, (
            f"{what}: variance {spread:.5f}, not {self.variance:.5f} +- {spread_error:.5f}"
        )


def upper_p(chi_square: float, freedom: int) -> float:
    """Chance of a larger chi-square (Wilson and Hilferty's approximation)."""
    part = 2 / (9 * freedom)
    z = ((chi_square / freedom) ** (1 / 3) - (1 - part)) / sqrt(part)
    return erfc(z / sqrt(2)) / 2


def demand_distribution(drawn: NDArray) -> None:
    """Samples, in deviations, are of the distribution: moments, tails, every part of the range.

    Raises:
        AssertionError: names the first thing that is wrong. p is below 1e-4 for each.
    """
    count = drawn.size
    Moments.of(lambda z: z).demand(drawn, "sample")
    for power, name in ((3, "third moment"), (4, "fourth moment")):
        Moments.of(lambda z, power=power: z**power).demand_mean(drawn**power, name)
    values, chance = sample_distribution()
    for limit in (1, 2, 3, 4):
        expected = count * chance[np.abs(values) > limit].sum()
        for side in (drawn > limit, drawn < -limit):
            away, error = side.sum() - expected / 2, sqrt(expected / 2)
            assert abs(away) <= 4 * error, f"{away:.1f} +- {error:.1f} too many beyond {limit}"

    # Every value, in about a thousand bins of the same chance.
    cumulated = np.cumsum(chance)
    edges = np.unique(np.searchsorted(cumulated, np.linspace(0, 1, 1001)[1:-1]))
    expected = count * np.diff(np.concatenate([[0], cumulated[edges], [1]]))
    bins = np.searchsorted(values[edges], drawn.reshape(-1), side="left")
    found = np.bincount(bins, minlength=len(expected))
    p = upper_p(float(((found - expected) ** 2 / expected).sum()), len(expected) - 1)
    assert 1e-4 < p < 1 - 1e-4, f"chi-square: p = {p:.2g}"

    # Kolmogorov and Smirnov: 2.23 is passed with p = 1e-4, less often where values are discrete.
    order = np.sort(drawn.reshape(-1))
    below = np.searchsorted(order, values, side="right") / count
    distance = np.abs(below - cumulated).max() * sqrt(count)
    assert distance < 2.23, f"Kolmogorov-Smirnov: {distance:.2f}"


def demand_independence(one: NDArray, other: NDArray, what: str) -> None:
    """Neither values nor squares of two sets of samples have to do with each other.

    Raises:
        AssertionError: a correlation is beyond four standard errors, p = 6e-5.
    """
    pair = one.reshape(-1).astype(np.float64), other.reshape(-1).astype(np.float64)
    for name, functions in (
        ("values", (np.asarray, np.asarray)),
        ("squares", (np.square, np.square)),
        ("value and square", (np.asarray, np.square)),
        ("square and value", (np.square, np.asarray)),
    ):
        correlation = np.corrcoef(*(f(side) for f, side in zip(functions, pair, strict=True)))[0, 1]
        assert abs(correlation) < 4 / sqrt(one.size), f"{what}, {name}: {correlation:.5f}"
