"""Mean and deviation of results that differ by chance."""

from collections.abc import Sequence
from math import nan, sqrt


def mean_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and standard deviation of the population that the values are a sample of.

    One value says nothing about the deviation: it is then not a number.

    Args:
        values: one or more.
    """
    mean = sum(values) / len(values)
    if len(values) == 1:
        return mean, nan
    return mean, sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
