"""Golden pooling unit: the largest against ONNX Runtime, the average against exact fractions."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from golden_reference import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from caduceus.golden.reference.pool import pool
from caduceus.spec.feature_map import Pooling


def _average(maps: np.ndarray, size: int) -> np.ndarray:
    """Of whole windows only; Python rounds a fraction to the nearest integer, ties to even."""
    images, height, width, channels = maps.shape
    found = np.empty((images, height // size, width // size, channels), np.int8)
    for image, y, x, channel in np.ndindex(*found.shape):
        window = maps[image, y * size : (y + 1) * size, x * size : (x + 1) * size, channel]
        nearest = round(Fraction(sum(window.ravel().tolist()), size * size))
        found[image, y, x, channel] = min(max(nearest, -127), 127)
    return found


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(1, 6), more=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    channels=st.integers(1, 5), seed=st.integers(0, 1 << 20),
)  # fmt: skip
def test_the_largest(size: int, more: tuple[int, int], channels: int, seed: int) -> None:
    """What does not make a whole window is dropped."""
    rng = np.random.default_rng(seed)
    height, width = size + more[0], size + more[1]
    maps = rng.integers(-128, 128, (2, height, width, channels)).astype(np.int8)
    got = pool(Pooling("max", size, height, width), maps)
    expected = onnx(
        "MaxPool", [maps.transpose(0, 3, 1, 2).astype(np.float32)], TensorProto.FLOAT,
        kernel_shape=[size] * 2, strides=[size] * 2,
    )  # fmt: skip
    assert got.dtype == np.int8
    np.testing.assert_array_equal(got, expected.transpose(0, 2, 3, 1))


@settings(deadline=None, max_examples=60)
@given(
    shift=st.integers(0, 3), more=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    largest=st.sampled_from((1, 4, 127)), seed=st.integers(0, 1 << 20),
)  # fmt: skip
def test_the_average(shift: int, more: tuple[int, int], largest: int, seed: int) -> None:
    size = 1 << shift
    rng = np.random.default_rng(seed)
    height, width = size + more[0], size + more[1]
    maps = rng.integers(-largest, largest + 1, (2, height, width, 3)).astype(np.int8)
    got = pool(Pooling("average", size, height, width), maps)
    assert got.dtype == np.int8
    np.testing.assert_array_equal(got, _average(maps, size))


def test_every_sum_of_four() -> None:
    """Halves, quarters and three quarters of both signs, and the ends of the range."""
    values = (-127, -126, -3, -2, -1, 0, 1, 2, 3, 126, 127)
    windows = np.array(list(product(values, repeat=4)), dtype=np.int8)
    maps = windows.reshape(-1, 2, 2, 1)
    np.testing.assert_array_equal(pool(Pooling("average", 2, 2, 2), maps), _average(maps, 2))


@pytest.mark.parametrize("value", [-128, -127, 127])
def test_the_largest_window_at_its_limits(value: int) -> None:
    """256 equal values; -128, which no tile gives, becomes -127."""
    maps = np.full((1, 16, 16, 2), value, dtype=np.int8)
    got = pool(Pooling("average", 16, 16, 16), maps)
    np.testing.assert_array_equal(got, np.full((1, 1, 1, 2), max(value, -127)))


@pytest.mark.parametrize("kind", ["max", "average"])
def test_no_maps_give_none(kind: str) -> None:
    assert pool(Pooling(kind, 2, 5, 4), np.zeros((0, 5, 4, 3), np.int8)).shape == (0, 2, 2, 3)
