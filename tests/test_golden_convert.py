"""Golden conversions against Berkeley SoftFloat, on every value there is."""

import numpy as np
import softfloatpy
from golden_reference import SIGN, every_operand, from_softfloat

from caduceus.golden.reference import convert
from caduceus.spec import formats


def _from_integers(values: np.ndarray) -> np.ndarray:
    integers = map(softfloatpy.Int32.from_int, values.tolist())
    return from_softfloat(map(softfloatpy.i32_to_f16, integers))


def test_every_count() -> None:
    counts = np.arange(formats.COUNT_MAX + 1, dtype=np.uint16)
    np.testing.assert_array_equal(convert.from_uint12(counts), _from_integers(counts))


def test_counts_above_2048_round_to_even() -> None:
    got = convert.from_uint12(np.array([2049, 2051, 4095], dtype=np.uint16)).view(np.float16)
    assert got.tolist() == [2048, 2052, 4096]


def test_every_int8() -> None:
    x = np.arange(-128, 128).astype(np.int8)
    np.testing.assert_array_equal(convert.from_int8(x), _from_integers(x))


def test_every_binary16_to_int8() -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    mode = softfloatpy.RoundingMode.NEAR_EVEN
    nearest = [softfloatpy.f16_to_i32(x, mode).to_int() for x in every_operand()]
    expected = np.clip(nearest, -formats.INT8_MAX, formats.INT8_MAX)
    # SoftFloat's integers for infinity and NaN are those of the processor it imitates.
    magnitude = every & ~np.uint16(SIGN)
    expected[every == formats.FP16_INFINITY] = formats.INT8_MAX
    expected[every == formats.FP16_INFINITY | SIGN] = -formats.INT8_MAX
    expected[magnitude > formats.FP16_INFINITY] = 0
    got = convert.to_int8(every)
    assert got.dtype == np.int8
    np.testing.assert_array_equal(got, expected)
