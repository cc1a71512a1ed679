"""Read noise: the samples that `caduceus.spec.read_noise` defines, for whole batches of reads."""

from functools import cache, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caduceus.spec import read_noise as spec

_WORD_BITS = 32
_HALF_BITS = 16
_LOW_WORD = np.uint64((1 << _WORD_BITS) - 1)
_LOW_HALF = np.uint64((1 << _HALF_BITS) - 1)
_DRAWS_AT_ONCE = 4096
"""Philox blocks whose words stay in the processor's cache from round to round."""

Words = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]


def philox4x32(words: Words, key: tuple[int, int]) -> Words:
    """Philox4x32-10 of Salmon et al. (SC 2011), on many counters at once.

    Words are 32 bits each, in uint64, which leaves room for products. They need only broadcast
    together: words that many counters share are then mixed once, as long as a round leaves them so.
    """
    first, second, third, fourth = words
    multiplier, other = map(np.uint64, spec.PHILOX_MULTIPLIERS)
    for mine, others in _round_keys(key):
        low, high = first * multiplier, third * other
        first = (high >> _WORD_BITS) ^ second ^ mine
        third = (low >> _WORD_BITS) ^ fourth ^ others
        second, fourth = high & _LOW_WORD, low & _LOW_WORD
    return first, second, third, fourth


@lru_cache(maxsize=64)
def _round_keys(key: tuple[int, int]) -> list[tuple[np.uint64, np.uint64]]:
    """Both words of every round's key."""
    return [
        tuple(
            np.uint64(part + number * weyl & int(_LOW_WORD))
            for part, weyl in zip(key, spec.PHILOX_WEYL, strict=True)
        )
        for number in range(spec.PHILOX_ROUNDS)
    ]


def samples(
    seed: int, tile: int, read_index: ArrayLike, phase: int, columns: int
) -> NDArray[np.int32]:
    """Noise samples of reads `read_index` [n] in one phase: int32 [n, columns].

    Mean 0, standard deviation 2**SAMPLE_FRACTION. `phase` counts from 0 within an MVM.
    """
    reads = np.asarray(read_index, dtype=np.uint32).astype(np.uint64)[:, np.newaxis]
    draws = np.arange(-(-columns // spec.COLUMNS_PER_DRAW), dtype=np.uint64)
    shared = np.full((1, 1), tile, np.uint64), np.full((1, 1), phase, np.uint64)
    key = seed & int(_LOW_WORD), seed >> _WORD_BITS
    pairs = _level_pairs()
    found = np.empty((len(reads), len(draws), spec.COLUMNS_PER_DRAW), dtype=np.int32)
    step = max(1, _DRAWS_AT_ONCE // len(draws))
    for start in range(0, len(reads), step):
        part = slice(start, start + step)
        for place, word in enumerate(philox4x32((draws, reads[part], *shared), key)):
            low = pairs.take((word & _LOW_HALF).view(np.int64))
            high = pairs.take((word >> _HALF_BITS).view(np.int64))
            np.add(low, high, out=found[part, :, place])
    return found.reshape(len(reads), len(draws) * spec.COLUMNS_PER_DRAW)[:, :columns]


@cache
def _level_pairs() -> NDArray[np.int16]:
    """Sum of the quantiles of both bytes of every 16-bit value: half the look-ups."""
    level = np.array(spec.QUANTILES, dtype=np.int16)
    return (level[:, np.newaxis] + level).reshape(-1)
