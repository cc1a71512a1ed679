"""Numbers that are the same everywhere: functions, and streams of random numbers."""

import math

import numpy as np
import pytest
from noise_statistics import Moments

from caduceus.devices.exact import Stream, decay, ln, power, tabulated


def test_logarithm_and_power() -> None:
    xs = [*np.geomspace(1e-7, 1e10, 300).tolist(), 1.0, 2.0]
    assert [ln(x) for x in xs] == pytest.approx([math.log(x) for x in xs], rel=1e-15, abs=1e-15)
    assert [power(x, 0.65) for x in xs] == pytest.approx([x**0.65 for x in xs], rel=1e-15)
    assert power(0.0, 0.65) == 0
    # To the last bit, from a table of mathematical constants.
    assert ln(2) == 0.69314718055994530942
    assert ln(10) == 2.30258509299404568402


def test_decay() -> None:
    for most, error in ((10, 2e-15), (700, 2e-13)):
        y = np.concatenate([[0.0], np.geomspace(1e-9, most, 5000)])
        # numpy's own exponential function, in 64 bits or more of fraction where there are.
        expected = np.exp(-y.astype(np.longdouble))
        assert np.abs(decay(y) / expected - 1).max() < error
    assert decay(np.zeros(3)).tolist() == [1.0, 1.0, 1.0]


def test_tabulated_values_are_coarse() -> None:
    values = [0.0, 1 / 3, math.pi, 27.123456789, 1e-9]
    table = tabulated(values)
    assert np.abs(table - values).max() <= 2.0**-25
    scaled = table * 2.0**24
    assert np.array_equal(scaled, np.rint(scaled))


def _philox4x64(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x64-10 of Salmon et al. (SC 2011), on Python's integers."""
    mask = (1 << 64) - 1
    for _ in range(10):
        products = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
        counter = [
            (products[1] >> 64) ^ counter[1] ^ key[0], products[1] & mask,
            (products[0] >> 64) ^ counter[3] ^ key[1], products[0] & mask,
        ]  # fmt: skip
        key = [
            (part + step) & mask
            for part, step in zip(key, (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B), strict=True)
        ]
    return counter


def test_streams_are_philox_of_seed_purpose_and_tile() -> None:
    seed, purpose, tile = (1 << 64) - 3, 4, 77
    # numpy counts up before it draws.
    words = [
        word
        for block in (1, 2, 3)
        for word in _philox4x64([block, 0, 0, 0], [seed, purpose << 32 | tile])
    ]
    octets = b"".join(word.to_bytes(8, "little") for word in words)
    uniform = Stream(seed, purpose, tile).uniform((5, 2))
    expected = np.frombuffer(octets[:40], "<u4").reshape(5, 2) / 2**32
    assert np.array_equal(uniform, expected)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_streams_begin_the_same_whatever_their_length(count: int) -> None:
    whole = Stream(1, 2, 3)
    part = Stream(1, 2, 3)
    assert np.array_equal(part.normal((count,)), whole.normal((9,))[:count])


def test_normal_numbers() -> None:
    drawn = Stream(5, 0, 0).normal((1 << 20,))
    Moments.of(lambda z: z).demand(drawn, "normal")
    Moments.of(np.square).demand(drawn**2, "square")
    assert np.array_equal(drawn * 1024, np.rint(drawn * 1024))


def test_uniform_numbers() -> None:
    drawn = Stream(5, 3, 0).uniform((1 << 20,))
    assert drawn.min() >= 0 and drawn.max() < 1
    counts = np.histogram(drawn, bins=1024, range=(0, 1))[0]
    chi_square = ((counts - 1024) ** 2 / 1024).sum()
    assert abs(chi_square - 1023) < 4 * np.sqrt(2 * 1023)


@pytest.mark.parametrize("other", [(6, 0, 0), (5, 1, 0), (5, 0, 1), (5 + (1 << 32), 0, 0)])
def test_streams_are_independent(other: tuple[int, int, int]) -> None:
    count = 1 << 18
    here, there = (Stream(*key).normal((count,)) for key in ((5, 0, 0), other))
    for function in (lambda z: z, np.square):
        correlation = np.corrcoef(function(here), function(there))[0, 1]
        assert abs(correlation) < 4 / np.sqrt(count)
