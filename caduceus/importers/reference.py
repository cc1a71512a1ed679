"""A network's float form: the real numbers that its integers stand for, by onnxruntime.

The description becomes an ONNX graph with its real weights, none of them rounded, and with as many
outputs as it has nodes. It is what scales are calibrated with, what an imported model is compared
with, and what a run's layers are compared with.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.gdpu import GATES
from caduceus.spec.graph import Layer, Lstm, geometries
from caduceus.spec.network import LstmWeights, Network, Weights

if TYPE_CHECKING:
    import onnx

BATCH = 64
"""Inputs that run at once."""
OPSET, IR_VERSION = 17, 8
ONNX_GATES = (0, 3, 2, 1)
"""Our gates I, A, F, O in ONNX's order I, O, F, C, and ONNX's in ours."""


def pooled(node: str) -> str:
    """Name of a node's tensor after its pooling."""
    return f"{node}.pooled"


class FloatReference:
    """A network in binary32.

    Args:
        network: of any kind.
        threads: of onnxruntime; all cores if None.
    """

    def __init__(self, network: Network, threads: int | None = None) -> None:
        self.network, self._threads = network, threads

    @cached_property
    def model(self) -> "onnx.ModelProto":
        """The network as an ONNX model: input `x`, outputs as of `run`, maps with channels first.

        Sequences are [steps, batch, size].
        """
        return _Builder(self.network).model()

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        return onnxruntime.InferenceSession(
            self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, x: NDArray[np.floating]) -> dict[str, NDArray[np.float32]]:
        """All tensors for the inputs `x`.

        Args:
            x: in real units, [n, height, width, channels], [n, size], or sequences [n, steps,
                size].

        Returns:
            by node its result after residual and ReLU, and by `pooled(node)` after its pooling:
            float32 [n, height, width, channels], sequences [n, steps, size].
        """
        found: dict[str, list[NDArray[np.float32]]] = {}
        for piece in self.pieces(x):
            for name, value in piece.items():
                found.setdefault(name, []).append(value)
        return {name: np.concatenate(values) for name, values in found.items()}

    def pieces(self, x: NDArray[np.floating]) -> Iterator[dict[str, NDArray[np.float32]]]:
        """As `run`, `BATCH` inputs after one another: for more inputs than memory holds."""
        names = [each.name for each in self.model.graph.output]
        sequences = self.network.recurrent
        height, width, channels = self.network.graph.input.map
        for start in range(0, len(x), BATCH):
            part = np.asarray(x[start : start + BATCH], np.float32)
            if sequences:
                part = part.transpose(1, 0, 2)
            else:
                part = part.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
            values = self._session.run(names, {"x": np.ascontiguousarray(part)})
            order = (1, 0, 2) if sequences else (0, 2, 3, 1)
            yield {name: value.transpose(order) for name, value in zip(names, values, strict=True)}

    def gates(self, x: NDArray[np.floating], states: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pre-activations of a network with an LSTM, [n, steps, 4, hidden], gates I, A, F, O.

        Args:
            x: sequences [n, steps, size] in real units.
            states: the LSTM's tensor that `run` gave for them.
        """
        node = self.network.graph.nodes[0]
        weights = self.network.weights[node.name]
        assert isinstance(weights, LstmWeights)
        before = np.concatenate([np.zeros_like(states[:, :1]), states[:, :-1]], axis=1)
        sums = x @ weights.input + before @ weights.hidden + weights.bias
        return sums.reshape(*states.shape[:2], len(GATES), -1).astype(np.float32)


class _Builder:
    """Makes the ONNX graph of a network, node by node."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._nodes: list[onnx.NodeProto] = []
        self._arrays: dict[str, NDArray] = {}
        self._outputs: list[str] = []

    def model(self) -> "onnx.ModelProto":
        from onnx import TensorProto, helper, numpy_helper

        graph = self._network.graph
        for node, source, geometry in zip(
            graph.nodes, graph.inputs, geometries(graph), strict=True
        ):
            before = "x" if source is None else pooled(source)
            weights = self._network.weights[node.name]
            if isinstance(node, Lstm):
                self._lstm(node, weights, before)
            elif self._network.recurrent:
                self._dense_of_steps(node, weights, before)
            else:
                self._layer(node, weights, before, geometry.input)
            self._outputs += [node.name, pooled(node.name)]
        height, width, channels = graph.input.map
        shape = ["steps", "n", graph.input.size] if self._network.recurrent else [
            "n", channels, height, width,
        ]  # fmt: skip
        return helper.make_model(
            helper.make_graph(
                self._nodes,
                "network",
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in self._outputs],
                [numpy_helper.from_array(value, name) for name, value in self._arrays.items()],
            ),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )

    def _node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self._nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def _array(self, name: str, value: NDArray) -> str:
        self._arrays[name] = np.ascontiguousarray(value, np.float32)
        return name

    def _layer(
        self, node: Layer, weights: Weights, before: str, shape: tuple[int, int, int]
    ) -> None:
        height, width, channels = shape
        kernel = (height, width) if node.op == "dense" else (node.kernel, node.kernel)
        weight = weights.weight.reshape(*kernel, channels, node.outputs).transpose(3, 2, 0, 1)
        inputs = [
            before,
            self._array(f"{node.name}.weight", weight),
            self._array(f"{node.name}.bias", weights.bias),
        ]
        name = node.name
        steps = ["sum"] * (node.residual is not None) + ["relu"] * node.relu
        result = f"{name}.matrix" if steps else name
        self._node(
            "Conv", inputs, result,
            strides=[node.stride] * 2, pads=[node.padding] * 4,
        )  # fmt: skip
        for place, step in enumerate(steps):
            output = name if place == len(steps) - 1 else f"{name}.{step}"
            if step == "sum":
                result = self._node("Add", [result, pooled(node.residual)], output)
            else:
                result = self._node("Relu", [result], output)
        if node.pool is None:
            self._node("Identity", [name], pooled(name))
            return
        op = {"max": "MaxPool", "average": "AveragePool"}[node.pool.kind]
        self._node(
            op, [name], pooled(name),
            kernel_shape=[node.pool.size] * 2, strides=[node.pool.stride] * 2,
        )  # fmt: skip

    def _lstm(self, node: Lstm, weights: LstmWeights, before: str) -> None:
        name, hidden = node.name, node.hidden

        def gates(rows: NDArray) -> NDArray:
            blocks = rows.reshape(len(GATES), hidden, *rows.shape[1:])
            return blocks[list(ONNX_GATES)].reshape(1, *rows.shape)

        bias = np.concatenate([gates(weights.bias), np.zeros((1, len(weights.bias)))], axis=1)
        inputs = [
            before,
            self._array(f"{name}.input", gates(weights.input.T)),
            self._array(f"{name}.hidden", gates(weights.hidden.T)),
            self._array(f"{name}.bias", bias),
        ]
        self._node("LSTM", inputs, f"{name}.all", hidden_size=hidden)
        self._arrays["directions"] = np.array([1])
        self._node("Squeeze", [f"{name}.all", "directions"], name)
        self._node("Identity", [name], pooled(name))

    def _dense_of_steps(self, node: Layer, weights: Weights, before: str) -> None:
        name = node.name
        self._node("MatMul", [before, self._array(f"{name}.weight", weights.weight)], f"{name}.w")
        self._node("Add", [f"{name}.w", self._array(f"{name}.bias", weights.bias)], name)
        self._node("Identity", [name], pooled(name))
