"""Read noise: the samples that `spec.read_noise` defines, for whole batches of reads."""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spec import read_noise as spec

WORD_BITS = 32
LOW_WORD = (1 << WORD_BITS) - 1


def philox4x32(counter: NDArray[np.uint32], key: ArrayLike) -> NDArray[np.uint32]:
    """Philox4x32-10 of Salmon et al. (SC 2011): uint32 [..., 4] and [2] to uint32 [..., 4]."""
    # A round multiplies words 0 and 2 and mixes the products into words 1 and 3: the two halves
    # are alike, so they are held as pairs [2, ...] of 32-bit values in 64-bit words.
    words = np.moveaxis(np.asarray(counter, dtype=np.uint64), -1, 0)
    factors, addends = words[0::2], words[1::2]
    column = (2,) + (1,) * (words.ndim - 1)
    multipliers = np.array(spec.PHILOX_MULTIPLIERS, dtype=np.uint64).reshape(column)
    weyl = np.array(spec.PHILOX_WEYL, dtype=np.uint64).reshape(column)
    key = np.array(key, dtype=np.uint64).reshape(column)
    for _ in range(spec.PHILOX_ROUNDS):
        products = (factors * multipliers)[::-1]
        factors = products >> WORD_BITS
        factors ^= addends
        factors ^= key
        addends = products & LOW_WORD
        key = key + weyl & LOW_WORD
    mixed = np.empty((*words.shape[1:], 4), dtype=np.uint32)
    mixed[..., 0::2] = np.moveaxis(factors, 0, -1)
    mixed[..., 1::2] = np.moveaxis(addends, 0, -1)
    return mixed


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
    words = philox4x32(counter, (seed & LOW_WORD, seed >> WORD_BITS))
    levels = _pair_levels()[words.view(np.uint16)]
    per_column = levels.reshape(len(reads), draws * spec.COLUMNS_PER_DRAW, 2).sum(axis=-1)
    return per_column[:, :columns]


@cache
def _pair_levels() -> NDArray[np.int32]:
    """Sum of the quantiles of both bytes of every 16-bit value: half the look-ups."""
    level = np.array(spec.QUANTILES, dtype=np.int32)
    return (level[:, np.newaxis] + level).reshape(-1)
