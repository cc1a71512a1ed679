"""IEEE 754 binary16 arithmetic on arrays of bits: what the LDPU's floating-point units do.

Round to nearest, ties to even; subnormals are kept; overflow gives infinity; every NaN result is
`formats.FP16_NAN` (our choice, the published chip only says that it computes in binary16).
"""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caduceus.spec import formats

_EXTRA_BITS = 52 - formats.FP16_FRACTION_BITS
"""By which a fraction in float64 is longer."""
_BIAS_RATIO = 2.0 ** (formats.FP16_BIAS - 1023)


def fma(
    a: ArrayLike, b: ArrayLike, c: ArrayLike, negate_product: bool = False
) -> NDArray[np.uint16]:
    """`a * b + c`, or `c - a * b` with `negate_product`, rounded once.

    Takes binary16 bits (uint16) of shapes that broadcast together; returns binary16 bits.

    Method: the product of two 11-bit significands is exact. Its sum with `c` in float64 may be
    rounded, so the result is rounded twice; that goes wrong only if the float64 sum lands on a
    midpoint between two binary16 values and the true sum does not. It cannot. The sum is a
    multiple of 2**-48, so it is exact below 2**5. From there to 2**16, where binary16 overflows,
    midpoints are multiples of 2**-6 and float64 errs by at most 2**-37:

    - a product of at least 2**3 is a multiple of 2**-18, and `c` is one of 2**-24: no error;
    - with a smaller one, `c` is above 2**4 and thus a multiple of 2**-6. It is no midpoint itself,
      so the product leads from `c` to the neighbourhood of another multiple of 2**-6: it exceeds
      2**-7, is therefore a multiple of 2**-28, and again there is no error.
    """
    a, b, c = (values(bits).astype(np.float64) for bits in (a, b, c))
    with np.errstate(invalid="ignore"):
        return from_real(c - a * b if negate_product else c + a * b)


def relu(a: ArrayLike) -> NDArray[np.uint16]:
    """+0 where the sign bit is set, else `a`. A NaN has no sign here, so it passes (our choice)."""
    # With the sign bit on top, a negative binary16 is a negative int16.
    return np.maximum(np.asarray(a, dtype=np.uint16).view(np.int16), 0).view(np.uint16)


def values(bits: ArrayLike) -> NDArray[np.float32]:
    """Values of binary16 `bits`."""
    return _values().take(bits)


@cache
def _values() -> NDArray[np.float32]:
    """The value of each of the 65,536 bit patterns: a look-up is faster than a conversion."""
    every = np.arange(1 << formats.FP16_BITS, dtype=np.uint16)
    values = every.view(np.float16).astype(np.float32)
    values[np.isnan(values)] = np.nan  # quiet ones, so that no operation warns
    return values


def from_real(real: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Bits of the binary16 values nearest to `real`."""
    # With the exponents' biases made equal, binary16 is the upper part of float64, subnormals
    # included; the scaling is exact for multiples of 2**-66, as float64's own subnormals reach to
    # 2**-1074.
    magnitude = np.abs(real * _BIAS_RATIO).view(np.int64)
    # Nearest: add a half step less one, and that one only if the kept part is odd.
    magnitude += (magnitude >> _EXTRA_BITS & 1) + ((1 << _EXTRA_BITS - 1) - 1)
    magnitude >>= _EXTRA_BITS
    bits = np.minimum(magnitude, formats.FP16_INFINITY).astype(np.uint16)
    bits = np.asarray(bits | np.signbit(real).astype(np.uint16) << formats.FP16_BITS - 1)
    np.putmask(bits, np.isnan(real), formats.FP16_NAN)
    return bits
