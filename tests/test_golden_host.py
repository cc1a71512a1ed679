"""Golden host part: im2col from its definition, max-pooling in ONNX Runtime, input scaling."""

from fractions import Fraction

import numpy as np
import pytest
from golden_reference import onnx, random_int8
from onnx import TensorProto

from caduceus.data import pictures
from caduceus.golden.reference import host


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (3, 2, 1), (2, 3, 2), (5, 1, 0)]
)
def test_im2col_from_its_definition(kernel: int, stride: int, padding: int) -> None:
    images, height, width, channels = 2, 7, 9, 3
    x = random_int8(np.random.default_rng(1), images, height, width, channels)
    got = host.im2col(x, kernel, stride, padding)
    out_height = (height + 2 * padding - kernel) // stride + 1
    out_width = (width + 2 * padding - kernel) // stride + 1
    assert got.shape == (images, out_height, out_width, kernel * kernel * channels)
    assert got.dtype == np.int8
    for image, row, column in np.ndindex(images, out_height, out_width):
        expected = []
        for ky in range(kernel):
            for kx in range(kernel):
                y, x_ = row * stride + ky - padding, column * stride + kx - padding
                inside = 0 <= y < height and 0 <= x_ < width
                expected += x[image, y, x_].tolist() if inside else [0] * channels
        assert got[image, row, column].tolist() == expected


@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (7, 7), (3, 1), (1, 1), (2, 3)])
def test_max_pool_against_onnx_runtime(size: int, stride: int) -> None:
    x = random_int8(np.random.default_rng(2), 3, 14, 11, 5)
    if size > 3:
        x = random_int8(np.random.default_rng(2), 3, 14, 14, 5)
    expected = onnx(
        "MaxPool",
        [np.ascontiguousarray(x.transpose(0, 3, 1, 2))],
        TensorProto.INT8,
        kernel_shape=[size, size],
        strides=[stride, stride],
    ).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(host.max_pool(x, size, stride), expected)


@pytest.mark.parametrize("scale", [1 / 127, 0.0078740157, 0.004, 0.02, 1.0])
def test_every_pixel(scale: float) -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    got = pictures.quantise_input(pixels, scale)
    assert (got.shape, got.dtype) == (pixels.shape, np.int8)
    # Python rounds fractions to nearest, ties to even.
    exact = [round(Fraction(pixel, 255) / Fraction(scale)) for pixel in range(256)]
    assert got.reshape(-1).tolist() == [min(level, 127) for level in exact]
