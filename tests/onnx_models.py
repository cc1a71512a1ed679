"""ONNX models for tests, the convolutional and dense ones: what exporters write, in many forms.

Importing this module fills `SUPPORTED` and `REFUSED` of `onnx_build`, those of `onnx_branches`,
`onnx_sequences` and `onnx_refused` included. `tests/test_onnx_models.py` checks and runs them all.
"""

from typing import Any

import numpy as np
import onnx_branches  # noqa: F401 (registers its models)
import onnx_refused  # noqa: F401
import onnx_sequences  # noqa: F401
from onnx import TensorProto, helper
from onnx_build import REFUSED, SAMPLES, SUPPORTED, Build, Case, supported

__all__ = ["REFUSED", "SUPPORTED"]

SAME: dict[str, Any] = {"pads": [1, 1, 1, 1]}
HALF: dict[str, Any] = {"strides": [2, 2]}
"""Stride 2."""


# --- convolutions --------------------------------------------------------------------------------
def one_conv(height: int = 8, width: int = 8, inputs: int = 2, outputs: int = 4,
             kernel: tuple[int, int] = (3, 3), seed: int = 1, samples: int = SAMPLES,
             bias: bool = True, **attributes: Any) -> Case:  # fmt: skip
    """One convolution, nothing else; its output keeps symbolic sizes."""
    build = Build("one_conv", seed=seed)
    y = build.conv("x", inputs, outputs, kernel, bias, **attributes)
    x = build.samples(samples, inputs, height, width)
    return build.case(y, ("N", outputs, "height", "width"), x)


def ones_stride_2() -> Case:
    """A 4x4 map of ones, 3x3 ones, stride 2, pads (0,0,1,1): 27, 18, 18, 12 of three channels."""
    build = Build("ones")
    weight = build.array(np.ones((1, 3, 3, 3), np.float32))
    y = build("Conv", "x", weight, kernel_shape=[3, 3], pads=[0, 0, 1, 1], **HALF)
    return build.case(y, ("N", 1, 2, 2), np.ones((1, 3, 4, 4), np.float32))


@supported
def same_stride_2() -> Case:
    """Keras's SAME with stride 2 as explicit pads."""
    return one_conv(pads=[0, 0, 1, 1], strides=[2, 2])


@supported
def same_upper() -> Case:
    """The same as `auto_pad`."""
    return one_conv(auto_pad="SAME_UPPER", strides=[2, 2])


@supported
def same_lower() -> Case:
    """Padding above and on the left instead."""
    return one_conv(auto_pad="SAME_LOWER", strides=[2, 2])


@supported
def valid() -> Case:
    """`auto_pad` VALID."""
    return one_conv(auto_pad="VALID")


@supported
def wide_kernel() -> Case:
    """The first layer of MLPerf Tiny's keyword spotting, smaller: a 10x4 kernel on a tall map."""
    return one_conv(12, 6, 1, 4, (10, 4), pads=[4, 1, 5, 1], strides=[2, 2])


@supported
def dilated() -> Case:
    """Dilation 2."""
    return one_conv(pads=[2, 2, 2, 2], dilations=[2, 2])


@supported
def depthwise() -> Case:
    """As many groups as channels."""
    return one_conv(inputs=4, outputs=4, pads=[1, 1, 1, 1], group=4)


@supported
def depthwise_multiplied() -> Case:
    """Two outputs for each channel."""
    return one_conv(inputs=3, outputs=6, pads=[1, 1, 1, 1], group=3)


@supported
def grouped() -> Case:
    """Two groups, without bias."""
    return one_conv(inputs=4, outputs=6, group=2, bias=False)


@supported
def padded_pointwise() -> Case:
    """A 1x1 kernel with padding."""
    return one_conv(kernel=(1, 1), pads=[1, 1, 1, 1])


@supported
def one_dimensional() -> Case:
    """Convolutions over time, as keyword spotters have them; the average over all of it."""
    build = Build("one_dimensional")
    weight = build.weight(4, 2, 3)
    x = build("Conv", "x", weight, kernel_shape=[3], strides=[2], pads=[1, 1])
    x = build("GlobalAveragePool", build("Relu", x))
    return build.case(build.dense(build("Flatten", x), 4, 4), ("N", 4), sample=(2, 16))


