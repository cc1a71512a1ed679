"""A simplified model, node by node, to a graph of steps, and what the host does at either end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caduceus.importers import maps
from caduceus.importers.operators import Node
from caduceus.importers.simplify import Simplified, shapes_of
from caduceus.importers.steps import Add, Affine, Concat, Graph, Pad, Relu, Source, Step
from caduceus.importers.views import View
from caduceus.spec.errors import UserError, named, shown

if TYPE_CHECKING:
    import onnx

FLOATS = frozenset({1, 10, 11, 16})
"""ONNX's numbers of the types float, float16, double, bfloat16."""


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant tensor.

    Attributes:
        value: of any type.
        step: of a dequantized one the real value of one integer step: [], or [n] along `axis`.
        axis: that the steps belong to.
    """

    value: NDArray
    step: NDArray[np.float64] | None = None
    axis: int = 0


@dataclass(frozen=True, eq=False)
class Hosted:
    """The network's output after operators that the host runs."""

    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Norm:
    """The Euclidean norm of a view, by which it is about to be divided."""

    of: View


@dataclass(frozen=True, eq=False)
class Quantized:
    """A view in integers, with its real step."""

    view: View
    scale: float


Value = View | Constant | Hosted | Norm | Quantized


@dataclass(frozen=True)
class HostStep:
    """An operator that the host runs: `op` as in a description, and its ONNX node."""

    op: str
    origin: str


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
        self.file, self._model = found.file, found.model
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


def constants(model: "onnx.ModelProto") -> dict[str, Value]:
    """The initializers of a model, and its Constant nodes are as good."""
    from onnx import numpy_helper

    return {each.name: Constant(numpy_helper.to_array(each)) for each in model.graph.initializer}


def _affine(reader: Reader, node: Node, place: int, factor: NDArray, shift: NDArray) -> None:
    """Input `place` of a node times `factor` plus `shift`, which are constant tensors."""
    view = reader.view(node, place)
    step, shape = view.step, (1, *view.index.shape)
    if not view.complete:
        raise node.refused("input 0", node.inputs[place], "all values of a tensor")
    full = []
    for each in (factor, shift):
        try:
            values = np.broadcast_to(each, shape)
        except ValueError:
            raise node.refused(
                "constant", list(each.shape), f"one that is broadcast to {list(shape)}"
            ) from None
        flat = np.empty(step.count)
        flat[view.index.reshape(-1)] = values.reshape(-1)
        full.append(flat.reshape(step.shape))
    result = Affine(node.name, node.operator, [step], step.shape, *full)
    reader.give(node, View(result, view.index))


def _add(reader: Reader, node: Node) -> None:
    values = [reader.values.get(name) for name in node.inputs]
    if len(node.inputs) == 2 and any(isinstance(value, Constant) for value in values):
        place = 1 if isinstance(values[0], Constant) else 0
        shift = reader.real(node, 1 - place)
        _affine(reader, node, place, np.ones(()), shift)
        return
    total = reader.view(node, 0)
    for place in range(1, len(node.inputs)):
        total = _sum(node, total, reader.view(node, place))
    reader.give(node, total)


def _sum(node: Node, one: View, other: View) -> View:
    if one.step.shape != other.step.shape or not one.same(other):
        raise node.refused(
            "inputs", [list(one.index.shape), list(other.index.shape)],
            "two tensors of the same shape, in the same layout",
        )  # fmt: skip
    if one.step is other.step:
        twice = np.full(one.step.shape, 2.0)
        step: Step = Affine(
            node.name, node.operator, [one.step], one.step.shape, twice, np.zeros(one.step.shape)
        )
    else:
        step = Add(node.name, node.operator, [one.step, other.step], one.step.shape)
    return View(step, one.index)


