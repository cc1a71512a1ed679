"""IEEE 754 binary16 arithmetic on arrays of bits: what the LDPU's floating-point units do.

Round to nearest, ties to even; subnormals are kept; overflow gives infinity; every NaN result is
`formats.FP16_NAN` (our choice, the published chip only says that it computes in binary16).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spec import formats


def fma(
    a: ArrayLike, b: ArrayLike, c: ArrayLike, negate_product: bool = False
) -> NDArray[np.uint16]:
    """`a * b + c`, or `c - a * b` with `negate_product`, rounded once.

    Takes binary16 bits (uint16) of shapes that broadcast together, and gives such bits.

    Method: float64 holds the product of two 11-bit significands exactly. Its sum with `c` may be
    rounded, so the result is rounded twice; that goes wrong only if the float64 sum lands on a
    midpoint between two binary16 values and the true sum does not. It cannot. The sum is a
    multiple of 2**-48, so it is exact below 2**5. From there to 2**16, where binary16 overflows,
    midpoints are multiples of 2**-6 and float64 errs by at most 2**-37:

    - a product of at least 2**3 is a multiple of 2**-18, and `c` is one of 2**-24: no error;
    - with a smaller one, `c` is above 2**4 and thus a multiple of 2**-6. It is no midpoint itself,
      so the product leads from `c` to the neighbourhood of another multiple of 2**-6: it exceeds
      2**-7, is therefore a multiple of 2**-28, and again there is no error.
    """
    a, b, c = (_real(bits) for bits in (a, b, c))
    with np.errstate(over="ignore", invalid="ignore"):
        product = a * b
        exact = c - product if negate_product else product + c
        return _bits(exact)


def relu(a: ArrayLike) -> NDArray[np.uint16]:
    """+0 where the sign bit is set, else `a`. A NaN has no sign here, so it passes (our choice)."""
    # With the sign bit on top, a negative binary16 is a negative int16.
    return np.maximum(np.asarray(a, dtype=np.uint16).view(np.int16), 0).view(np.uint16)


def _real(bits: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(bits, dtype=np.uint16).view(np.float16).astype(np.float64)


def _bits(real: NDArray[np.float64]) -> NDArray[np.uint16]:
    bits = np.asarray(real.astype(np.float16)).view(np.uint16)
    bits[np.isnan(real)] = formats.FP16_NAN
    return bits
