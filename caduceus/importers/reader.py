"""A simplified model, node by node, to a graph of steps, and what the host does at either end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caduceus.importers import elementwise, maps, quantized, renaming
from caduceus.importers.operators import Node
from caduceus.importers.simplify import Simplified, shapes_of
from caduceus.importers.steps import Graph, Source
from caduceus.importers.values import Constant, Hosted, HostStep, Value, constants
from caduceus.importers.views import View
from caduceus.spec.errors import UserError, named, shown

if TYPE_CHECKING:
    pass


@dataclass
class Read:
    """What a model is.

    Attributes:
        graph: its steps on the chip.
        output: view of the last step that is the network's output, before the host's operators.
        chip_output: name of the ONNX tensor of that view.
        after: what the host does with it.
        notes: sentences on what was changed.
    """

    graph: Graph
    output: View
    chip_output: str
    after: list[HostStep]
    notes: list[str] = field(default_factory=list)


class Reader:
    """Reads all nodes of a model without an LSTM.

    Args:
        found: the model.

    Raises:
        UserError: a node is not supported; the sentence has its name, operator and attribute.
    """

    def __init__(self, found: Simplified) -> None:
        self.file, self._model, self.opset = found.file, found.model, found.opset
        self.shapes: Mapping[str, tuple[int, ...]] = shapes_of(found.model)
        self.values: dict[str, Value] = constants(found.model)
        self.notes: list[str] = []
        self._after: list[HostStep] = []
        self._chip_output: str | None = None
        name = next(each.name for each in found.model.graph.input if each.name not in self.values)
        self.source = self._source(name)
        for proto in found.model.graph.node:
            node = Node(self.file, proto)
            handler = _HANDLERS.get(node.operator)
            if handler is None:
                raise node.refused("operator", node.operator, "one that is not left in the graph")
            handler(self, node)
            node.done()

    def read(self) -> Read:
        """The result.

        Raises:
            UserError: there is more than one output, or it is none of the chip's.
        """
        outputs = [each.name for each in self._model.graph.output]
        if len(outputs) != 1:
            raise UserError(
                f"{self.file}: graph outputs: got {', '.join(map(named, outputs))}, expected one"
            )
        value = self.values.get(outputs[0])
        if isinstance(value, Hosted):
            value = self.values[self._chip_output]
        elif self._after:
            raise UserError(
                f"{self.file}: {self._after[0].op} runs on the host: expected it at the end"
            )
        else:
            self._chip_output = outputs[0]
        if not isinstance(value, View) or not value.complete:
            raise UserError(f"{self.file}: output {named(outputs[0])}: expected a network's result")
        graph = Graph(str(self.file), self.source, value.step)
        return Read(graph, value, self._chip_output, self._after, self.notes)

    def _source(self, name: str) -> Source:
        """The input, in the layout that its first use takes it in."""
        shape = self.shapes[name][1:]
        if len(shape) > 3:
            raise UserError(
                f"{self.file}: input {named(name)}: shape: got {[1, *shape]}, expected at most 4 "
                "axes"
            )
        use = self._first_use(name)
        layout, index = "vector", np.arange(int(np.prod(shape))).reshape(shape)
        chw = (int(np.prod(shape)), 1, 1)
        if len(shape) == 3 and use.operator == "Transpose" and list(use.take("perm", ())) == [
            0, 3, 1, 2,
        ]:  # fmt: skip
            layout, chw = "hwc", (shape[2], shape[0], shape[1])
            index = np.arange(index.size).reshape(chw).transpose(1, 2, 0)
        elif len(shape) == 3:
            layout, chw = "chw", shape
        elif use.operator in ("Reshape", "Unsqueeze") and len(shape) < 3:
            after = self.shapes.get(use.outputs[0], ())[1:]
            if len(after) == 3 and after[1] * after[2] > 1:
                layout, chw = "chw", after
        elif len(shape) == 2:
            layout, chw = "chw", (shape[0], 1, shape[1])
        source = Source(name, "input", [], chw, name, layout)
        self.values[name] = View(source, index)
        return source

    def _first_use(self, name: str) -> Node:
        """The first node behind the input that does more than scale or shift it."""
        passed = {"Add", "Sub", "Mul", "Div", "Cast", "Identity", "QuantizeLinear",
                  "DequantizeLinear", "BatchNormalization"}  # fmt: skip
        found = None
        for proto in self._model.graph.node:
            if name in proto.input:
                found = Node(self.file, proto)
                if proto.op_type not in passed:
                    break
                name = proto.output[0]
        if found is None:
            raise UserError(f"{self.file}: input {named(name)}: expected a node that takes it")
        return found

    def view(self, node: Node, place: int = 0) -> View:
        """The tensor of an input that is computed.

        Raises:
            UserError: it is constant, left out, or made by the host.
        """
        value = self.values.get(node.inputs[place]) if place < len(node.inputs) else None
        if isinstance(value, Hosted):
            raise node.refused(
                f"input {place}", node.inputs[place],
                f"no node behind {self._after[-1].op}, which the host runs",
            )  # fmt: skip
        if not isinstance(value, View):
            got = node.optional(place)
            raise node.refused(f"input {place}", got, "a tensor that the network computes")
        return value

    def constant(self, node: Node, place: int) -> Constant:
        """An input that must be constant.

        Raises:
            UserError: it is not.
        """
        value = self.values.get(node.inputs[place]) if place < len(node.inputs) else None
        if not isinstance(value, Constant):
            raise node.refused(
                f"input {place}", node.optional(place), "a constant, not what the network computes"
            )
        return value

    def real(self, node: Node, place: int) -> NDArray[np.float64]:
        """A constant input in binary64.

        Raises:
            UserError: it is not constant, or not finite.
        """
        value = self.constant(node, place).value
        if value.dtype.kind not in "fiu":
            raise node.refused(f"input {place}", str(value.dtype), "real numbers")
        real = value.astype(np.float64)
        if not np.isfinite(real).all():
            raise node.refused(f"input {place}", "values that are not finite", "finite ones")
        return real

    def give(self, node: Node, value: Value) -> None:
        """Set the node's first output.

        Raises:
            UserError: its shape is not the one that was inferred: the importer would be wrong.
        """
        name = node.outputs[0]
        inferred = self.shapes.get(name)
        if isinstance(value, View) and inferred is not None:
            shape = (1, *value.index.shape)
            if inferred != shape:
                raise node.refused("shape of the result", list(inferred), shown(list(shape)))
        self.values[name] = value

    def host(self, node: Node, op: str, axis: int | None) -> None:
        """The node runs on the host, behind the network; `axis` is the one that it works on."""
        value = self.values.get(node.inputs[0])
        if isinstance(value, View):
            shape = value.index.shape
            self._chip_output = node.inputs[0]
        elif isinstance(value, Hosted):
            shape = value.shape
        else:
            raise node.refused("input 0", node.optional(0), "the network's result")
        if axis is not None:
            place = axis + (len(shape) + 1 if axis < 0 else 0) - 1
            if not 0 <= place < len(shape) or shape[place] != int(np.prod(shape)):
                raise node.refused("axis", axis, "the one of the classes, all others of size 1")
        self._after.append(HostStep(op, node.name))
        self.values[node.outputs[0]] = Hosted(self.shapes.get(node.outputs[0], (1, *shape))[1:])


Handler = Callable[[Reader, Node], None]
_HANDLERS: Mapping[str, Handler] = {
    "Add": elementwise.add,
    "ArgMax": renaming.argmax,
    "AveragePool": maps.pool,
    "BatchNormalization": elementwise.batch_norm,
    "Cast": renaming.rename,
    "Clip": elementwise.clip,
    "Concat": elementwise.concat,
    "Conv": maps.conv,
    "DequantizeLinear": quantized.dequantize,
    "Div": elementwise.divide,
    "Dropout": renaming.rename,
    "Expand": renaming.expand,
    "Flatten": renaming.rename,
    "Gemm": maps.gemm,
    "GlobalAveragePool": maps.global_pool,
    "GlobalMaxPool": maps.global_pool,
    "Identity": renaming.rename,
    "LogSoftmax": renaming.softmax,
    "LpNormalization": renaming.lp_normalization,
    "MatMul": maps.matmul,
    "MaxPool": maps.pool,
    "Mul": elementwise.multiply,
    "Pad": elementwise.pad,
    "QuantizeLinear": quantized.quantize,
    "ReduceL2": renaming.norm,
    "ReduceMean": maps.reduce_mean,
    "Relu": elementwise.relu,
    "Reshape": renaming.rename,
    "Softmax": renaming.softmax,
    "Squeeze": renaming.rename,
    "Sub": elementwise.subtract,
    "Sum": elementwise.add,
    "Transpose": renaming.transpose,
    "Unsqueeze": renaming.rename,
}
