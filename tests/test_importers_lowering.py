"""What the importer rewrites, against onnxruntime: windows in integers, all else in binary32."""

from itertools import product

import numpy as np
import onnx
import pytest
from golden_reference import onnx as run
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx_build import Build

from caduceus import Chip
from caduceus.importers.calibrate import best_scale
from caduceus.importers.describe import described
from caduceus.importers.equalize import SMALLEST, equalized
from caduceus.importers.load import network_of
from caduceus.importers.reader import Reader
from caduceus.importers.reference import FloatReference, pooled
from caduceus.importers.rewrite import rewritten
from caduceus.importers.simplify import simplified_here
from caduceus.importers.steps import Matrix, Source
from caduceus.importers.windows import Square, placed, square
from caduceus.spec.errors import UserError

SMALL = 1e-5
"""Of the largest output: sums in binary32 in another order."""


@st.composite
def windows(draw):
    """A convolution with a dense kernel: matrix and INT8 input [1, channels, height, width]."""
    height, width, channels, outputs = (draw(st.integers(1, n)) for n in (9, 9, 3, 3))
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    dilation = draw(st.sampled_from([1, 1, 1, 2]))
    size = tuple((k - 1) * dilation + 1 for k in kernel)
    pads = draw(st.tuples(*[st.integers(0, 3)] * 4))
    stride = draw(st.tuples(*[st.integers(1, 3)] * 2))
    room = [height + pads[0] + pads[2] - size[0], width + pads[1] + pads[3] - size[1]]
    assume(min(room) >= 0)
    down, across = (r // s + 1 for r, s in zip(room, stride, strict=True))
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    weight = np.zeros((outputs, channels, *size))
    weight[:, :, ::dilation, ::dilation] = random.integers(-127, 128, (outputs, channels, *kernel))
    source = Source("x", "input", [], (channels, height, width), "x", "chw")
    matrix = Matrix(
        "conv", "Conv", [source], (outputs, down, across), weight, np.zeros(outputs), stride, pads
    )
    return matrix, random.integers(-127, 128, (1, channels, height, width)).astype(np.int8)


def convolved(x, weight, stride, pads):
    """By onnxruntime: sums of products of INT8 are whole numbers, exact in binary32 here."""
    operands = [x.astype(np.float32), weight.astype(np.float32)]
    found = run("Conv", operands, onnx.TensorProto.FLOAT, strides=list(stride), pads=list(pads))
    assert np.abs(found).max() < 1 << 24
    return found


def fits(matrix: Matrix, found: Square) -> bool:
    """Whether a square window gives each axis its number of results and holds the kernel."""
    _, *size = matrix.inputs[0].shape
    _, *wanted = matrix.shape
    _, _, *extent = matrix.weight.shape
    top, left = (found.padding - before for before in matrix.pads[:2])
    counts = [(length + 2 * found.padding - found.kernel) // found.stride + 1 for length in size]
    room = min(size) + 2 * found.padding >= found.kernel
    inside = top >= 0 <= left and top + extent[0] <= found.kernel >= left + extent[1]
    # The chip has fewer pixels of padding than of kernel, and no window may skip real pixels.
    stride = all(
        found.stride == by or count == 1 for by, count in zip(matrix.stride, wanted, strict=True)
    )
    return room and inside and stride and counts == wanted and found.padding < found.kernel


@given(windows())
@settings(max_examples=150, deadline=None)
def test_windows_among_zeros_give_the_same_integers(case):
    matrix, x = case
    found = square(matrix)
    if found is None:
        tried = (
            Square(kernel, stride, padding)
            for kernel, stride, padding in product(range(1, 22), range(1, 24), range(0, 12))
        )
        assert not any(fits(matrix, each) for each in tried)
        return
    assert fits(matrix, found)
    expected = convolved(x, matrix.weight, matrix.stride, matrix.pads)
    lowered = convolved(x, placed(matrix, found), [found.stride] * 2, [found.padding] * 4)
    assert np.array_equal(lowered, expected)


def imported(build, y, shape, x, tmp_path):
    """Layers of the network that a graph becomes, and its difference from onnxruntime."""
    model, samples = build.case(y, shape, x)
    onnx.save(model, tmp_path / "m.onnx")
    found = network_of(simplified_here(tmp_path / "m.onnx"), samples, chip=Chip.find("hermes"))
    return found, found.graph.imported.difference


@pytest.mark.parametrize("seed", range(12))
def test_averages_concats_and_factors_are_folded(seed, tmp_path):
    random = np.random.default_rng(seed)
    side, channels = int(random.integers(3, 9)), int(random.integers(1, 5))
    build = Build("folded", seed=seed)
    factor = build.array(random.normal(1, 0.3, (1, channels, 1, 1)).astype(np.float32))
    shift = build.array(random.normal(0, 0.3, (1, channels, 1, 1)).astype(np.float32))
    first = build("Relu", build.conv("x", 2, channels, 3, pads=[1, 1, 1, 1]))
    scaled = build("Relu", build("Add", build("Mul", first, factor), shift))
    both = build("Concat", first, scaled, axis=1)
    if seed % 3 == 0:
        y = build("GlobalAveragePool", both)
    elif seed % 3 == 1:
        y = build("Relu", build.conv(both, 2 * channels, 3, 2))
        y = build("GlobalAveragePool", build("Concat", y, y, axis=1))
        channels = 3
    else:
        y = build("AveragePool", both, kernel_shape=[side, side])
    y = build.dense(build("Flatten", y), 2 * channels, 4)
    x = random.normal(size=(8, 2, side, side)).astype(np.float32)
    _, difference = imported(build, y, ("N", 4), x, tmp_path)
    assert difference < SMALL


@pytest.mark.parametrize("seed", range(6))
def test_equalized_channels_give_the_same_network(seed, tmp_path):
    random = np.random.default_rng(seed)
    build = Build("equalized", seed=seed)
    widths = 10.0 ** random.uniform(-3, 1, (1, 6, 1, 1))
    y = build("Mul", build.conv("x", 2, 6, 3), build.array(widths.astype(np.float32)))
    y = build("MaxPool", build("Relu", y), kernel_shape=[2, 2], strides=[2, 2])
    y = build.dense(build("Flatten", y), 54, 4)
    x = random.normal(size=(8, 2, 8, 8)).astype(np.float32)
    found, _ = imported(build, y, ("N", 4), x, tmp_path)
    maps = x.transpose(0, 2, 3, 1)
    tensors = FloatReference(found).run(maps)
    again = equalized(found, tensors, 256)
    last = pooled(found.graph.nodes[-1].name)
    expected, after = tensors[last], FloatReference(again).run(maps)[last]
    assert np.abs(after - expected).max() < SMALL * np.abs(expected).max()
    # The import did it: a channel is as wide as the widest, or was raised as far as it may be.
    ranges = np.abs(tensors[found.graph.nodes[0].name]).max(axis=(0, 1, 2))
    _, original = imported_without_equalizing(tmp_path, maps)
    before = np.abs(original).max(axis=(0, 1, 2))
    wanted = np.minimum(1, before / before.max() / SMALLEST)
    assert np.allclose(ranges / ranges.max(), wanted, rtol=1e-3)


def imported_without_equalizing(tmp_path, maps):
    """The first layer's name and tensor as the model has them."""
    read = Reader(simplified_here(tmp_path / "m.onnx")).read()
    rewritten(read.graph)
    made = described(read, "plain").network
    first = made.graph.nodes[0].name
    return first, FloatReference(made).run(maps)[first]


def test_a_map_of_ones():
    """The classic wrong answer has 12 first: padding above and on the left."""
    source = Source("x", "input", [], (3, 4, 4), "x", "chw")
    matrix = Matrix(
        "conv", "Conv", [source], (1, 2, 2), np.ones((1, 3, 3, 3)), np.zeros(1), (2, 2),
        (0, 0, 1, 1),
    )  # fmt: skip
    found = square(matrix)
    assert found == Square(4, 2, 1)
    result = convolved(np.ones((1, 3, 4, 4)), placed(matrix, found), [2, 2], [1] * 4)
    assert result.reshape(-1).tolist() == [27, 18, 18, 12]


@pytest.mark.parametrize("seed", range(8))
def test_groups_and_dilation_give_the_same_integers(seed, tmp_path):
    """Whole numbers below 2^24 are exact in binary32: no difference at all."""
    random = np.random.default_rng(seed)
    groups, each, outputs = (int(random.integers(1, 4)) for _ in range(3))
    build = Build("groups", seed=seed)
    shape = (groups * outputs, each, *random.integers(1, 4, 2))
    weight = build.array(random.integers(-127, 128, shape).astype(np.float32))
    dilations = random.integers(1, 3, 2)
    total = (np.array(shape[2:]) - 1) * dilations  # a map of the same size, so that a square fits
    first = [int(random.integers(0, size + 1)) for size in total]
    y = build(
        "Conv", "x", weight, group=groups, kernel_shape=shape[2:], dilations=dilations.tolist(),
        pads=[*first, *(total - first).tolist()],
    )  # fmt: skip
    x = random.integers(-127, 128, (8, groups * each, 9, 9)).astype(np.float32)
    _, difference = imported(build, y, ("N", groups * outputs, "h", "w"), x, tmp_path)
    assert difference == 0


def test_zeros_that_a_convolution_and_a_relu_take(tmp_path):
    build = Build("padded", seed=1)
    zeros = build.array(np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    padded = build("Pad", build("Relu", build.conv("x", 2, 2, 1)), zeros)
    one = build.conv(padded, 2, 3, 3)
    other = build.conv(build("Relu", padded), 2, 3, 3)
    y = build.dense(build("Flatten", build("Relu", build("Add", one, other))), 3 * 36, 4)
    x = np.random.default_rng(1).normal(size=(8, 2, 6, 6)).astype(np.float32)
    _, difference = imported(build, y, ("N", 4), x, tmp_path)
    assert difference < SMALL


def test_a_quiet_first_channel_does_not_choose_the_scale():
    """Of a large tensor some values are looked at, of every channel."""
    values = np.random.default_rng(1).normal(size=(64, 32, 32, 16))
    values[..., 0] *= 0.01
    assert best_scale(values) > 0.9 * best_scale(values[..., 1:])


def test_a_norm_kept_above_one_is_refused(tmp_path):
    build = Build("norm", seed=1)
    y = build.dense("x", 8, 4)
    norm = build("ReduceL2", y, axes=[1], keepdims=1)
    y = build("Div", y, build("Clip", norm, build.array(np.float32(1.0))))
    x = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
    with pytest.raises(UserError, match=r"Clip: min: got 1\.0, expected at most"):
        imported(build, y, ("N", 4), x, tmp_path)


def test_matrices_that_no_weights_file_holds_are_refused(tmp_path):
    build = Build("wide", seed=1)
    y = build("Relu", "x")
    x = np.ones((1, 65536), np.float32)
    with pytest.raises(UserError, match="matrix with its zeros: got 65536x65536"):
        imported(build, y, ("N", 65536), x, tmp_path)
