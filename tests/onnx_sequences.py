"""ONNX models for tests with an LSTM: as PyTorch and Keras export them, in several forms."""

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from onnx_build import SAMPLES, Build, Case, supported

INPUTS, HIDDEN, CLASSES, STEPS = 4, 4, 3, 5


def _rows(build: Build) -> NDArray[np.float32]:
    """Sequences of features, [n, steps, inputs]."""
    return build.samples(SAMPLES, STEPS, INPUTS)


def _outputs(build: Build, x: str, hidden: int = HIDDEN) -> str:
    """All steps' outputs, [steps, batch, hidden], of an LSTM with one direction."""
    return build("Squeeze", build.lstm(x, INPUTS, hidden)[0], build.array([1]))


def _matmul(build: Build, x: str) -> str:
    """A dense layer as exporters write it for more than two axes: MatMul, and Add with the bias."""
    x = build("MatMul", x, build.weight(HIDDEN, CLASSES, inputs=HIDDEN))
    return build("Add", build.bias(CLASSES), x)


@supported
def lstm_alone() -> Case:
    """An LSTM in ONNX's own layout; the axis of directions is squeezed away."""
    build = Build("lstm_alone", opset=14)
    y = _outputs(build, "x")
    x = build.samples(STEPS, 1, INPUTS)
    return build.model({"x": (STEPS, "N", INPUTS)}, {y: (STEPS, "N", HIDDEN)}), x


@supported
def lstm_every_step() -> Case:
    """PyTorch, batch first: Transpose, LSTM, Squeeze, Transpose, MatMul, Add."""
    build = Build("lstm_every_step", opset=14)
    x = build("Transpose", "x", perm=[1, 0, 2])
    y = build("Transpose", _outputs(build, x), perm=[1, 0, 2])
    y = _matmul(build, y)
    return build.case(y, ("N", STEPS, CLASSES), _rows(build))


@supported
def lstm_last_step() -> Case:
    """The last step's output by Gather, as TorchScript writes `y[:, -1]`, then a dense layer."""
    build = Build("lstm_last_step", opset=14)
    y = build("Transpose", _outputs(build, build("Transpose", "x", perm=[1, 0, 2])), perm=[1, 0, 2])
    y = build("Gather", y, build.array(-1), axis=1)
    return build.case(build.dense(y, HIDDEN, CLASSES), ("N", CLASSES), _rows(build))


@supported
def lstm_last_state() -> Case:
    """The last hidden state, the LSTM's second output."""
    build = Build("lstm_last_state", opset=14)
    states = build.lstm(build("Transpose", "x", perm=[1, 0, 2]), INPUTS, HIDDEN)
    y = build("Squeeze", states[1], build.array([0]))
    return build.case(build.dense(y, HIDDEN, CLASSES), ("N", CLASSES), _rows(build))


@supported
def lstm_keras() -> Case:
    """tf2onnx: initial states of zeros are given, `Y_h` is squeezed; MatMul, Add, Softmax."""
    build = Build("lstm_keras", opset=14)
    zeros = build.array(np.zeros((1, 1, HIDDEN)))
    states = build.lstm(
        build("Transpose", "x", perm=[1, 0, 2]), INPUTS, HIDDEN, state=("", zeros, zeros),
        direction="forward",
    )  # fmt: skip
    y = _matmul(build, build("Squeeze", states[1], build.array([0])))
    x = build.samples(1, STEPS, INPUTS)
    return build.case(build("Softmax", y, axis=-1), (1, CLASSES), x, batch=1)


@supported
def lstm_zero_state() -> Case:
    """TorchScript: states of zeros as large as the batch, made by Shape, Concat and Expand."""
    build = Build("lstm_zero_state", opset=14)
    size = build("Gather", build("Shape", "x"), build.array(0), axis=0)
    size = build("Unsqueeze", size, build.array([0]))
    shape = build("Concat", build.array([1]), size, build.array([HIDDEN]), axis=0)
    state = build("Expand", build.array(np.zeros((1, 1, 1))), shape)
    x = build("Transpose", "x", perm=[1, 0, 2])
    states = build.lstm(x, INPUTS, HIDDEN, state=("", state, state))
    y = build("Squeeze", states[1], build.array([0]))
    return build.case(build.dense(y, HIDDEN, CLASSES), ("N", CLASSES), _rows(build))


@supported
def lstm_without_bias() -> Case:
    """No bias, and names of activations that are the usual ones."""
    build = Build("lstm_without_bias", opset=14)
    names = ["Sigmoid", "Tanh", "Tanh"]
    states = build.lstm("x", INPUTS, HIDDEN, bias=False, activations=names)
    y = _matmul(build, build("Squeeze", states[0], build.array([1])))
    x = build.samples(STEPS, 1, INPUTS)
    return build.model({"x": (STEPS, "N", INPUTS)}, {y: (STEPS, "N", CLASSES)}), x


@supported
def lstm_old_opset() -> Case:
    """Opset 11: the axes of Squeeze are an attribute."""
    build = Build("lstm_old_opset", opset=11)
    y, *_ = build.lstm(build("Transpose", "x", perm=[1, 0, 2]), INPUTS, HIDDEN)
    y = build("Transpose", build("Squeeze", y, axes=[1]), perm=[1, 0, 2])
    return build.case(_matmul(build, y), ("N", STEPS, CLASSES), _rows(build))


@supported
def lstm_open_steps() -> Case:
    """Sequences of any length."""
    build = Build("lstm_open_steps", opset=14)
    x = build("Transpose", "x", perm=[1, 0, 2])
    y = _matmul(build, build("Transpose", _outputs(build, x), perm=[1, 0, 2]))
    model = build.model({"x": ("N", "steps", INPUTS)}, {y: ("N", "steps", CLASSES)})
    return model, _rows(build)


@supported
def lstm_normalized_input() -> Case:
    """The input less its mean, by its deviation, is what the LSTM takes."""
    build = Build("lstm_normalized_input", opset=14)
    x = build("Sub", "x", build.array(np.array([0.1, -0.1, 0.2, 0])))
    x = build("Transpose", build("Div", x, build.array(np.float32(0.5))), perm=[1, 0, 2])
    y = _matmul(build, build("Transpose", _outputs(build, x), perm=[1, 0, 2]))
    return build.case(y, ("N", STEPS, CLASSES), _rows(build))


@supported
def lstm_embedding() -> Case:
    """Symbols: a Gather from a table of vectors in front, logits for every step behind."""
    build = Build("lstm_embedding", opset=14)
    symbols = 6
    x = build("Gather", build.weight(symbols, INPUTS), "x", axis=0)
    x = build("Transpose", x, perm=[1, 0, 2])
    y = _matmul(build, build("Transpose", _outputs(build, x), perm=[1, 0, 2]))
    samples = build.random.integers(0, symbols, (SAMPLES, STEPS))
    return build.case(
        build("LogSoftmax", y, axis=-1), ("N", STEPS, CLASSES), samples,
        types={"x": TensorProto.INT64},
    )  # fmt: skip
