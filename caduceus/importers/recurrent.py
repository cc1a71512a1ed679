"""A model with an LSTM: what is before it, the LSTM, at most one dense layer, the host's rest.

With a batch of one a tensor of such a model has two axes that count, steps and features; all others
are of size 1. So a tensor is known by which of the two comes first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from caduceus.importers.operators import Node
from caduceus.importers.reference import ONNX_GATES
from caduceus.importers.renaming import FLOATS, SOFTMAX_OF_ONE_AXIS
from caduceus.importers.simplify import STEPS, Simplified, shapes_of
from caduceus.importers.values import Constant, HostStep, constants
from caduceus.spec.errors import UserError, named

INTEGERS = frozenset({6, 7})


@dataclass(frozen=True)
class Sequence:
    """A tensor of steps and features.

    Attributes:
        stage: `input`, `lstm`, or `dense`: what it comes from.
        steps: number of steps; 0 of a tensor that has one step's values only.
        features: number of features; 0 of symbols, which have none.
        steps_first: whether steps come before features.
        last: whether it is of a sequence's last step.
    """

    stage: str
    steps: int
    features: int
    steps_first: bool = True
    last: bool = False

    @property
    def sizes(self) -> list[int]:
        """Sizes of the axes that count."""
        both = [self.steps, self.features] if self.steps_first else [self.features, self.steps]
        return [size for size in both if size > 1]


@dataclass
class ReadLstm:
    """What a model with an LSTM is.

    Attributes:
        file: of the model.
        source, chip_output: names of the ONNX tensors that enter, and leave the chip.
        steps: of the model's input; None if open.
        size: features of an input vector.
        table: the embedding [symbols, size]; None without.
        table_node: its ONNX node.
        normalize: factor and shift of the input, each [size]; None without.
        normalize_node: its ONNX node.
        lstm: name of the LSTM's node.
        input, hidden, bias: its weights [size, 4 hidden], [hidden, 4 hidden], [4 hidden], gates
            I, A, F, O.
        dense: name of the dense layer's node; None without.
        operators: of the dense layer.
        weight, dense_bias: of the dense layer, [hidden, outputs] and [outputs].
        last: whether only a sequence's last step counts.
        after: what the host does with the output.
        scales: real value of an INT8 step by stage, where the model brings it.
    """

    file: str
    source: str
    chip_output: str = ""
    steps: int | None = None
    size: int = 0
    table: NDArray[np.float64] | None = None
    table_node: str = ""
    normalize: tuple[NDArray, NDArray] | None = None
    normalize_node: str = ""
    lstm: str = ""
    input: NDArray[np.float64] | None = None
    hidden: NDArray[np.float64] | None = None
    bias: NDArray[np.float64] | None = None
    dense: str | None = None
    operators: list[str] = field(default_factory=list)
    weight: NDArray[np.float64] | None = None
    dense_bias: NDArray[np.float64] | None = None
    last: bool = False
    after: list[HostStep] = field(default_factory=list)


class LstmReader:
    """Reads all nodes of a model with an LSTM.

    Raises:
        UserError: a node is not supported; the sentence has its name, operator and attribute.
    """

    def __init__(self, found: Simplified) -> None:
        self.file, self.opset, graph = found.file, found.opset, found.model.graph
        self.shapes = shapes_of(found.model)
        self.values: dict[str, Sequence | Constant] = dict(constants(found.model))  # type: ignore[arg-type]
        name = next(each.name for each in graph.input if each.name not in self.values)
        self.result = ReadLstm(str(self.file), name)
        self._source(found, name)
        for proto in graph.node:
            node = Node(self.file, proto)
            handler = _HANDLERS.get(node.operator)
            if handler is None:
                raise node.refused(
                    "operator", node.operator,
                    f"one of {', '.join(sorted(_HANDLERS))} in a model with an LSTM",
                )  # fmt: skip
            handler(self, node)
            node.done()
        outputs = [each.name for each in graph.output]
        value = self.values.get(outputs[0])
        if len(outputs) != 1 or not isinstance(value, Sequence) or value.stage == "input":
            raise UserError(
                f"{self.file}: graph outputs: got {', '.join(map(named, outputs))}, expected one, "
                "behind the LSTM"
            )
        if not self.result.after:
            self.result.chip_output = outputs[0]
        self.result.last = value.last

    def _source(self, found: Simplified, name: str) -> None:
        shape = list(self.shapes[name])
        del shape[found.batch]
        kind = next(e for e in found.model.graph.input if e.name == name).type.tensor_type.elem_type
        symbols = kind in INTEGERS and len(shape) == 1
        if not symbols and (len(shape) != 2 or kind not in FLOATS):
            raise UserError(
                f"{self.file}: input {named(name)}: shape: got {list(self.shapes[name])}, expected "
                "batch, steps and features, or batch and steps of whole numbers"
            )
        self.result.steps = None if shape[0] == STEPS else shape[0]
        self.values[name] = Sequence("input", shape[0], 0 if symbols else shape[1])

    def sequence(self, node: Node, place: int = 0, *stages: str) -> Sequence:
        """A computed input, of one of `stages` if any are named."""
        value = self.values.get(node.inputs[place]) if place < len(node.inputs) else None
        if not isinstance(value, Sequence):
            raise node.refused(f"input {place}", node.optional(place), "a computed tensor")
        if self.result.after:
            raise node.refused(
                f"input {place}", node.inputs[place],
                f"no node behind {self.result.after[-1].op}, which the host runs",
            )  # fmt: skip
        if stages and value.stage not in stages:
            raise node.refused(
                f"input {place}", f"a tensor behind {value.stage}", f"one behind {stages[0]}"
            )
        return value

    def real(self, node: Node, place: int) -> NDArray[np.float64]:
        """A constant input."""
        value = self.values.get(node.inputs[place]) if place < len(node.inputs) else None
        if not isinstance(value, Constant) or value.value.dtype.kind not in "fiu":
            raise node.refused(f"input {place}", node.optional(place), "constant numbers")
        found = value.value.astype(np.float64)
        if not np.isfinite(found).all():
            raise node.refused(f"input {place}", "values that are not finite", "finite ones")
        return found

    def axis(self, node: Node, axis: int) -> int:
        """An axis counted from 0."""
        return axis % max(1, len(self.shapes.get(node.inputs[0], (1,))))

    def is_steps(self, node: Node, value: Sequence, axis: int) -> bool:
        """Whether an axis of a node's first input is that of its steps."""
        shape = self.shapes.get(node.inputs[0], ())
        if shape[axis] != value.steps:
            return False
        others = [place for place, size in enumerate(shape) if size > 1 and place != axis]
        return not others or (others[0] > axis) == value.steps_first


