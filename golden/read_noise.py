"""Read noise: the samples that `spec.read_noise` defines, for whole batches of reads."""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spec import read_noise as spec

_WORD_BITS = 32
_LOW_WORD = (1 << _WORD_BITS) - 1


def philox4x32(counter: NDArray[np.uint32], key: ArrayLike) -> NDArray[np.uint32]:
    """Philox4x32-10 of Salmon et al. (SC 2011): uint32 [..., 4] and [2] to uint32 [..., 4]."""
    # A round multiplies words 0 and 2 and mixes the products into words 3 and 1. Both halves do
    # the same, so they are held as pairs [2, blocks]; 64 bits a word leave room for the products.
    words = np.ascontiguousarray(np.reshape(counter, (-1, 4)).T, dtype=np.uint64)
    factors, addends = words[0::2], words[1::2]
    multipliers = np.array(spec.PHILOX_MULTIPLIERS, dtype=np.uint64)[:, np.newaxis]
    weyl = np.array(spec.PHILOX_WEYL, dtype=np.uint64)
    rounds = np.arange(spec.PHILOX_ROUNDS, dtype=np.uint64)[:, np.newaxis]
    for round_key in (np.array(key, dtype=np.uint64) + rounds * weyl & _LOW_WORD)[..., np.newaxis]:
        products = (factors * multipliers)[::-1]
        factors = products >> _WORD_BITS
        factors ^= addends
        factors ^= round_key
        addends = products & _LOW_WORD
    mixed = np.empty((words.shape[1], 4), dtype=np.uint32)
    mixed[:, 0::2] = factors.T
    mixed[:, 1::2] = addends.T
    return mixed.reshape(np.shape(counter))


def samples(
    seed: int, tile: int, read_index: ArrayLike, phase: int, columns: int
) -> NDArray[np.int32]:
    """Noise samples of reads `read_index` [n] in one phase: int32 [n, columns].

    Mean 0, standard deviation 2**SAMPLE_FRACTION. `phase` counts from 0 within an MVM.
    """
    reads = np.asarray(read_index, dtype=np.uint32)
    draws = -(-columns // spec.COLUMNS_PER_DRAW)
    counter = np.empty((len(reads), draws, 4), dtype=np.uint32)
    counter[..., 0] = np.arange(draws)
    counter[..., 1] = reads[:, np.newaxis]
    counter[..., 2] = tile
    counter[..., 3] = phase
    words = philox4x32(counter, (seed & _LOW_WORD, seed >> _WORD_BITS))
    halves = _level_pairs().take(words.view(np.uint16)).reshape(len(reads), -1)
    return (halves[:, 0::2] + halves[:, 1::2])[:, :columns]


@cache
def _level_pairs() -> NDArray[np.int32]:
    """Sum of the quantiles of both bytes of every 16-bit value: half the look-ups."""
    level = np.array(spec.QUANTILES, dtype=np.int32)
    return (level[:, np.newaxis] + level).reshape(-1)