def _subtract(reader: Reader, node: Node) -> None:
    first, second = (reader.values.get(name) for name in node.inputs)
    if isinstance(second, Constant):
        _affine(reader, node, 0, np.ones(()), -reader.real(node, 1))
    elif isinstance(first, Constant):
        _affine(reader, node, 1, np.full((), -1.0), reader.real(node, 0))
    else:
        view = reader.view(node, 1)
        shape = view.step.shape
        minus = Affine(
            node.name, node.operator, [view.step], shape, np.full(shape, -1.0), np.zeros(shape)
        )
        reader.give(node, _sum(node, reader.view(node, 0), View(minus, view.index)))


def _multiply(reader: Reader, node: Node) -> None:
    place = 1 if isinstance(reader.values.get(node.inputs[0]), Constant) else 0
    _affine(reader, node, place, reader.real(node, 1 - place), np.zeros(()))


def _divide(reader: Reader, node: Node) -> None:
    divisor = reader.values.get(node.inputs[1])
    if isinstance(divisor, Norm):
        if reader.values.get(node.inputs[0]) is not divisor.of:
            raise node.refused("input 1", node.inputs[1], "the norm of input 0")
        reader.host(node, "l2_norm", None)
        return
    divisor = reader.real(node, 1)
    if not divisor.all():
        raise node.refused("input 1", 0, "numbers other than 0")
    _affine(reader, node, 0, 1 / divisor, np.zeros(()))


def _relu(reader: Reader, node: Node) -> None:
    view = reader.view(node)
    reader.give(
        node, View(Relu(node.name, node.operator, [view.step], view.step.shape), view.index)
    )


def _clip(reader: Reader, node: Node) -> None:
    limits = []
    for place, name in ((1, "min"), (2, "max")):
        value = node.take(name)
        if node.optional(place) is not None:
            value = float(reader.real(node, place).reshape(-1)[0])
        limits.append(value)
    least, most = limits
    if isinstance(reader.values.get(node.inputs[0]), Norm) and most is None:
        reader.values[node.outputs[0]] = reader.values[node.inputs[0]]
        return
    if least != 0:
        raise node.refused("min", least, "0")
    if most is not None and most < np.finfo(np.float32).max:
        raise node.refused("max", most, "none: then it is a ReLU")
    view = reader.view(node)
    step = Relu(node.name, node.operator, [view.step], view.step.shape)
    reader.give(node, View(step, view.index))


def _batch_norm(reader: Reader, node: Node) -> None:
    training = node.take("training_mode", 0) or any(node.outputs[1:])
    if training:
        raise UserError(f"{node.where}: exported in training mode: call model.eval() before export")
    node.take("momentum")  # has no effect outside training
    node.demand("spatial", 1)
    epsilon = node.take("epsilon", 1e-5)
    scale, bias, mean, variance = (reader.real(node, place) for place in range(1, 5))
    if not (variance + epsilon > 0).all():
        raise node.refused("variance", float(variance.min()), "numbers of at least 0")
    factor = scale / np.sqrt(variance + epsilon)
    shift = bias - mean * factor
    axes = reader.view(node).index.ndim - 1
    columns = (1, len(factor)) + (1,) * axes
    _affine(reader, node, 0, factor.reshape(columns), shift.reshape(columns))


def _concat(reader: Reader, node: Node) -> None:
    axis = node.take("axis")
    views = [reader.view(node, place) for place in range(len(node.inputs))]
    rank = views[0].index.ndim + 1
    if axis not in (1, 1 - rank):
        raise node.refused("axis", axis, "1, the channels")
    steps, channels = [], 0
    for view in views:
        fits = view.step.shape[1:] == views[0].step.shape[1:]
        whole = bool((view.index.reshape(-1) == np.arange(view.step.count)).all())
        if not (fits and whole and view.complete):
            raise node.refused(
                "inputs", [list(each.index.shape) for each in views],
                "maps of the same height and width",
            )  # fmt: skip
        steps.append(view.step)
        channels += view.step.shape[0]
    if len(steps) == 1:
        reader.give(node, views[0])
        return
    step = Concat(node.name, node.operator, steps, (channels, *steps[0].shape[1:]))
    shape = (sum(view.index.shape[0] for view in views), *views[0].index.shape[1:])
    reader.give(node, View.whole(step, shape))


