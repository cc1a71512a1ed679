"""Random numbers and functions that give the same bits on every machine.

Libraries of elementary functions differ in their last digits from machine to machine. This module
uses only additions, multiplications, divisions and square roots, which IEEE 754 defines to the
last bit, in a fixed order; Python's decimal numbers, which are the same everywhere;
and a generator whose stream numpy keeps (NEP 19).
"""

from decimal import Context, Decimal
from math import factorial

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.formats import SAMPLE_FRACTION
from caduceus.spec.read_noise import BYTES_PER_SAMPLE, QUANTILES

_DECIMAL = Context(prec=30)
_TERMS = tuple(1 / factorial(power) for power in range(18))
"""Taylor's series of exp, constant first: enough for arguments up to ln 2."""
_SPLIT = 24
"""Bits after the point of a tabulated value: its products with random numbers are exact."""


def ln(x: float) -> float:
    """Natural logarithm of x > 0."""
    return float(Decimal(x).ln(_DECIMAL))


_LN2 = ln(2)


def power(x: float, exponent: float) -> float:
    """Power of x, 0 or more, to an exponent above 0."""
    return float(_DECIMAL.power(Decimal(x), Decimal(exponent)))


def tabulated(values: list[float]) -> NDArray[np.float64]:
    """Values of a formula, rounded to 2**-24."""
    return np.rint(np.array(values, dtype=np.float64) * 2.0**_SPLIT) * 2.0**-_SPLIT


def decay(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(-y) for y from 0 to 700, to 13 digits; to 15 for y up to 10."""
    halvings = np.floor(y / _LN2)
    rest = halvings * _LN2 - y
    value = np.full_like(y, _TERMS[-1])
    for term in _TERMS[-2::-1]:
        value *= rest
        value += term
    return np.ldexp(value, -halvings.astype(np.int32))


class Stream:
    """Random numbers of one purpose in one tile: independent of all other draws.

    Philox4x64-10 (Salmon et al., SC 2011), the key being the seed, purpose, number of the
    programming, and tile.
    """

    def __init__(self, seed: int, purpose: int, tile: int, programming: int = 0) -> None:
        key = np.array([seed, purpose << 32 | programming << 16 | tile], dtype=np.uint64)
        self._words = np.random.Philox(key=key)

    def _bytes(self, count: int) -> NDArray[np.uint8]:
        words = self._words.random_raw(-(-count // 8))
        return words.astype("<u8").view(np.uint8)[:count]

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Standard normal numbers, multiples of 2**-10 up to 5.8: those of the read noise."""
        level = np.array(QUANTILES, dtype=np.int16)
        taken = level[self._bytes(BYTES_PER_SAMPLE * int(np.prod(shape)))]
        total = taken.reshape(*shape, BYTES_PER_SAMPLE).sum(axis=-1, dtype=np.int64)
        return total * 2.0**-SAMPLE_FRACTION

    def uniform(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Numbers in [0, 1), multiples of 2**-32."""
        words = self._bytes(4 * int(np.prod(shape))).view("<u4").reshape(shape)
        return words * 2.0**-32
