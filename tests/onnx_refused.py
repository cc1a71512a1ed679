"""ONNX models for tests that no import takes: sound ones, each with one thing that is refused."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper
from onnx_build import SAMPLES, Build, Case, refused

INPUTS, HIDDEN, STEPS = 4, 4, 5
CONV: dict[str, Any] = {"pads": [1, 1, 1, 1]}


# --- operators -----------------------------------------------------------------------------------
@refused("ConvTranspose")
def conv_transpose() -> Case:
    """An upsampling convolution."""
    build = Build("conv_transpose")
    x = build.relu_conv("x", 1, 4, 2, strides=[2, 2])
    y = build("ConvTranspose", x, build.weight(4, 2, 2, 2), strides=[2, 2], kernel_shape=[2, 2])
    return build.case(y, ("N", 2, 8, 8))


def activated(operator: str, opset: int = 17, **attributes: Any) -> Case:
    """A convolution and an activation that the chip lacks."""
    build = Build("activated", opset)
    y = build(operator, build.conv("x", 1, 4, **CONV), **attributes)
    return build.case(y, ("N", 4, 8, 8))


@refused("LeakyRelu")
def leaky_relu() -> Case:
    """An activation with a slope below 0."""
    return activated("LeakyRelu", alpha=0.1)


@refused("HardSwish")
def hard_swish() -> Case:
    """The activation of MobileNetV3."""
    return activated("HardSwish")


@refused("Gelu")
def gelu() -> Case:
    """The activation of transformers, as a node of its own."""
    return activated("Gelu", opset=20)


@refused("Erf")
def gelu_parts() -> Case:
    """The same as exporters write it before opset 20."""
    build = Build("gelu_parts")
    x = build.conv("x", 1, 4, **CONV)
    y = build("Erf", build("Div", x, build.array(np.float32(2**0.5))))
    y = build("Mul", x, build("Add", y, build.array(np.float32(1))))
    return build.case(build("Mul", y, build.array(np.float32(0.5))), ("N", 4, 8, 8))


@refused("Resize")
def resize() -> Case:
    """Twice as many pixels."""
    build = Build("resize")
    scales = build.array(np.array([1, 1, 2, 2], np.float32))
    y = build("Resize", build.conv("x", 1, 4, **CONV), "", scales, mode="nearest")
    return build.case(y, ("N", 4, 16, 16))


@refused("LayerNormalization")
def layer_normalization() -> Case:
    """Statistics of the values themselves."""
    build = Build("layer_normalization")
    ones, zeros = build.array(np.ones(16)), build.array(np.zeros(16))
    y = build("LayerNormalization", build.dense("x", 16, 16), ones, zeros, axis=-1)
    return build.case(y, ("N", 16), sample=(16,))


@refused("GRU")
def gru() -> Case:
    """The other recurrent unit."""
    build = Build("gru")
    weights = [build.weight(1, 12, INPUTS), build.weight(1, 12, HIDDEN)]
    y = build("GRU", "x", *weights, outputs=2, hidden_size=HIDDEN)[1]
    x = build.samples(STEPS, 1, INPUTS)
    return build.model({"x": (STEPS, "N", INPUTS)}, {y: (1, "N", HIDDEN)}), x


@refused("Attention")
def attention() -> Case:
    """Attention as one node."""
    build = Build("attention", opset=23)
    x = build.dense("x", 16, 16)
    x = build("Reshape", x, build.array([-1, 1, 4, 4]))
    y = build("Attention", x, x, x)
    return build.case(y, ("N", 1, 4, 4), sample=(16,))


@refused("Loop")
def loop() -> Case:
    """A graph in a graph, run three times."""
    build = Build("loop")
    boolean, real = TensorProto.BOOL, TensorProto.FLOAT
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["on_out"]),
            helper.make_node("Relu", ["y"], ["y_out"]),
        ],
        "body",
        [helper.make_tensor_value_info("count", TensorProto.INT64, []),
         helper.make_tensor_value_info("on", boolean, []),
         helper.make_tensor_value_info("y", real, ["N", 16])],
        [helper.make_tensor_value_info("on_out", boolean, []),
         helper.make_tensor_value_info("y_out", real, ["N", 16])],
    )  # fmt: skip
    x = build.dense("x", 16, 16)
    y = build("Loop", build.array(3), build.array(np.array(True)), x, body=body)
    return build.case(y, ("N", 16), sample=(16,))


@refused("Mul", "constant")
def gated() -> Case:
    """The product of two maps."""
    build = Build("gated")
    x = build.relu_conv("x", 1, 4, 2, strides=[2, 2])
    y = build("Mul", build.conv(x, 4, 4, 1), build.conv(x, 4, 4, 1))
    return build.case(y, ("N", 4, 4, 4))


# --- attributes ----------------------------------------------------------------------------------
@refused("BatchNormalization", "model.eval()")
def training_mode() -> Case:
    """A batch normalization that was exported while training."""
    build = Build("training_mode", opset=15)
    x = build.conv("x", 1, 4, bias=False, **CONV)
    y, *_ = build.normalization(x, 4, outputs=3, training_mode=1)
    return build.case(y, ("N", 4, 8, 8))


@refused("MaxPool", "ceil_mode")
def ceil_mode() -> Case:
    """Windows that are cut off at the edge."""
    build = Build("ceil_mode")
    x = build.relu_conv("x", 1, 4, 2)
    y = build("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    return build.case(y, ("N", 4, 4, 4))


@refused("MaxPool", "kernel")
def overlapping_pool() -> Case:
    """ResNet's first pool: 3x3, stride 2."""
    build = Build("overlapping_pool")
    x = build.relu_conv("x", 1, 4, **CONV)
    y = build("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    return build.case(y, ("N", 4, 4, 4))


@refused("Clip", "max")
def relu6() -> Case:
    """MobileNet's ReLU, which ends at 6."""
    build = Build("relu6")
    limits = [build.array(np.float32(0)), build.array(np.float32(6))]
    y = build("Clip", build.conv("x", 1, 4, **CONV), *limits)
    return build.case(y, ("N", 4, 8, 8))


@refused("Pad", "mode")
def reflected() -> Case:
    """Padding with the map's own mirror image."""
    build = Build("reflected")
    pads = build.array([0, 0, 1, 1, 0, 0, 1, 1])
    y = build.conv(build("Pad", "x", pads, mode="reflect"), 1, 4)
    return build.case(y, ("N", 4, 8, 8))


@refused("Concat", "axis")
def stacked_rows() -> Case:
    """Two maps one above the other."""
    build = Build("stacked_rows")
    y = build("Concat", build.conv("x", 1, 4, **CONV), build.conv("x", 1, 4, **CONV), axis=2)
    return build.case(y, ("N", 4, 16, 8))


@refused("AveragePool", "count_include_pad")
def average_without_pads() -> Case:
    """Averages at the edge are over fewer pixels."""
    build = Build("average_without_pads")
    x = build.relu_conv("x", 1, 4, **CONV)
    y = build("AveragePool", x, kernel_shape=[3, 3], **CONV)
    return build.case(y, ("N", 4, 8, 8))


@refused("Conv", "stride")
def unequal_strides() -> Case:
    """Three columns at a time, one row."""
    build = Build("unequal_strides")
    y = build.conv("x", 1, 4, strides=[1, 3])
    return build.case(y, ("N", 4, 6, 2))


@refused("Reshape")
def mixed_batch() -> Case:
    """Reshape puts images of a batch together."""
    build = Build("mixed_batch")
    x = build("Reshape", build.dense("x", 16, 16), build.array([-1, 32]))
    return build.case(build.dense(x, 32, 4), ("M", 4), sample=(16,))


@refused("Softmax")
def softmax_inside() -> Case:
    """Softmax in the middle of a network."""
    build = Build("softmax_inside")
    x = build("Softmax", build.dense("x", 16, 16), axis=-1)
    return build.case(build.dense(x, 16, 4), ("N", 4), sample=(16,))


@refused("axis")
def open_width() -> Case:
    """A fully convolutional network for images of any size."""
    build = Build("open_width")
    y = build.conv("x", 1, 4, **CONV)
    model = build.model({"x": ("N", 1, "height", "width")}, {y: ("N", 4, "height", "width")})
    return model, build.samples(SAMPLES, 1, 8, 8)


@refused("graph outputs")
def two_outputs() -> Case:
    """A network with two heads."""
    build = Build("two_outputs")
    x = build.dense("x", 16, 16)
    heads = {build.dense(x, 16, 4): ("N", 4), build.dense(x, 16, 2): ("N", 2)}
    return build.model({"x": ("N", 16)}, heads), build.samples(SAMPLES, 16)


# --- LSTM ----------------------------------------------------------------------------------------
def lstm_with(directions: int = 1, state: tuple[str, ...] = (), build: Build | None = None,
              **attributes: Any) -> Case:  # fmt: skip
    """An LSTM with something that is not supported; its outputs as ONNX has them."""
    build = build or Build("lstm_with", opset=14)
    y, *_ = build.lstm("x", INPUTS, HIDDEN, state=state, directions=directions, **attributes)
    x = build.samples(STEPS, 1, INPUTS)
    return build.model({"x": (STEPS, 1, INPUTS)}, {y: (STEPS, directions, 1, HIDDEN)}), x


@refused("LSTM", "direction")
def lstm_reverse() -> Case:
    """From the last step to the first."""
    return lstm_with(direction="reverse")


@refused("LSTM", "direction")
def lstm_bidirectional() -> Case:
    """In both directions."""
    return lstm_with(directions=2, direction="bidirectional")


@refused("LSTM", "clip")
def lstm_clip() -> Case:
    """Gates that are clipped."""
    return lstm_with(clip=1.0)


@refused("LSTM", "input_forget")
def lstm_input_forget() -> Case:
    """Input and forget gate coupled."""
    return lstm_with(input_forget=1)


@refused("LSTM", "activations")
def lstm_hard_sigmoid() -> Case:
    """The activations of old Keras."""
    return lstm_with(activations=["HardSigmoid", "Tanh", "Tanh"])


@refused("LSTM", "layout")
def lstm_batch_first() -> Case:
    """Batch first by attribute; onnxruntime does not run it either."""
    build = Build("lstm_batch_first", opset=14)
    y, *_ = build.lstm("x", INPUTS, HIDDEN, layout=1)
    x = build.samples(SAMPLES, STEPS, INPUTS)
    return build.case(y, ("N", STEPS, 1, HIDDEN), x)


@refused("LSTM", "sequence_lens")
def lstm_lengths() -> Case:
    """Sequences of several lengths."""
    build = Build("lstm_lengths", opset=14)
    lengths = build.array(np.array([3], np.int32))
    return lstm_with(state=(lengths,), build=build)


@refused("LSTM", "initial_h")
def lstm_initial_state() -> Case:
    """A first state that is not zero."""
    build = Build("lstm_initial_state", opset=14)
    states = [build.array(np.full((1, 1, HIDDEN), 0.5)) for _ in range(2)]
    return lstm_with(state=("", *states), build=build)


@refused("LSTM", "P")
def lstm_peepholes() -> Case:
    """Gates that see the cell."""
    build = Build("lstm_peepholes", opset=14)
    peepholes = build.array(np.full((1, 3 * HIDDEN), 0.1))
    return lstm_with(state=("", "", "", peepholes), build=build)


@refused("LSTM")
def two_lstms() -> Case:
    """One LSTM after another."""
    build = Build("two_lstms", opset=14)
    axis = build.array([1])
    x = build("Squeeze", build.lstm("x", INPUTS, HIDDEN)[0], axis)
    y = build("Squeeze", build.lstm(x, HIDDEN, HIDDEN)[0], axis)
    x = build.samples(STEPS, 1, INPUTS)
    return build.model({"x": (STEPS, "N", INPUTS)}, {y: (STEPS, "N", HIDDEN)}), x