def _lstm(reader: LstmReader, node: Node) -> None:
    x = reader.sequence(node, 0, "input")
    result = reader.result
    if result.lstm:
        raise node.refused("operator", "a second LSTM", "one")
    node.demand("direction", "forward")
    node.demand("layout", 0, ": steps, batch, features")
    node.demand("input_forget", 0)
    for name in ("clip", "activation_alpha", "activation_beta"):
        if node.take(name) is not None:
            raise node.refused(name, node.take(name), "none: not supported")
    given = node.take("activations")
    if given is not None:
        kinds = [each.decode() if isinstance(each, bytes) else each for each in given]
        if [each.lower() for each in kinds] != ["sigmoid", "tanh", "tanh"]:
            raise node.refused("activations", kinds, "Sigmoid, Tanh, Tanh")
    weight, recurrence = reader.real(node, 1)[0], reader.real(node, 2)[0]
    hidden = recurrence.shape[1]
    if node.take("hidden_size", hidden) != hidden:
        raise node.refused("hidden_size", node.take("hidden_size"), str(hidden))
    both = reader.real(node, 3)[0] if node.optional(3) else np.zeros(8 * hidden)
    for place, name in ((4, "sequence_lens"), (7, "P, the peepholes")):
        if node.optional(place):
            raise node.refused(name, node.inputs[place], "none: not supported")
    for place, name in ((5, "initial_h"), (6, "initial_c")):
        if node.optional(place):
            value = reader.values.get(node.inputs[place])
            if not isinstance(value, Constant) or value.value.any():
                raise node.refused(name, node.inputs[place], "zeros")
    if not x.steps_first or weight.shape[1] != x.features:
        raise node.refused("input 0", list(reader.shapes.get(node.inputs[0], ())), "steps first")
    result.lstm, result.size = node.name, x.features
    result.input = _gates(weight).T
    result.hidden = _gates(recurrence).T
    result.bias = _gates(both[: 4 * hidden]) + _gates(both[4 * hidden :])
    every = Sequence("lstm", x.steps, hidden)
    for name, value in zip(node.outputs, (every, replace(every, steps=0, last=True)), strict=False):
        reader.values[name] = value


