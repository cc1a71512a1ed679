"""IEEE 754 binary16 arithmetic on arrays of bits: what the LDPU's floating-point units do.

Round to nearest, ties to even; subnormals are kept; overflow gives infinity; every NaN result is
`formats.FP16_NAN` (our choice, the published chip only says that it computes in binary16).
"""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spec import formats

_SMALLEST_NORMAL = 2.0 ** (1 - formats.FP16_BIAS)

Real = NDArray[np.float32] | NDArray[np.float64]


class _Wider:
    """How a wider format differs from binary16: all that the roundings need."""

    def __init__(self, kind: type[np.floating], integer: type[np.signedinteger]) -> None:
        info = np.finfo(kind)
        self.integer = integer
        self.extra_bits = info.nmant - formats.FP16_FRACTION_BITS
        self.bias_ratio = kind(2.0 ** (formats.FP16_BIAS - (info.maxexp - 1)))
        self.half_step = integer(1 << self.extra_bits - 1)
        self.exponent = integer(((1 << info.nexp) - 1) << info.nmant)
        self.aligner = kind(1.5 * 2.0**self.extra_bits)
        self.smallest_normal = kind(_SMALLEST_NORMAL)


_WIDER = {
    np.dtype(np.float32): _Wider(np.float32, np.int32),
    np.dtype(np.float64): _Wider(np.float64, np.int64),
}


def fma(
    a: ArrayLike, b: ArrayLike, c: ArrayLike, negate_product: bool = False
) -> NDArray[np.uint16]:
    """`a * b + c`, or `c - a * b` with `negate_product`, rounded once.

    Takes binary16 bits (uint16) of shapes that broadcast together, and gives such bits.

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
    """What binary16 `bits` stand for."""
    return _values().take(bits)


@cache
def _values() -> NDArray[np.float32]:
    """The value of each of the 65,536 bit patterns: a look-up is faster than a conversion."""
    every = np.arange(1 << formats.FP16_BITS, dtype=np.uint16)
    values = every.view(np.float16).astype(np.float32)
    values[np.isnan(values)] = np.nan  # quiet ones, so that no operation warns
    return values


def from_real(real: Real) -> NDArray[np.uint16]:
    """Bits of the binary16 values nearest to `real`, which are multiples of 2**-48."""
    wider = _WIDER[real.dtype]
    # With the exponents' biases made equal, binary16 is the upper part of the wider format,
    # subnormals included; the scaling is exact for float64, whose own subnormals reach to
    # 2**-1074, and for float32 if `real` are multiples of 2**-37.
    magnitude = np.abs(real * wider.bias_ratio).view(wider.integer)
    # Nearest: add a half step less one, and that one only if the kept part is odd.
    magnitude += (magnitude >> wider.extra_bits & 1) + (wider.half_step - 1)
    magnitude >>= wider.extra_bits
    bits = np.minimum(magnitude, formats.FP16_INFINITY).astype(np.uint16)
    bits = np.asarray(bits | np.signbit(real).astype(np.uint16) << formats.FP16_BITS - 1)
    np.putmask(bits, np.isnan(real), formats.FP16_NAN)
    return bits


def nearest(real: Real, signed_zeros: bool = False) -> None:
    """Round `real` in place to binary16 values, of which it stays the values, not the bits.

    Their magnitudes must be below 65520, from where on the nearest binary16 is an infinity. What
    becomes 0 has a sign only with `signed_zeros`.
    """
    wider = _WIDER[real.dtype]
    # A number so much larger leaves room for just the bits to keep: the sum with it is rounded
    # there, to nearest, ties to even, and the difference is exact. One and a half, so that the sum
    # has the same exponent with numbers of either sign.
    large = (real.view(wider.integer) & wider.exponent).view(real.dtype)
    np.maximum(large, wider.smallest_normal, out=large)
    large *= wider.aligner
    if not signed_zeros:
        real += large
        real -= large
        return
    rounded = real + large
    rounded -= large
    np.copysign(rounded, real, out=real)
