"""Makes ONNX models for tests: nodes one after another, weights from a seed, sample inputs."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Case = tuple[onnx.ModelProto, NDArray[Any]]
"""A model, and sample inputs for it: as many as the batch of the sample, in the model's layout."""

Builder = Callable[[], Case]
SUPPORTED: dict[str, Builder] = {}
"""By name: what an import takes."""
REFUSED: dict[str, tuple[Builder, tuple[str, ...]]] = {}
"""By name: what no import takes, and words that the refusal has to have."""

Dimensions = Sequence[int | str]
OPSET = 17
IR_VERSION = 8
"""What exporters write with opset 17; the checker accepts it for all opsets here."""
SAMPLES = 8


def supported(build: Builder) -> Builder:
    """Registers a builder under its name."""
    SUPPORTED[build.__name__] = build
    return build


def refused(*words: str) -> Callable[[Builder], Builder]:
    """Registers a builder whose refusal has to have `words`."""

    def register(build: Builder) -> Builder:
        REFUSED[build.__name__] = (build, words)
        return build

    return register


class Build:
    """A graph that grows node by node; a call adds a node and gives its output's name."""

    def __init__(self, name: str, opset: int = OPSET, seed: int = 1) -> None:
        self.name = name
        self.opset = opset
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.weights = 0

    def __call__(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; gives its output's name, or a list of names where there are several."""
        name = f"/{operator}_{len(self.nodes)}"
        names = [f"{name}_output_{place}" for place in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name, **attributes))
        return names[0] if outputs == 1 else names

    def array(self, values: Any, name: str | None = None) -> str:
        """An initializer with these values; Python's whole numbers are int64, others float32."""
        values = np.asarray(values)
        if values.dtype == np.float64:
            values = values.astype(np.float32)
        name = name or f"constant.{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(values, name))
        return name

    def weight(self, *shape: int, inputs: int | None = None) -> str:
        """Normal weights; their deviation is that of `inputs` terms with a sum of about 1."""
        terms = inputs if inputs is not None else int(np.prod(shape[1:]))
        values = self.random.normal(0, terms**-0.5, shape)
        self.weights += values.size
        return self.array(values, f"layer{len(self.initializers)}.weight")

    def bias(self, size: int) -> str:
        """Small biases."""
        return self.array(self.random.normal(0, 0.1, size), f"layer{len(self.initializers)}.bias")

    def conv(self, x: str, inputs: int, outputs: int, kernel: int | tuple[int, int] = 3,
             bias: bool = True, group: int = 1, **attributes: Any) -> str:  # fmt: skip
        """A convolution with random weights."""
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        weight = self.weight(outputs, inputs // group, *kernel)
        terms = [x, weight, *([self.bias(outputs)] if bias else [])]
        return self("Conv", *terms, kernel_shape=kernel, group=group, **attributes)

    def relu_conv(self, *arguments: Any, **attributes: Any) -> str:
        """As `conv`, and a ReLU."""
        return self("Relu", self.conv(*arguments, **attributes))

    def normalization(self, x: str, channels: int, **attributes: Any) -> Any:
        """A batch normalization with random statistics, none of them extreme."""
        draw = self.random.uniform
        place = len(self.initializers)
        arrays = {"weight": draw(0.5, 1.5, channels), "bias": draw(-0.2, 0.2, channels),
                  "running_mean": draw(-0.2, 0.2, channels),
                  "running_var": draw(0.5, 1.5, channels)}  # fmt: skip
        names = [self.array(values, f"bn{place}.{key}") for key, values in arrays.items()]
        return self("BatchNormalization", x, *names, **attributes)

    def dense(self, x: str, inputs: int, outputs: int) -> str:
        """A dense layer as PyTorch writes it: weights transposed."""
        return self("Gemm", x, self.weight(outputs, inputs), self.bias(outputs), transB=1)

    def lstm(self, x: str, inputs: int, hidden: int, outputs: int = 3, bias: bool = True,
             state: Sequence[str] = (), directions: int = 1,
             **attributes: Any) -> list[str]:  # fmt: skip
        """An LSTM with random weights; `state` are the inputs from `sequence_lens` on."""
        weight = self.weight(directions, 4 * hidden, inputs, inputs=inputs)
        recurrent = self.weight(directions, 4 * hidden, hidden, inputs=hidden)
        both = self.array(self.random.normal(0, 0.1, (directions, 8 * hidden))) if bias else ""
        terms = [x, weight, recurrent, both, *state]
        while not terms[-1]:
            terms.pop()
        return self("LSTM", *terms, outputs=outputs, hidden_size=hidden, **attributes)

    def samples(self, *shape: int, least: float = -1.0) -> NDArray[np.float32]:
        """Uniform inputs up to 1."""
        return self.random.uniform(least, 1, shape).astype(np.float32)

    def model(
        self, inputs: dict[str, Dimensions], outputs: dict[str, Dimensions],
        types: dict[str, int] | None = None,
    ) -> onnx.ModelProto:  # fmt: skip
        """The whole; `types` are those inputs and outputs that are not float32."""
        types = types or {}

        def infos(tensors: dict[str, Dimensions]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), list(shape))
                for name, shape in tensors.items()
            ]

        graph = helper.make_graph(
            self.nodes, self.name, infos(inputs), infos(outputs), self.initializers
        )
        opset = [helper.make_opsetid("", self.opset)]
        ir = IR_VERSION if self.opset <= OPSET else onnx.IR_VERSION if self.opset > 21 else 10
        model = helper.make_model(graph, opset_imports=opset, ir_version=ir)
        model.producer_name = "caduceus tests"
        return model

    def case(self, output: str, shape: Dimensions, samples: NDArray[Any] | None = None,
             sample: Dimensions = (1, 8, 8), batch: str | int = "N",
             types: dict[str, int] | None = None) -> Case:  # fmt: skip
        """The model with one input `x` and one output, and `samples`, or images of `sample`."""
        if samples is None:
            samples = self.samples(SAMPLES, *(int(size) for size in sample), least=0)
        return self.model({"x": (batch, *samples.shape[1:])}, {output: shape}, types), samples