def _gates(blocks: NDArray) -> NDArray:
    """Rows of the four gates in our order."""
    return np.concatenate([np.split(blocks, 4)[place] for place in ONNX_GATES])


def _rename(reader: LstmReader, node: Node) -> None:
    value = reader.sequence(node)
    kind = node.take("to")
    if kind is not None and kind not in FLOATS | INTEGERS:
        raise node.refused("to", kind, "a floating-point type")
    for name in ("axis", "axes", "allowzero", "ratio", "seed", "saturate", "round_mode"):
        node.take(name)
    if node.operator == "Dropout" and node.optional(2) is not None and reader.real(node, 2).any():
        raise node.refused("training_mode", True, "False: call model.eval() before export")
    shape = reader.shapes.get(node.outputs[0])
    if shape is None or [size for size in shape if size > 1] != value.sizes:
        raise node.refused(
            "shape of the result", shape and list(shape),
            f"axes of {value.sizes or [1]} as before: steps and features stay apart",
        )  # fmt: skip
    reader.values[node.outputs[0]] = value


def _transpose(reader: LstmReader, node: Node) -> None:
    value, shape = reader.sequence(node), reader.shapes.get(node.inputs[0], ())
    order = list(node.take("perm", range(len(shape))[::-1]))
    counting = [axis for axis in order if shape[axis] > 1]
    if len(counting) == 2 and counting[0] > counting[1]:
        value = replace(value, steps_first=not value.steps_first)
    reader.values[node.outputs[0]] = value


def _gather(reader: LstmReader, node: Node) -> None:
    first = reader.values.get(node.inputs[0])
    if not isinstance(first, Constant):
        axis = reader.axis(node, node.take("axis", 0))
        index = reader.real(node, 1)
        _pick(reader, node, axis, index.reshape(-1).tolist())
        return
    value, table = reader.sequence(node, 1, "input"), reader.real(node, 0)
    node.demand("axis", 0)
    if table.ndim != 2 or value.features or reader.result.table is not None:
        raise node.refused("input 0", list(table.shape), "a table [symbols, size] for the input")
    reader.result.table, reader.result.table_node = table, node.name
    reader.values[node.outputs[0]] = replace(value, features=table.shape[1])


def _pick(reader: LstmReader, node: Node, axis: int, places: list[float]) -> None:
    """One place of an axis: the last step, or the only one."""
    value, shape = reader.sequence(node), reader.shapes.get(node.inputs[0], ())
    size = shape[axis] if axis < len(shape) else 0
    if size == 1 and places in ([0], [-1]) and value.steps != 1:
        reader.values[node.outputs[0]] = value
        return
    value = reader.sequence(node, 0, "lstm", "dense")
    known = [-1] if reader.result.steps is None else [-1, size - 1]
    if not reader.is_steps(node, value, axis) or len(places) != 1 or places[0] not in known:
        raise node.refused("indices", places, "the last step, -1")
    reader.values[node.outputs[0]] = replace(value, steps=0, last=True)


def _slice(reader: LstmReader, node: Node) -> None:
    found = {}
    for place, name in ((1, "starts"), (2, "ends"), (3, "axes"), (4, "steps")):
        value = node.take(name)
        if node.optional(place) is not None:
            value = reader.real(node, place).reshape(-1).astype(int).tolist()
        found[name] = value
    axes = found["axes"] or [0]
    if found["steps"] not in (None, [1]) or len(axes) != 1:
        raise node.refused("steps", found["steps"], "1, along one axis")
    axis = reader.axis(node, axes[0])
    size = reader.shapes.get(node.inputs[0], (1,))[axis]
    start, end = found["starts"][0], found["ends"][0]
    if end < size:
        raise node.refused("ends", end, "the end")
    _pick(reader, node, axis, [start])