@supported
def folded_afterwards() -> Case:
    """Factors and shifts of every channel behind a convolution, as Mul, Sub and Add."""
    build = Build("folded_afterwards")
    x = build.conv("x", 1, 4, bias=False, **SAME)
    for operator in ("Mul", "Sub", "Add"):
        x = build(operator, x, build.array(build.random.uniform(0.5, 1.5, (1, 4, 1, 1))))
    return build.case(build("Relu", x), ("N", 4, 8, 8))


@supported
def normalized_in_front() -> Case:
    """Batch normalization is the first node."""
    build = Build("normalized_in_front")
    x = build.relu_conv(build.normalization("x", 2), 2, 4, **SAME)
    return build.case(x, ("N", 4, 8, 8), sample=(2, 8, 8))


@supported
def separate_pad() -> Case:
    """A Pad node in front of the convolution, as exports of `F.pad` and `ZeroPad2d` have it."""
    build = Build("separate_pad")
    pads, zero = build.array([0, 0, 0, 0, 0, 0, 1, 1]), build.array(np.float32(0))
    y = build.relu_conv(build("Pad", "x", pads, zero, mode="constant"), 1, 4, **HALF)
    return build.case(y, ("N", 4, 4, 4))


@supported
def batch_normalized() -> Case:
    """Conv, batch normalization, ReLU, twice; pool; dense."""
    build = Build("batch_normalized")
    x = build.conv("x", 1, 4, bias=False, **SAME)
    x = build("Relu", build.normalization(x, 4))
    x = build("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = build("Relu", build.normalization(build.conv(x, 4, 4, 2, **HALF), 4))
    return build.case(build.dense(build("Flatten", x), 16, 4), ("N", 4))


@supported
def vanishing_variance() -> Case:
    """A batch normalization whose variance is 1e-12 in one channel: 300 times the other weights."""
    build = Build("vanishing_variance")
    x = build.conv("x", 1, 4, bias=False, **SAME)
    constants = [[1] * 4, [0] * 4, [0] * 4, [1, 1, 1e-12, 1]]
    names = [build.array(np.array(values, np.float32)) for values in constants]
    return build.case(build("BatchNormalization", x, *names), ("N", 4, 8, 8))


@supported
def dead_channel() -> Case:
    """A channel whose weights and bias are all zero."""
    build = Build("dead_channel")
    weight = build.random.normal(0, 0.3, (4, 1, 3, 3))
    weight[2] = 0
    bias = build.array(np.array([0.1, -0.1, 0, 0.2]))
    y = build("Conv", "x", build.array(weight), bias, kernel_shape=[3, 3], **SAME)
    return build.case(build("Relu", y), ("N", 4, 8, 8))


# --- the forms of exporters ----------------------------------------------------------------------
@supported
def keras_channels_last() -> Case:
    """tf2onnx: the input is [n, y, x, channels]; Transpose in front and before the Reshape."""
    build = Build("keras", opset=13)
    x = build("Transpose", "x", perm=[0, 3, 1, 2])
    x = build.relu_conv(x, 1, 4, auto_pad="SAME_UPPER", strides=[2, 2])
    x = build.relu_conv(x, 4, 3, 2, auto_pad="SAME_UPPER", strides=[2, 2])
    x = build("Transpose", x, perm=[0, 2, 3, 1])
    x = build("Reshape", x, build.array([-1, 12]))
    x = build("MatMul", x, build.weight(12, 4, inputs=12))
    x = build("Softmax", build("Add", x, build.bias(4)), axis=-1)
    return build.case(x, ("N", 4), sample=(8, 8, 1))


def old_opset(opset: int = 11) -> Case:
    """Dropout, Squeeze, Unsqueeze, Reshape and batch normalization in the form of `opset`."""
    build = Build("opsets", opset)
    x = build("Unsqueeze", "x", axes=[1]) if opset < 13 else build(
        "Unsqueeze", "x", build.array([1]))  # fmt: skip
    x = build("Relu", build.normalization(build.conv(x, 1, 4, bias=False, **SAME), 4))
    x = build("GlobalAveragePool", x)
    axes = [2, 3]
    x = build("Squeeze", x, axes=axes) if opset < 13 else build("Squeeze", x, build.array(axes))
    x = build("Dropout", x, ratio=0.5) if opset < 12 else build("Dropout", x)
    x = build.dense(x, 4, 4)
    return build.case(build("Softmax", x, axis=1), ("N", 4), sample=(8, 8))


@supported
def opset_7() -> Case:
    """The oldest forms."""
    return old_opset(7)


@supported
def opset_11() -> Case:
    """Axes still attributes."""
    return old_opset(11)


@supported
def opset_21() -> Case:
    """Axes as inputs."""
    return old_opset(21)


def in_opset(opset: int) -> Case:
    """One and the same network in any opset from 11 on: Conv, ReLU, pool, Reshape, Gemm."""
    build = Build("in_opset", opset)
    x = build.conv("x", 1, 4, bias=False, **SAME)
    x = build("GlobalAveragePool", build("Relu", build.normalization(x, 4)))
    x = build("Reshape", x, build.array([-1, 4]))
    return build.case(build.dense(x, 4, 4), ("N", 4))


@supported
def shape_chain() -> Case:
    """What TorchScript writes for `x.view(x.size(0), -1)`: Shape, Gather, Unsqueeze, Concat."""
    build = Build("shape_chain", opset=13)
    x = build.relu_conv("x", 1, 4, 2, **HALF)
    size = build("Gather", build("Shape", x), build("Constant", value=_scalar(0)), axis=0)
    size = build("Unsqueeze", size, build.array([0]))
    rest = build("Constant", value=helper.make_tensor("rest", TensorProto.INT64, [1], [-1]))
    x = build("Reshape", x, build("Concat", size, rest, axis=0))
    return build.case(build.dense(x, 64, 4), ("N", 4))


def _scalar(value: int) -> TensorProto:
    return helper.make_tensor("value", TensorProto.INT64, [], [value])


@supported
def reshape_zero() -> Case:
    """Reshape that copies the batch: [0, -1]."""
    build = Build("reshape_zero")
    x = build.relu_conv("x", 1, 4, 2, **HALF)
    return build.case(build.dense(build("Reshape", x, build.array([0, -1])), 64, 4), ("N", 4))


@supported
def fixed_batch() -> Case:
    """A batch of one that is written down, in the input and in Reshape."""
    build = Build("fixed_batch")
    x = build.relu_conv("x", 1, 4, 2, **HALF)
    x = build.dense(build("Reshape", x, build.array([1, 64])), 64, 4)
    return build.case(x, (1, 4), build.samples(1, 1, 8, 8, least=0), batch=1)


@supported
def normalized_input() -> Case:
    """Pixels from 0 to 255; mean and deviation of each channel are the first nodes."""
    build = Build("normalized_input")
    mean = build.array(np.array([120.0, 110, 100], np.float32).reshape(1, 3, 1, 1))
    deviation = build.array(np.array([60.0, 55, 50], np.float32).reshape(1, 3, 1, 1))
    x = build("Div", build("Sub", "x", mean), deviation)
    x = build("GlobalAveragePool", build.relu_conv(x, 3, 4, **SAME))
    y = build.dense(build("Flatten", x), 4, 4)
    pixels = build.random.integers(0, 256, (SAMPLES, 3, 8, 8)).astype(np.float32)
    return build.case(y, ("N", 4), pixels)


@supported
def renamed() -> Case:
    """Identity, Dropout and a Constant node; names with dots, blanks and slashes."""
    build = Build("renamed")
    weight = helper.make_tensor(
        "w", TensorProto.FLOAT, [4, 1, 2, 2], build.random.normal(0, 0.5, 16).tolist()
    )
    y = build("Conv", build("Identity", "x"), build("Constant", value=weight), **HALF)
    y = build("Dropout", build("Relu", y))
    y = build.dense(build("Flatten", build("Identity", y)), 64, 4)
    for place, node in enumerate(build.nodes):
        node.name = f"model.block {place}/{node.op_type}"
    return build.case(y, ("N", 4))


@supported
def unnamed() -> Case:
    """Nodes without names."""
    model, samples = batch_normalized()
    for node in model.graph.node:
        node.name = ""
    return model, samples


# --- dense layers --------------------------------------------------------------------------------
@supported
def gemm_normalized() -> Case:
    """Gemm, batch normalization, ReLU, Gemm."""
    build = Build("gemm_normalized")
    x = build("Relu", build.normalization(build.dense("x", 16, 16), 16))
    return build.case(build.dense(x, 16, 4), ("N", 4), sample=(16,))


@supported
def gemm_factors() -> Case:
    """Gemm with alpha and beta and a bias that is one number; weights not transposed."""
    build = Build("gemm_factors")
    weight = build.weight(16, 4, inputs=16)
    y = build("Gemm", "x", weight, build.array(np.float32(0.3)), alpha=0.5, beta=2.0)
    return build.case(y, ("N", 4), sample=(16,))


@supported
def matmul_add() -> Case:
    """MatMul and Add, the bias in front; MatMul without any bias after it."""
    build = Build("matmul_add")
    x = build("MatMul", "x", build.weight(16, 8, inputs=16))
    x = build("Relu", build("Add", build.bias(8), x))
    return build.case(build("MatMul", x, build.weight(8, 4, inputs=8)), ("N", 4), sample=(16,))


# --- pools ---------------------------------------------------------------------------------------
@supported
def average_pooled() -> Case:
    """Averages that the pooling unit has: 2x2, and 4x4 over all that is left."""
    build = Build("average_pooled")
    x = build.relu_conv("x", 1, 4, **SAME)
    x = build("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = build("GlobalAveragePool", build.relu_conv(x, 4, 4, 1))
    return build.case(build.dense(build("Flatten", x), 4, 4), ("N", 4))


@supported
def average_of_49() -> Case:
    """A global average of 7x7, which belongs into the dense layer."""
    build = Build("average_of_49")
    x = build("GlobalAveragePool", build.relu_conv("x", 1, 4, **HALF, **SAME))
    return build.case(build.dense(build("Flatten", x), 4, 4), ("N", 4), sample=(1, 14, 14))


@supported
def reduced_mean() -> Case:
    """A global average written as ReduceMean over two axes, without keeping them."""
    build = Build("reduced_mean", opset=18)
    x = build("ReduceMean", build.relu_conv("x", 1, 4, **SAME), build.array([2, 3]), keepdims=0)
    return build.case(build.dense(x, 4, 4), ("N", 4))


@supported
def global_max() -> Case:
    """The largest of a whole map."""
    build = Build("global_max")
    x = build("GlobalMaxPool", build.relu_conv("x", 1, 4, 2, **HALF))
    return build.case(build.dense(build("Flatten", x), 4, 4), ("N", 4))


@supported
def dense_over_an_oblong() -> Case:
    """A dense layer over a map that is wider than high."""
    build = Build("dense_over_an_oblong")
    x = build.relu_conv("x", 1, 2, 2, **HALF)
    return build.case(build.dense(build("Flatten", x), 24, 4), ("N", 4), sample=(1, 6, 8))


@supported
def pooled_without_relu() -> Case:
    """The largest of negative values, too."""
    build = Build("pooled_without_relu")
    x = build("MaxPool", build.conv("x", 1, 4, **SAME), kernel_shape=[4, 4], strides=[4, 4])
    return build.case(build.dense(build("Flatten", x), 16, 4), ("N", 4))


# --- what the host does at the end ---------------------------------------------------------------
def ended(operator: str, *, classes: bool = False, **attributes: Any) -> Case:
    """Two dense layers and an operator that the host runs; `classes`: it gives their numbers."""
    build = Build("ended", opset=13)
    x = build.dense(build("Relu", build.dense("x", 16, 16)), 16, 4)
    y = build(operator, x, **attributes)
    shape, types = (("N",), {y: TensorProto.INT64}) if classes else (("N", 4), None)
    return build.case(y, shape, sample=(16,), types=types)


@supported
def softmax() -> Case:
    """Softmax at the end."""
    return ended("Softmax", axis=1)


@supported
def log_softmax() -> Case:
    """LogSoftmax at the end, its axis counted from the end."""
    return ended("LogSoftmax", axis=-1)


@supported
def argmax() -> Case:
    """ArgMax at the end: whole numbers come out."""
    return ended("ArgMax", classes=True, axis=1, keepdims=0)


@supported
def unit_length() -> Case:
    """LpNormalization at the end, as face embeddings have it."""
    return ended("LpNormalization", axis=-1, p=2)


@supported
def unit_length_parts() -> Case:
    """The same as PyTorch writes it: ReduceL2, Clip, Expand, Div."""
    build = Build("unit_length_parts", opset=13)
    x = build.dense("x", 16, 4)
    norm = build("ReduceL2", x, axes=[1], keepdims=1)
    norm = build("Clip", norm, build.array(np.float32(1e-12)))
    y = build("Div", x, build("Expand", norm, build("Shape", x)))
    return build.case(y, ("N", 4), sample=(16,))
