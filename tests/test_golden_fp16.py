"""Golden binary16 arithmetic against Berkeley SoftFloat."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import softfloatpy
from golden_reference import SIGN, softfloat

from caduceus.golden.reference import fp16
from caduceus.spec import formats

FRACTION = 1 << formats.FP16_FRACTION_BITS
TRIPLES_PER_CHUNK = 500_000


def _expect_softfloat(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    """Compare `a * b + c` and `c - a * b`, the latter as `(-a) * b + c` in SoftFloat."""
    expected = softfloat(softfloatpy.f16_mul_add, a, b, c)
    for got in (fp16.fma(a, b, c), fp16.fma(a ^ SIGN, b, c, negate_product=True)):
        wrong = np.flatnonzero(got != expected)
        assert not wrong.size, [
            f"{a[i]:04x} * {b[i]:04x} + {c[i]:04x}: expected {expected[i]:04x}, got {got[i]:04x}"
            for i in wrong[:5]
        ]


def _corners() -> np.ndarray:
    """Bits at which something changes: of every class, exponent edge and significand edge."""
    significands = (0, 1, FRACTION // 2, FRACTION - 1)
    exponents = (0, 1, 2, 4, 10, 14, 15, 16, 20, 24, 25, 26, 29, 30)
    positive = [exponent * FRACTION + low for exponent in exponents for low in significands]
    # Rounding boundaries: odd and even neighbours of 1, 2048 and the smallest subnormals.
    positive += [2, 3, 4, 5, FRACTION // 2 - 1, FRACTION // 2 + 1]
    positive += [formats.FP16_ONE + 2, formats.FP16_ONE + 3, formats.FP16_ONE - 2]
    positive += [26 * FRACTION + 2, 26 * FRACTION + 3, 30 * FRACTION - 2]
    infinity = formats.FP16_INFINITY
    positive += [infinity, infinity + 1, formats.FP16_NAN, infinity + FRACTION - 1]
    bits = np.array(positive, dtype=np.uint16)
    return np.concatenate([bits, bits | SIGN])


def _any_bits(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(0, 1 << 16, (3, count), dtype=np.uint16)


def _near_one(rng: np.random.Generator, count: int) -> np.ndarray:
    """Exponents within 12 of each other, so that all three significands reach the rounding."""
    exponent = formats.FP16_BIAS + rng.integers(-6, 7, (3, count))
    low = rng.integers(0, FRACTION, (3, count))
    return (exponent * FRACTION + low + SIGN * rng.integers(0, 2, (3, count))).astype(np.uint16)


def _cancelling(rng: np.random.Generator, count: int) -> np.ndarray:
    """`c` within two steps of `-a * b`: what is left are the low bits of the product."""
    a, b, _ = _near_one(rng, count)
    product = a.view(np.float16) * b.view(np.float16)
    c = product.view(np.uint16) ^ SIGN
    return np.stack([a, b, (c + rng.integers(-2, 3, count)).astype(np.uint16)])


def _small_results(rng: np.random.Generator, count: int) -> np.ndarray:
    """Products and addends among the subnormals and just above them."""
    exponent = rng.integers(1, formats.FP16_BIAS, count)
    partner = np.clip(formats.FP16_BIAS - exponent + rng.integers(-12, 3, count), 0, 30)
    low = rng.integers(0, FRACTION, (2, count))
    a, b = np.stack([exponent, partner]) * FRACTION + low
    c = rng.integers(0, 2 * FRACTION, count)
    signs = SIGN * rng.integers(0, 2, (3, count))
    return (np.stack([a, b, c]) + signs).astype(np.uint16)


@pytest.mark.parametrize("draw", [_any_bits, _near_one, _cancelling, _small_results])
def test_random_triples(draw) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        _expect_softfloat(*draw(rng, TRIPLES_PER_CHUNK))


def test_every_combination_of_corners() -> None:
    corners = _corners()
    assert len(np.unique(corners)) == len(corners)
    for a in np.array_split(corners, 8):
        _expect_softfloat(*(axis.reshape(-1) for axis in np.meshgrid(a, corners, corners)))


def _nearest(value: Fraction) -> int:
    """Bits of the normal binary16 value nearest to a positive `value`, by exact comparison."""
    candidates = np.arange(FRACTION, formats.FP16_INFINITY, dtype=np.uint16)
    place = int(np.searchsorted(candidates.view(np.float16).astype(float), float(value)))
    around = candidates[max(place - 2, 0) : place + 2]
    return int(min(around, key=lambda bits: (abs(_exact(bits) - value), bits & 1)))


def _exact(bits: int) -> Fraction:
    return Fraction(float(np.uint16(bits).view(np.float16)))


ODD = np.uint16(formats.FP16_ONE + 1)


@pytest.mark.parametrize("negate", [False, True])
@pytest.mark.parametrize("shift", range(8))
def test_sum_a_hair_beside_a_midpoint(shift: int, negate: bool) -> None:
    """float32 puts these sums on the midpoint, and then rounds it the wrong way."""
    # a * b = +-2**-11 * (1 - 2**-20), scaled: beside the midpoint next to an odd c.
    a = np.uint16(formats.FP16_ONE - (5 + shift) * FRACTION + 1)
    b = np.uint16(formats.FP16_ONE - (6 - shift) * FRACTION - 2)
    real = [np.float32(np.uint16(bits).view(np.float16)) for bits in (a, b, ODD)]
    sign = -1 if negate else 1
    exact = _exact(ODD) + sign * _exact(a) * _exact(b)
    naive = np.float16(real[2] + np.float32(sign) * real[0] * real[1]).view(np.uint16)
    got = int(fp16.fma(a, b, ODD, negate_product=negate))
    assert got == _nearest(exact) == ODD
    assert naive != got, "this triple would not tell one rounding from two"


def test_signed_zeros() -> None:
    zeros = (0, SIGN)
    for a, b, c in product(zeros, (*zeros, formats.FP16_ONE), zeros):
        triple = [np.array([bits], dtype=np.uint16) for bits in (a, b, c)]
        _expect_softfloat(*triple)


def test_operands_broadcast_and_may_be_views() -> None:
    rng = np.random.default_rng(3)
    a, c = rng.integers(0, formats.FP16_INFINITY, (2, 6, 10), dtype=np.uint16)
    b = rng.integers(0, formats.FP16_INFINITY, (10, 2), dtype=np.uint16)[:, 1]
    got = fp16.fma(a[::2], b, c[::2])
    assert (got.shape, got.dtype) == ((3, 10), np.uint16)
    for row, column in np.ndindex(3, 10):
        assert got[row, column] == fp16.fma(a[2 * row, column], b[column], c[2 * row, column])


def test_relu_on_every_value() -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    expected = np.concatenate([every[:SIGN], np.zeros(SIGN, dtype=np.uint16)])
    np.testing.assert_array_equal(fp16.relu(every), expected)
