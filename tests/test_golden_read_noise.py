"""Golden read noise: the published vectors of Philox, its addressing, its distribution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import read_noise
from spec import formats
from spec import read_noise as spec

ONES = 0xFFFFFFFF
WORDS = st.integers(0, ONES)
DEVIATION = 2**formats.SAMPLE_FRACTION


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        # Known answers of the Random123 library for philox4x32-10.
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([ONES] * 4, [ONES] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_known_answers(counter: list[int], key: list[int], expected: list[int]) -> None:
    words = tuple(np.array([word], dtype=np.uint64) for word in counter)
    assert [int(word[0]) for word in read_noise.philox4x32(words, tuple(key))] == expected


def _philox(counter: list[int], key: list[int]) -> list[int]:
    """The generator a block at a time, on Python's integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(spec.PHILOX_ROUNDS):
        low, high = (
            factor * word for factor, word in zip(spec.PHILOX_MULTIPLIERS, (c0, c2), strict=True)
        )
        c0, c1, c2, c3 = (high >> 32) ^ c1 ^ k0, high & ONES, (low >> 32) ^ c3 ^ k1, low & ONES
        k0, k1 = (k0 + spec.PHILOX_WEYL[0]) & ONES, (k1 + spec.PHILOX_WEYL[1]) & ONES
    return [c0, c1, c2, c3]


@settings(deadline=None)
@given(st.lists(WORDS, min_size=7, max_size=7), st.tuples(WORDS, WORDS))
def test_many_counters_at_once(words: list[int], key: tuple[int, int]) -> None:
    """Words of every extent, from one that all counters share to one of a counter's own."""
    every = np.array(words, dtype=np.uint64)
    shapes = ((1, 1), (2, 1), (1, 3), (2, 3))
    counters = [np.resize(np.roll(every, place), shape) for place, shape in enumerate(shapes)]
    got = read_noise.philox4x32(tuple(counters), key)
    whole = [np.broadcast_to(counter, (2, 3)) for counter in counters]
    for place in np.ndindex(2, 3):
        expected = _philox([int(counter[place]) for counter in whole], list(key))
        assert [int(word[place]) for word in got] == expected


@settings(deadline=None)
@given(
    seed=st.integers(0, (1 << 64) - 1),
    tile=st.integers(0, 4095),
    reads=st.lists(WORDS, min_size=1, max_size=3),
    phase=st.integers(0, 3),
    columns=st.integers(1, 17),
)
def test_samples_are_addressed_as_specified(
    seed: int, tile: int, reads: list[int], phase: int, columns: int
) -> None:
    got = read_noise.samples(seed, tile, np.array(reads), phase, columns)
    assert (got.shape, got.dtype) == ((len(reads), columns), np.int32)
    for row, read in enumerate(reads):
        for column in range(columns):
            block = _philox([column // 4, read, tile, phase], [seed & ONES, seed >> 32])
            levels = (spec.QUANTILES[byte] for byte in block[column % 4].to_bytes(4, "little"))
            assert got[row, column] == sum(levels)


def test_distribution_is_normal() -> None:
    noise = read_noise.samples(2024, 3, np.arange(20_000), 1, 64) / DEVIATION
    count = noise.size
    # Five standard errors of each moment of a normal distribution.
    assert abs(noise.mean()) < 5 / np.sqrt(count)
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / count)
    assert abs((noise**3).mean()) < 5 * np.sqrt(15 / count)
    # Four draws from 256 quantiles fall a little short in the tails: kurtosis 3 less 0.04.
    assert 2.9 < (noise**4).mean() < 3.0
    for threshold, beyond in ((1, 0.31731), (2, 0.04550), (3, 0.00270)):
        assert (np.abs(noise) > threshold).mean() == pytest.approx(beyond, rel=0.1)


@pytest.mark.parametrize("what", ["seed", "seed_high", "tile", "read", "phase", "column"])
def test_neighbouring_addresses_are_independent(what: str) -> None:
    count = 4000
    base = {"seed": 11, "tile": 2, "read_index": np.arange(count), "phase": 0}
    change = {
        "seed": {"seed": 12},
        "seed_high": {"seed": 11 + (1 << 32)},
        "tile": {"tile": 3},
        "read": {"read_index": np.arange(1, count + 1)},
        "phase": {"phase": 1},
        "column": {},
    }[what]
    here = read_noise.samples(columns=65, **base)
    there = read_noise.samples(columns=65, **(base | change))
    pair = (here[:, :-1], there[:, 1:] if what == "column" else there[:, :-1])
    correlation = np.corrcoef(*(side.reshape(-1) for side in pair))[0, 1]
    assert abs(correlation) < 5 / np.sqrt(pair[0].size)
