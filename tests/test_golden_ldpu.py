"""Golden LDPU against the same datapath put together from Berkeley SoftFloat."""

import numpy as np
import pytest
import softfloatpy
from golden_reference import every_operand

from caduceus.golden.reference import ldpu
from caduceus.spec import formats

Float16 = softfloatpy.Float16
MUL_ADD = softfloatpy.f16_mul_add
ZERO = Float16.from_float(0.0)


def _is_negative(value: Float16) -> bool:
    """Whether the sign bit is set; a NaN of the chip has none."""
    return not softfloatpy.f16_is_nan(value) and value.to_bytes()[0] >> 7 == 1


def _integer(value: int) -> Float16:
    return softfloatpy.i32_to_f16(softfloatpy.Int32.from_int(value))


def _to_int8(value: Float16) -> int:
    if softfloatpy.f16_is_nan(value):
        return 0
    if softfloatpy.f16_is_inf(value):
        return -127 if _is_negative(value) else 127
    nearest = softfloatpy.f16_to_i32(value, softfloatpy.RoundingMode.NEAR_EVEN).to_int()
    return min(max(nearest, -127), 127)


def _column(
    p: int, n: int, constants: list[int], relu: tuple[bool, bool], rx: Float16, rx_scale: int
) -> Float16:
    """One result before its rounding to INT8, one SoftFloat operation after the other."""
    gain_p, gain_n, offset, scale, bias = (every_operand()[bits] for bits in constants)
    value = MUL_ADD(_integer(p), gain_p, offset)
    value = MUL_ADD(softfloatpy.f16_neg(_integer(n)), gain_n, value)
    value = MUL_ADD(value, scale, bias)
    if relu[0] and _is_negative(value):
        value = ZERO
    value = MUL_ADD(rx, every_operand()[rx_scale], value)
    if relu[1] and _is_negative(value):
        value = ZERO
    return value


def _to_bits(value: Float16) -> int:
    """As the chip has it: there is one NaN only."""
    if softfloatpy.f16_is_nan(value):
        return formats.FP16_NAN
    return int.from_bytes(value.to_bytes(), "big")


def _expect(p, n, constants, relu, rx=None, rx_scale=0, binary16=False) -> np.ndarray:
    got = ldpu.process(p, n, constants, *relu, rx, rx_scale, binary16)
    assert got.dtype == (np.uint16 if binary16 else np.int8)
    addends = np.zeros(p.shape, np.int8) if rx is None else rx
    from_rx = _integer if addends.dtype == np.int8 else every_operand().__getitem__
    rounded = _to_bits if binary16 else _to_int8
    for vector, column in np.ndindex(*p.shape):
        expected = _column(
            int(p[vector, column]),
            int(n[vector, column]),
            constants[column].tolist(),
            relu,
            from_rx(int(addends[vector, column])),
            rx_scale if rx is not None else 0,
        )
        assert got[vector, column] == rounded(expected), (vector, column)
    return got


def _bits(real: np.ndarray) -> np.ndarray:
    return np.asarray(real).astype(np.float16).view(np.uint16)


@pytest.mark.parametrize("relu", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("with_rx", [False, True])
def test_useful_constants(relu: tuple[bool, bool], with_rx: bool) -> None:
    rng = np.random.default_rng(1)
    vectors, columns = 100, 40
    p, n = rng.integers(0, 900, (2, vectors, columns)).astype(np.uint16)
    gains = rng.uniform(0.8, 1.25, (2, columns))
    rest = rng.normal(size=(3, columns)) * [[20], [0.2], [20]]
    constants = _bits(np.concatenate([gains, rest])).T
    rx = rng.integers(-127, 128, (vectors, columns)).astype(np.int8)
    got = _expect(p, n, constants, relu, rx if with_rx else None, int(_bits(0.3)))
    assert len(np.unique(got)) > 60


@pytest.mark.parametrize("relu", [(False, False), (True, False), (False, True), (True, True)])
def test_any_bits_as_constants(relu: tuple[bool, bool]) -> None:
    """NaN, infinities and subnormals included: nothing the host may write is undefined."""
    rng = np.random.default_rng(2)
    vectors, columns = 10, 1000
    p, n = rng.integers(0, formats.COUNT_MAX + 1, (2, vectors, columns)).astype(np.uint16)
    constants = rng.integers(0, 1 << 16, (columns, 5)).astype(np.uint16)
    rx = rng.integers(-127, 128, (vectors, columns)).astype(np.int8)
    for rx_scale in (0, formats.FP16_ONE, formats.FP16_INFINITY, formats.FP16_NAN, 0x8001, 0xD140):
        _expect(p, n, constants, relu, rx, rx_scale)
    _expect(p, n, constants, relu)


@pytest.mark.parametrize("relu", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("tx", [False, True], ids=["int8", "binary16"])
def test_binary16_in_and_out(relu: tuple[bool, bool], tx: bool) -> None:
    rng = np.random.default_rng(3)
    vectors, columns = 20, 200
    p, n = rng.integers(0, 900, (2, vectors, columns)).astype(np.uint16)
    gains = rng.uniform(0.8, 1.25, (2, columns))
    rest = rng.normal(size=(3, columns)) * [[20], [0.2], [20]]
    constants = _bits(np.concatenate([gains, rest])).T
    sums = _bits(rng.normal(size=(vectors, columns)) * 40)
    any_bits = rng.integers(0, 1 << 16, (vectors, columns)).astype(np.uint16)
    for rx in (sums, any_bits):
        for scale in (formats.FP16_ONE, int(_bits(-0.3))):
            got = _expect(p, n, constants, relu, rx, scale, tx)
            assert len(np.unique(got)) > 60
    _expect(p, n, constants, relu, binary16=tx)
    _expect(p, n, constants, relu, any_bits.astype(np.int8) | 1, formats.FP16_ONE, tx)


@pytest.mark.parametrize("constant", formats.COLUMN_CONSTANTS, ids=lambda constant: constant.name)
def test_each_constant_is_used_where_the_table_says(constant: formats.ColumnConstant) -> None:
    """P = 40, N = 10: the result, with one constant at a time changed to 2."""
    constants = np.array([[other.reset for other in formats.COLUMN_CONSTANTS]], dtype=np.uint16)
    constants[0, constant.index] = _bits(2)
    p, n = np.array([[40]], np.uint16), np.array([[10]], np.uint16)
    expected = {"gain_p": 70, "gain_n": 20, "offset": 32, "scale": 60, "bias": 32}
    assert _expect(p, n, constants, (False, False))[0, 0] == expected[constant.name]


def test_relu_1_comes_before_rx_and_relu_2_after() -> None:
    constants = np.array([[c.reset for c in formats.COLUMN_CONSTANTS]], dtype=np.uint16)
    small, large = np.array([[30]], np.uint16), np.array([[50]], np.uint16)
    rx = np.array([[-9]], np.int8)
    for p, n, relu, expected in (
        (small, large, (False, False), -29),
        (small, large, (True, False), -9),
        (small, large, (False, True), 0),
        (large, small, (True, True), 11),
    ):
        assert _expect(p, n, constants, relu, rx, formats.FP16_ONE)[0, 0] == expected
