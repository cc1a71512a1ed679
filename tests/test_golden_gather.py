"""Golden gather unit: its vectors times a matrix are ONNX Runtime's convolution."""

from itertools import pairwise

import numpy as np
import pytest
from golden_reference import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from caduceus.golden.reference import gather
from caduceus.spec.feature_map import Window


def _window(height: int, width: int, channels: int, kernel: int, **options) -> Window:
    """A window that makes all results, from the kernel's first row on."""
    stride, padding = options.get("stride", 1), options.get("padding", 0)
    across = (width + 2 * padding - kernel) // stride + 1
    fields = {"stride": 1, "padding": 0, "position": 0, "channel": 0} | options
    fields = {"group": 1, "groups": across, "period": 1} | fields
    return Window(height, width, channels, kernel, **fields)


def _convolution(maps: np.ndarray, weights: np.ndarray, window: Window) -> np.ndarray:
    """ONNX Runtime's, [n, down, across, outputs]; weights [y, x, channel, output]."""
    inputs = [maps.transpose(0, 3, 1, 2), weights.transpose(3, 2, 0, 1)]
    result = onnx(
        "Conv",
        [np.ascontiguousarray(each, dtype=np.float32) for each in inputs],
        TensorProto.FLOAT,
        strides=[window.stride] * 2,
        pads=[window.padding] * 4,
    )
    return result.transpose(0, 2, 3, 1)


@st.composite
def _shapes(draw) -> tuple[int, int, int, int, int, int]:
    """Height, width, channels, kernel, stride, padding."""
    kernel = draw(st.integers(1, 5))
    padding = draw(st.integers(0, kernel - 1))
    smallest = max(1, kernel - 2 * padding)
    height, width = (draw(st.integers(smallest, smallest + 8)) for _ in range(2))
    return height, width, draw(st.integers(1, 7)), kernel, draw(st.integers(1, 3)), padding


@settings(deadline=None, max_examples=80)
@given(shape=_shapes(), seed=st.integers(0, 1 << 20), data=st.data())
def test_blocks_of_rows_add_up_to_the_convolution(shape: tuple, seed: int, data) -> None:
    """Blocks begin and end anywhere; small integers, so that every sum is exact in any order."""
    height, width, channels, kernel, stride, padding = shape
    rng = np.random.default_rng(seed)
    maps = rng.integers(-128, 128, (2, height, width, channels)).astype(np.int8)
    weights = rng.integers(-8, 9, (kernel, kernel, channels, 3)).astype(np.float32)
    rows = kernel * kernel * channels
    cuts = data.draw(st.lists(st.integers(0, rows), max_size=4))
    total = 0
    for start, end in pairwise(sorted({0, *cuts, rows})):
        position, channel = divmod(start, channels)
        window = _window(
            height, width, channels, kernel, stride=stride, padding=padding,
            position=position, channel=channel,
        )  # fmt: skip
        vectors = gather.vectors(window, end - start, maps)
        assert (vectors.dtype, vectors.shape) == (np.int8, (2 * window.results, end - start))
        total = total + vectors.astype(np.float32) @ weights.reshape(rows, -1)[start:end]
    expected = _convolution(maps, weights, window)
    np.testing.assert_array_equal(total.reshape(expected.shape), expected)


@settings(deadline=None, max_examples=40)
@given(
    shape=_shapes(),
    group=st.integers(1, 3),
    replicas=st.integers(1, 3),
    seed=st.integers(0, 1 << 20),
)
def test_replicas_take_columns_in_turn(shape: tuple, group: int, replicas: int, seed: int) -> None:
    """Each so many neighbours at a time; what does not make a whole turn is nobody's."""
    height, width, channels, kernel, stride, padding = shape
    period = group * replicas
    width += (period - 1) * stride  # room for a turn
    rng = np.random.default_rng(seed)
    maps = rng.integers(-127, 128, (2, height, width, channels)).astype(np.int8)
    weights = rng.integers(-8, 9, (kernel, kernel, channels, 2)).astype(np.float32)
    expected = None
    for replica in range(replicas):
        across = (width + 2 * padding - kernel) // stride + 1
        window = _window(
            height, width, channels, kernel, stride=stride, padding=padding, group=group,
            groups=across // period, period=period, first=replica * group,
        )  # fmt: skip
        expected = _convolution(maps, weights, window) if expected is None else expected
        columns = [
            turn * period + replica * group + each
            for turn in range(across // period)
            for each in range(group)
        ]
        vectors = gather.vectors(window, kernel * kernel * channels, maps).astype(np.float32)
        got = vectors @ weights.reshape(-1, 2)
        wanted = expected[:, :, columns]
        np.testing.assert_array_equal(got.reshape(wanted.shape), wanted)


def test_a_tile_may_keep_only_some_channels() -> None:
    """Channels 3 and 4 of a pixel's six, of kernel position 1, 0."""
    rng = np.random.default_rng(1)
    maps = rng.integers(-127, 128, (1, 4, 5, 6)).astype(np.int8)
    window = _window(4, 5, 3, 3, padding=1, position=3, channel=1)
    got = gather.vectors(window, 2, maps[..., 2:5])
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)))
    np.testing.assert_array_equal(got, padded[0, 1:5, 0:5, 3:5].reshape(-1, 2))


@pytest.mark.parametrize("rows", [1, 17, 18])
def test_no_maps_make_no_vectors(rows: int) -> None:
    window = _window(4, 4, 2, 3, padding=1)
    maps = np.zeros((0, 4, 4, 2), np.int8)
    assert gather.vectors(window, rows, maps).shape == (0, rows)