def _pad(reader: Reader, node: Node) -> None:
    node.demand("mode", "constant")
    value = node.take("value", 0.0)
    if node.optional(2) is not None:
        value = float(reader.real(node, 2).reshape(-1)[0])
    if value != 0:
        raise node.refused("value", value, "0")
    pads = node.take("pads")
    if pads is None:
        pads = reader.real(node, 1).astype(int).reshape(-1).tolist()
    view = reader.view(node)
    rank = view.index.ndim + 1
    axes = list(range(rank))
    if node.optional(3) is not None:
        axes = [int(axis) % rank for axis in reader.real(node, 3).reshape(-1)]
    around = np.zeros((rank, 2), dtype=int)
    for place, axis in enumerate(axes):
        around[axis] = pads[place], pads[place + len(axes)]
    if around[:2].any() or rank > 4 or rank < 3 or (around < 0).any():
        raise node.refused("pads", list(pads), "numbers of at least 0, of height and width only")
    step = maps.whole_map(reader, node, view)
    (top, bottom), (left, right) = around[2:] if rank == 4 else (np.zeros(2, int), around[2])
    channels, height, width = step.shape
    shape = (channels, height + int(top + bottom), width + int(left + right))
    padded = Pad(
        node.name, node.operator, [step], shape, (int(top), int(left), int(bottom), int(right))
    )
    reader.give(node, View.whole(padded, shape if rank == 4 else (channels, shape[2])))


def _rename(reader: Reader, node: Node) -> None:
    """Operators that give the values another shape, or none."""
    value = reader.values.get(node.inputs[0])
    for name in ("axis", "axes", "allowzero", "ratio", "seed", "to", "saturate", "round_mode"):
        kind = node.take(name)
        if name == "to" and kind is not None and kind not in FLOATS:
            raise node.refused("to", kind, "a floating-point type")
    trains = node.operator == "Dropout" and node.optional(2) is not None
    if trains and reader.constant(node, 2).value.any():
        raise node.refused("training_mode", True, "False: call model.eval() before export")
    if isinstance(value, Norm | Hosted):
        reader.values[node.outputs[0]] = value
        return
    view = reader.view(node)
    shape = reader.shapes.get(node.outputs[0])
    if shape is None or int(np.prod(shape)) != view.index.size:
        raise node.refused("shape of the result", shape and list(shape), "as many values as before")
    if not shape or shape[0] != 1:
        raise node.refused("shape of the result", list(shape), "the batch as its first axis")
    reader.give(node, View(view.step, view.index.reshape(shape[1:])))


def _transpose(reader: Reader, node: Node) -> None:
    view = reader.view(node)
    axes = view.index.ndim + 1
    order = list(node.take("perm", range(axes)[::-1]))
    if sorted(order) != list(range(axes)) or order[0] != 0:
        raise node.refused("perm", order, "the batch first, as it was")
    reader.give(node, View(view.step, view.index.transpose([axis - 1 for axis in order[1:]])))


def _softmax(reader: Reader, node: Node) -> None:
    op = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[node.operator]
    default = 1 if len(reader.shapes.get(node.inputs[0], ())) == 2 else -1
    reader.host(node, op, node.take("axis", default))


def _argmax(reader: Reader, node: Node) -> None:
    node.take("keepdims")
    node.demand("select_last_index", 0)
    reader.host(node, "argmax", node.take("axis", 0))


def _lp_normalization(reader: Reader, node: Node) -> None:
    node.demand("p", 2)
    reader.host(node, "l2_norm", node.take("axis", -1))


def _norm(reader: Reader, node: Node) -> None:
    node.demand("keepdims", 1)
    node.take("noop_with_empty_axes")
    axes = node.take("axes")
    if axes is None and node.optional(1) is not None:
        axes = reader.real(node, 1).astype(int).reshape(-1).tolist()
    view = reader.view(node)
    if list(axes or ()) not in ([1], [-1]) or view.index.ndim != 1:
        raise node.refused("axes", axes, "the one axis of a vector")
    reader.values[node.outputs[0]] = Norm(view)


