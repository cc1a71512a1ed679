"""Golden read noise: the published vectors of Philox, its addressing, its distribution."""

from collections.abc import Callable
from math import erfc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noise_statistics import demand_distribution, demand_independence, sample_distribution

from caduceus.golden.reference import read_noise
from caduceus.spec import formats
from caduceus.spec import read_noise as spec

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


Samples = Callable[..., np.ndarray]
READS = np.arange(20_000)


def demand_samples(samples: Samples) -> None:
    """2.6 million samples are of the distribution that four quantiles have."""
    demand_distribution(samples(2024, 3, READS, 1, 128) / DEVIATION)


BASE = {"seed": 11, "tile": 2, "read_index": READS, "phase": 0, "columns": 66}
NEIGHBOURS = {
    "seed": {"seed": 12},
    "seed_high": {"seed": 11 + (1 << 32)},
    "tile": {"tile": 3},
    "far_tile": {"tile": 2 + 64},
    "read": {"read_index": READS + 1},
    "far_read": {"read_index": READS + (1 << 16)},
    "phase": {"phase": 1},
    "last_phase": {"phase": 3},
    "column": {},
    "second_column": {},
    "fourth_column": {},
}
STEPS = {"column": 1, "second_column": 2, "fourth_column": 4}


def demand_neighbours(samples: Samples, what: str) -> None:
    """1.2 million samples, and those at the address next to each."""
    here = samples(**BASE)
    there = here if what in STEPS else samples(**BASE | NEIGHBOURS[what])
    step = STEPS.get(what, 0)
    width = BASE["columns"] - step
    demand_independence(here[:, :width], there[:, step:], what)


def test_distribution_is_that_of_four_quantiles() -> None:
    demand_samples(read_noise.samples)


def test_that_distribution_is_nearly_normal() -> None:
    values, chance = sample_distribution()
    assert chance.sum() == pytest.approx(1, abs=1e-12)
    mean, variance, third, fourth = (float(chance @ values**power) for power in (1, 2, 3, 4))
    assert (mean, third) == pytest.approx((0, 0), abs=1e-9)
    assert np.sqrt(variance) == pytest.approx(1024.1 / 1024, abs=5e-5)
    # A little short in the tails.
    assert fourth / variance**2 == pytest.approx(3 - 0.02, abs=0.002)
    for limit, ratio in ((1, 1.00), (2, 1.00), (3, 0.945), (4, 0.740), (5, 0.304)):
        beyond = chance[np.abs(values) > limit].sum()
        assert beyond / erfc(limit / np.sqrt(2)) == pytest.approx(ratio, rel=0.01)


@pytest.mark.parametrize("what", NEIGHBOURS)
def test_neighbouring_addresses_are_independent(what: str) -> None:
    demand_neighbours(read_noise.samples, what)


@pytest.mark.parametrize(
    "change",
    [{"seed": 11 ^ 1 << 63}, {"tile": 2 ^ 1 << 11}, {"phase": 2}, {"read_index": READS ^ 1 << 31}],
    ids=lambda change: next(iter(change)),
)
def test_high_bits_of_an_address_count(change: dict) -> None:
    here, there = read_noise.samples(**BASE), read_noise.samples(**BASE | change)
    assert (here == there).mean() < 0.001


def _scaled(factor: float) -> Samples:
    return lambda *args: np.rint(factor * read_noise.samples(*args)).astype(int)


def _coarse(*args) -> np.ndarray:
    return read_noise.samples(*args) // 256 * 256 + 128


def _short_tails(*args) -> np.ndarray:
    """None beyond three deviations, and the variance as it should be."""
    return np.rint(read_noise.samples(*args).clip(-3072, 3072) * 1.0025).astype(int)


@pytest.mark.parametrize(
    "broken",
    [_scaled(1.003), _scaled(0.997), _coarse, _short_tails],
    ids=["too_large", "too_small", "coarse", "short_tails"],
)
def test_another_distribution_is_noticed(broken: Samples) -> None:
    with pytest.raises(AssertionError):
        demand_samples(broken)


def test_a_shift_is_noticed() -> None:
    with pytest.raises(AssertionError, match="mean"):
        demand_samples(lambda *args: read_noise.samples(*args) + 4)


def _shared_by_columns(**keys) -> np.ndarray:
    """Odd columns have the magnitude of the even ones before them."""
    noise = read_noise.samples(**keys)
    noise[:, 1::2] = np.sign(noise[:, 1::2]) * np.abs(noise[:, ::2])
    return noise


def _shared_by_reads(**keys) -> np.ndarray:
    """So have odd reads."""
    own = read_noise.samples(**keys)
    even = read_noise.samples(**keys | {"read_index": keys["read_index"] & ~1})
    return np.sign(own) * np.abs(even)


@pytest.mark.parametrize(
    ("broken", "what"),
    [(_shared_by_columns, "column"), (_shared_by_reads, "read")],
    ids=["columns", "reads"],
)
def test_a_shared_magnitude_is_noticed(broken: Samples, what: str) -> None:
    """Signs are independent, so that squares alone tell."""
    with pytest.raises(AssertionError, match=f"{what}, squares"):
        demand_neighbours(broken, what)


def test_a_shared_word_is_noticed() -> None:
    def broken(**keys) -> np.ndarray:
        return np.repeat(read_noise.samples(**keys)[:, ::2], 2, axis=1)

    with pytest.raises(AssertionError, match="column, values"):
        demand_neighbours(broken, "column")


@pytest.mark.parametrize("key", ["seed", "tile", "phase"])
def test_an_ignored_bit_of_an_address_is_noticed(key: str) -> None:
    def broken(**keys) -> np.ndarray:
        return read_noise.samples(**keys | {key: keys[key] & ~1})

    base = BASE[key] & ~1
    with pytest.raises(AssertionError, match="values"):
        demand_independence(broken(**BASE | {key: base}), broken(**BASE | {key: base + 1}), key)
