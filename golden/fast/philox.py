"""Read noise in vectors: `read_noise.samples` for all windows and columns of an MVM at once.

`kernels` names the digest of this file, since numba keeps machine code until that one changes.
"""

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.fast import simd
from caduceus.golden.fast.arguments import Noise
from caduceus.golden.fast.simd import part

_WORD_BITS = np.uint64(32)
_WORD = np.uint64(0xFFFFFFFF)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
"""Of Philox4x32, which never change."""


@part
def _mixed(a, b, c, d, key, opposite):  # noqa: ANN001, ANN202
    """One round of Philox4x32 on vectors of four draws.

    Words of 32 bits have 64 here, as products have: what is above them counts only at the end.
    """
    of_a = simd.half_product(a, simd.splat(_MULTIPLIERS[0]))
    of_c = simd.half_product(c, simd.splat(_MULTIPLIERS[1]))
    return simd.down(of_c) ^ b ^ key, of_c, simd.down(of_a) ^ d ^ opposite, of_a


@part
def _quantile_sums(words, quantiles: NDArray[np.int8]):  # noqa: ANN001, ANN202
    """Sums of the quantiles that the bytes of every word pick."""
    words = simd.as_bytes(words)
    index, sign = words & simd.splat(np.int8(127)), simd.signs(words)
    low = high = simd.splat(np.int8(0))
    for place in range(0, 8 * 64, 64):
        low = low ^ simd.look_up(simd.load(quantiles, place), index)
        high = high ^ simd.look_up(simd.load(quantiles, place + 32), index)
        index = index - simd.splat(np.int8(16))
    low, high = simd.byte_pair_sums(low, sign), simd.byte_pair_sums(high, sign)
    return simd.pair_sums(low + simd.up(high), simd.splat(np.int16(1)))


def _looked_up_at_once(left, right, noise, samples, place) -> None:  # noqa: ANN001
    """Fill in 16 samples of four draws: words of their first and second, third and fourth."""
    left, right = _quantile_sums(left, noise.bytes), _quantile_sums(right, noise.bytes)
    simd.store(samples, place, simd.lower_pairs(left, right))
    simd.store(samples, place + 8, simd.upper_pairs(left, right))


def _looked_up_in_turn(left, right, noise, samples, place) -> None:  # noqa: ANN001
    """The same, sample by sample."""
    left, right = simd.as_words(left), simd.as_words(right)
    simd.store(samples, place, simd.lower_pairs(left, right))
    simd.store(samples, place + 8, simd.upper_pairs(left, right))
    for i in range(place, place + 16):
        word, sample = np.uint32(samples[i]), np.int32(0)
        for shift in range(0, 32, 8):
            sample += noise.levels[np.uint32(word >> np.uint32(shift)) & np.uint32(255)]
        samples[i] = sample


_looked_up = part(_looked_up_at_once if simd.AVX2 else _looked_up_in_turn)


@part
def draw(read: int, noise: Noise, samples: NDArray[np.int32]) -> None:
    """Samples of all windows and columns of one MVM.

    Args:
        read: its read index.
        noise: the tile's.
        samples: [windows * columns or more], filled.
    """
    tables, draws, keys = noise.tables.reshape(-1), noise.tables.shape[1], noise.keys
    product = (np.uint64(read) ^ noise.first) * _MULTIPLIERS[0]
    mine, others = simd.splat(product >> _WORD_BITS), simd.splat(product & _WORD)
    # Two times four draws, so that one's instructions fill the other's waiting times.
    for i in range(0, draws, 8):
        j = i + 4
        product = simd.half_product(mine ^ simd.load(tables, i), simd.splat(_MULTIPLIERS[1]))
        other = simd.half_product(mine ^ simd.load(tables, j), simd.splat(_MULTIPLIERS[1]))
        a = simd.down(product) ^ simd.load(tables, draws + i)
        p = simd.down(other) ^ simd.load(tables, draws + j)
        b, q = product, other
        c = simd.load(tables, 2 * draws + i) ^ others
        r = simd.load(tables, 2 * draws + j) ^ others
        d, s = simd.load(tables, 3 * draws + i), simd.load(tables, 3 * draws + j)
        for place in range(0, keys.size, 8):
            key, opposite = simd.load(keys, place), simd.load(keys, place + 4)
            a, b, c, d = _mixed(a, b, c, d, key, opposite)
            p, q, r, s = _mixed(p, q, r, s, key, opposite)
        lower = simd.splat(_WORD)
        left, right = a & lower | simd.up(b), c & lower | simd.up(d)
        _looked_up(left, right, noise, samples, 4 * i)
        left, right = p & lower | simd.up(q), r & lower | simd.up(s)
        _looked_up(left, right, noise, samples, 4 * j)