def _expand(reader: Reader, node: Node) -> None:
    value = reader.values.get(node.inputs[0])
    if not isinstance(value, Norm):
        raise node.refused("operator", node.operator, "only a norm that a vector is divided by")
    reader.values[node.outputs[0]] = value


def _scalar(reader: Reader, node: Node, place: int) -> NDArray:
    """Scale or zero point of a quantization."""
    value = reader.constant(node, place).value
    return value.reshape(-1) if value.size else np.zeros(1)


def _quantize(reader: Reader, node: Node) -> None:
    node.take("axis")
    node.take("saturate")
    node.take("precision")
    node.demand("block_size", 0)
    kind = node.take("output_dtype", 0)
    scale, view = reader.real(node, 1).reshape(-1), reader.view(node)
    if len(scale) != 1 or not scale[0] > 0:
        raise node.refused("scale", list(scale), "one number above 0 for a tensor")
    zero = _scalar(reader, node, 2) if node.optional(2) else np.zeros(1, np.uint8)
    if kind not in (0, 2, 3) or zero.dtype not in (np.int8, np.uint8) or len(zero) != 1:
        raise node.refused("zero point", str(zero.dtype), "one INT8 or UINT8 number for a tensor")
    least = int(np.iinfo(zero.dtype).min)
    real = float(scale[0])
    if int(zero[0]) == least:  # from 0 on: so quantizers leave out the ReLU before
        step = view.step
        if not isinstance(step, Relu | Source):
            step = Relu(node.name, "Relu", [step], step.shape)
        view = View(step, view.index)
        reader.notes.append(
            f"node {named(node.name)}: 8 bits without sign have 7 here: scale {real:.4g} is doubled"
        )
        real *= 2
    elif int(zero[0]) != least + 128:
        raise node.refused(
            "zero point", int(zero[0]),
            f"{least + 128}, that of a symmetric quantization, or {least} for values from 0 on",
        )  # fmt: skip
    reader.values[node.outputs[0]] = Quantized(view, real)


def _dequantize(reader: Reader, node: Node) -> None:
    axis = node.take("axis", 1)
    node.demand("block_size", 0)
    node.take("output_dtype")
    value = reader.values.get(node.inputs[0])
    scale = reader.real(node, 1)
    zero = _scalar(reader, node, 2) if node.optional(2) else np.zeros(1)
    if isinstance(value, Quantized):
        real = value.scale
        value.view.step.scale = real
        reader.give(node, value.view)
        return
    constant = reader.constant(node, 0)
    if zero.any():
        raise node.refused("zero point", int(zero[zero != 0][0]), "0 for weights")
    if scale.size > 1:
        wide = [1] * constant.value.ndim
        wide[axis] = scale.size
        spread = scale.reshape(wide)
    else:
        spread = scale.reshape(())
    found = constant.value.astype(np.float64) * spread
    reader.values[node.outputs[0]] = Constant(found, scale.reshape(-1), axis)


Handler = Callable[[Reader, Node], None]
_HANDLERS: Mapping[str, Handler] = {
    "Add": _add, "ArgMax": _argmax, "AveragePool": maps.pool, "BatchNormalization": _batch_norm,
    "Cast": _rename, "Clip": _clip, "Concat": _concat, "Conv": maps.conv,
    "DequantizeLinear": _dequantize, "Div": _divide, "Dropout": _rename, "Expand": _expand,
    "Flatten": _rename, "Gemm": maps.gemm, "GlobalAveragePool": maps.global_pool,
    "GlobalMaxPool": maps.global_pool, "Identity": _rename, "LogSoftmax": _softmax,
    "LpNormalization": _lp_normalization, "MatMul": maps.matmul, "MaxPool": maps.pool,
    "Mul": _multiply, "Pad": _pad, "QuantizeLinear": _quantize, "ReduceL2": _norm,
    "ReduceMean": maps.reduce_mean, "Relu": _relu, "Reshape": _rename, "Softmax": _softmax,
    "Squeeze": _rename, "Sub": _subtract, "Sum": _add, "Transpose": _transpose,
    "Unsqueeze": _rename,
}  # fmt: skip