def _dense(reader: LstmReader, node: Node) -> None:
    value, result = reader.sequence(node, 0, "lstm"), reader.result
    weight = reader.real(node, 1)
    bias = np.zeros(())
    if node.operator == "Gemm":
        node.demand("transA", 0)
        weight = weight.T if node.take("transB", 0) else weight
        weight = weight * node.take("alpha", 1.0)
        if node.optional(2) is not None:
            bias = reader.real(node, 2) * node.take("beta", 1.0)
        node.take("beta")
    shape = reader.shapes.get(node.inputs[0], ())
    if weight.ndim != 2 or shape[-1:] != (value.features,) or len(weight) != value.features:
        raise node.refused("input 1", list(weight.shape), f"a matrix of {value.features} rows")
    if result.dense is not None:
        raise node.refused("operator", "a second dense layer", "at most one behind an LSTM")
    result.dense, result.weight = node.name, weight
    result.operators.append(node.operator)
    result.dense_bias = np.broadcast_to(bias.reshape(-1), weight.shape[1]).copy()
    reader.values[node.outputs[0]] = Sequence(
        "dense", value.steps, weight.shape[1], value.steps_first, value.last
    )


def _affine(reader: LstmReader, node: Node) -> None:
    """Adding, multiplying and the like by constants: normalization, or the dense layer's."""
    place = 1 if isinstance(reader.values.get(node.inputs[0]), Constant) else 0
    value = reader.sequence(node, place, "input", "dense")
    number = reader.real(node, 1 - place)
    factor, shift = np.ones(()), np.zeros(())
    if node.operator == "Add":
        shift = number
    elif node.operator == "Sub":
        factor, shift = (np.ones(()), -number) if place == 0 else (np.full((), -1.0), number)
    elif node.operator == "Mul":
        factor = number
    elif place == 0 and number.all():
        factor = 1 / number
    else:
        raise node.refused("input 1", node.inputs[1], "numbers other than 0 to divide by")
    try:
        factor, shift = (
            np.broadcast_to(each.reshape(-1), value.features).copy() for each in (factor, shift)
        )
    except ValueError:
        raise node.refused("constant", list(number.shape), str([value.features])) from None
    result = reader.result
    if value.stage == "dense":
        result.weight = result.weight * factor
        result.dense_bias = result.dense_bias * factor + shift
        result.operators.append(node.operator)
    elif result.table is not None:
        result.table = result.table * factor + shift
    else:
        before = result.normalize or (np.ones(value.features), np.zeros(value.features))
        result.normalize = before[0] * factor, before[1] * factor + shift
        result.normalize_node = node.name
    reader.values[node.outputs[0]] = value


def _host(reader: LstmReader, node: Node) -> None:
    result = reader.result
    value = reader.values.get(node.inputs[0])
    if not isinstance(value, Sequence) or value.stage == "input":
        raise node.refused("input 0", node.optional(0), "the network's result")
    shape = reader.shapes.get(node.inputs[0], ())
    default = 0 if node.operator == "ArgMax" else -1
    if reader.opset < SOFTMAX_OF_ONE_AXIS and "Softmax" in node.operator:
        default = 1  # and all axes behind it
    axis = reader.axis(node, node.take("axis", default))
    if shape[axis] != value.features or reader.is_steps(node, value, axis):
        raise node.refused("axis", axis, "that of the features")
    node.take("keepdims")
    node.demand("select_last_index", 0)
    node.demand("p", 2)
    ops = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "ArgMax": "argmax",
           "LpNormalization": "l2_norm"}  # fmt: skip
    if not result.after:
        result.chip_output = node.inputs[0]
    result.after.append(HostStep(ops[node.operator], node.name))
    reader.values[node.outputs[0]] = value


_HANDLERS: Mapping[str, Callable[[LstmReader, Node], None]] = {
    "Add": _affine, "ArgMax": _host, "Cast": _rename, "Div": _affine, "Dropout": _rename,
    "Flatten": _rename, "Gather": _gather, "Gemm": _dense, "Identity": _rename, "LSTM": _lstm,
    "LogSoftmax": _host, "LpNormalization": _host, "MatMul": _dense, "Mul": _affine,
    "Reshape": _rename, "Slice": _slice, "Softmax": _host, "Squeeze": _rename, "Sub": _affine,
    "Transpose": _transpose, "Unsqueeze": _rename,
}  # fmt: skip
