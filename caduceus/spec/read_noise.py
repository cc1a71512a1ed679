"""Read noise: how a sample is addressed and the table its distribution comes from.

A read's noise is a pure function of where and when the read happens, so any order of tiles, any
number of threads and either language gives the same bits (our choice):

    key     = (seed[31:0], seed[63:32])
    counter = (column // 4, read index, tile, phase)
    words   = Philox4x32-10(counter, key)      Salmon et al., "Parallel random numbers", SC 2011
    word    = words[column % 4]
    sample  = sum of QUANTILES[byte] over the four bytes of word

`sample` has mean 0 and standard deviation 2**SAMPLE_FRACTION. A byte picks one of 256 equally
likely quantiles of the normal distribution; adding four draws smooths the steps and lengthens the
tails to more than five standard deviations.

The generator itself is written twice: in SystemVerilog (`hdl/`) and in numpy (`golden/`).
"""

from math import sqrt
from statistics import NormalDist

from caduceus.spec.formats import SAMPLE_FRACTION

PHILOX_ROUNDS = 10
PHILOX_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
PHILOX_WEYL = (0x9E3779B9, 0xBB67AE85)

COLUMNS_PER_DRAW = 4
"""One Philox block serves this many neighboring columns."""
BYTES_PER_SAMPLE = 4


def _quantiles() -> tuple[int, ...]:
    """256 signed levels, symmetric, scaled so that four of them have deviation 2**SAMPLE_FRACTION.

    Index 0..127 are the positive half in ascending order, 128..255 their negatives: the byte's top
    bit is the sign.
    """
    normal = NormalDist()
    half = [normal.inv_cdf((128.5 + level) / 256) for level in range(128)]
    deviation = sqrt(sum(2 * value * value for value in half) / 256)
    unit = 2**SAMPLE_FRACTION / sqrt(BYTES_PER_SAMPLE) / deviation
    positive = tuple(round(value * unit) for value in half)
    return positive + tuple(-value for value in positive)


QUANTILES: tuple[int, ...] = _quantiles()
