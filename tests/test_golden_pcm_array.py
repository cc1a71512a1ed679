"""Golden crossbar: charges against integer sums in numpy and in ONNX Runtime."""

import dataclasses

import numpy as np
import pytest
from golden_reference import onnx_integer, random_int8, random_state

from caduceus.golden.reference import host
from caduceus.golden.reference.pcm_array import Crossbar
from caduceus.spec import formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode

HERMES = Chip.find("hermes")


def _expected(x: np.ndarray, codes: np.ndarray, mode: ReadMode) -> np.ndarray:
    """Charges from their definition, in 64-bit integers."""
    x = np.maximum(x.astype(np.int64), -formats.INT8_MAX)
    plus = codes[..., :2].astype(np.int64).sum(axis=-1)
    minus = codes[..., 2:].astype(np.int64).sum(axis=-1)
    positive, negative = np.maximum(x, 0), np.maximum(-x, 0)
    if mode == ReadMode.ONE_PHASE:
        windows = [(x, plus - minus)]
    else:
        windows = [(positive, plus), (negative, minus), (positive, minus), (negative, plus)]
    return np.stack([np.einsum("nr,rc->nc", pulses, cells) for pulses, cells in windows])


@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.parametrize("name", ["tiny", "hermes"])
def test_random_devices(name: str, mode: ReadMode) -> None:
    state = random_state(Chip.find(name), seed=1, tiles=2)
    rng = np.random.default_rng(2)
    for tile in range(2):
        x = random_int8(rng, 50, state.rows)
        got = Crossbar(state, tile).charges(x, mode)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, _expected(x, state.codes[tile], mode))


@pytest.mark.parametrize("mode", ReadMode)
def test_fewer_rows_and_columns(mode: ReadMode) -> None:
    state = random_state(HERMES, seed=3)
    x = random_int8(np.random.default_rng(4), 20, 33)
    got = Crossbar(state, 0).charges(x, mode, columns=7)
    np.testing.assert_array_equal(got, _expected(x, state.codes[0, :33, :7], mode))


@pytest.mark.parametrize("mode", ReadMode)
def test_largest_charges_are_exact(mode: ReadMode) -> None:
    """All rows full, then one slot or one code step less: a difference of 1 in 16.6 million."""
    codes = np.zeros((1, 256, 256, 4), dtype=np.uint8)
    codes[0, :, :128, :2] = codes[0, :, 128:, 2:] = formats.DEVICE_MAX
    codes[0, 255, 1, 0] -= 1
    codes[0, 0, 129, 3] -= 1
    state = pcm_state.ideal(HERMES, codes)
    x = np.full((4, 256), formats.INT8_MAX, dtype=np.int8)
    x[1] = -formats.INT8_MAX
    x[2, 200] -= 1
    x[3] = -128
    got = Crossbar(state, 0).charges(x, mode)
    np.testing.assert_array_equal(got, _expected(x, codes[0], mode))
    assert np.abs(got).max() == 256 * formats.INT8_MAX * formats.CELL_MAX


def test_matrix_product_against_onnx_runtime() -> None:
    state = random_state(HERMES, seed=5)
    x = np.maximum(random_int8(np.random.default_rng(6), 64, 256), -formats.INT8_MAX)
    products = [
        onnx_integer("MatMulInteger", x, np.ascontiguousarray(state.codes[0, ..., device]))
        for device in range(len(formats.DEVICES))
    ]
    expected = products[0] + products[1] - products[2] - products[3]
    np.testing.assert_array_equal(Crossbar(state, 0).charges(x, ReadMode.ONE_PHASE)[0], expected)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 0), (1, 1, 0), (5, 3, 2)]
)
def test_convolution_against_onnx_runtime(kernel: int, stride: int, padding: int) -> None:
    channels, filters = 8, 24
    rng = np.random.default_rng(7)
    image = np.maximum(random_int8(rng, 2, 11, 9, channels), -formats.INT8_MAX)
    state = random_state(HERMES, seed=8)
    rows = kernel * kernel * channels
    codes = state.codes[0, :rows, :filters]
    products = [
        onnx_integer(
            "ConvInteger",
            image.transpose(0, 3, 1, 2),
            np.ascontiguousarray(
                codes[..., device].reshape(kernel, kernel, channels, filters).transpose(3, 2, 0, 1)
            ),
            strides=[stride, stride],
            pads=[padding] * 4,
        )
        for device in range(len(formats.DEVICES))
    ]
    expected = (products[0] + products[1] - products[2] - products[3]).transpose(0, 2, 3, 1)
    vectors = host.im2col(image, kernel, stride, padding)
    assert vectors.shape == (*expected.shape[:3], rows)
    got = Crossbar(state, 0).charges(vectors.reshape(-1, rows), ReadMode.ONE_PHASE, filters)
    np.testing.assert_array_equal(got[0], expected.reshape(-1, filters))


@pytest.mark.parametrize("device", range(len(formats.DEVICES)))
@pytest.mark.parametrize("bit", range(formats.DEVICE_BITS))
def test_every_bit_of_a_device_counts(device: int, bit: int) -> None:
    state = random_state(Chip.find("tiny"), seed=9)
    codes = state.codes.copy()
    codes[0, 5, 6, device] ^= 1 << bit
    flipped = dataclasses.replace(state, codes=codes)
    x = np.full((1, 16), 3, dtype=np.int8)
    for mode in ReadMode:
        difference = Crossbar(flipped, 0).charges(x, mode) - Crossbar(state, 0).charges(x, mode)
        windows, _, columns = np.nonzero(difference)
        assert windows.size
        assert set(columns) == {6}
