"""Operators that change no value, and those that the host runs at the end."""

from typing import TYPE_CHECKING

import numpy as np

from caduceus.importers.operators import Node
from caduceus.importers.values import Hosted, Norm
from caduceus.importers.views import View

if TYPE_CHECKING:
    from caduceus.importers.reader import Reader

SOFTMAX_OF_ONE_AXIS = 13
"""Opset from which on Softmax works along one axis, the last by default."""
FLOATS = frozenset({1, 10, 11, 16})
"""ONNX's numbers of the types float, float16, double, bfloat16."""


def rename(reader: "Reader", node: Node) -> None:
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


def transpose(reader: "Reader", node: Node) -> None:
    """Transpose, the batch first."""
    view = reader.view(node)
    axes = view.index.ndim + 1
    order = list(node.take("perm", range(axes)[::-1]))
    if sorted(order) != list(range(axes)) or order[0] != 0:
        raise node.refused("perm", order, "the batch first, as it was")
    reader.give(node, View(view.step, view.index.transpose([axis - 1 for axis in order[1:]])))


def softmax(reader: "Reader", node: Node) -> None:
    """Softmax and LogSoftmax."""
    op = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[node.operator]
    default = -1 if reader.opset >= SOFTMAX_OF_ONE_AXIS else 1
    reader.host(node, op, node.take("axis", default))


def argmax(reader: "Reader", node: Node) -> None:
    """ArgMax."""
    node.take("keepdims")
    node.demand("select_last_index", 0)
    reader.host(node, "argmax", node.take("axis", 0))


def lp_normalization(reader: "Reader", node: Node) -> None:
    """LpNormalization: division by the Euclidean norm."""
    node.demand("p", 2)
    reader.host(node, "l2_norm", node.take("axis", -1))


def norm(reader: "Reader", node: Node) -> None:
    """ReduceL2: a norm to divide by."""
    node.demand("keepdims", 1)
    node.take("noop_with_empty_axes")
    axes = node.take("axes")
    if axes is None and node.optional(1) is not None:
        axes = reader.real(node, 1).astype(int).reshape(-1).tolist()
    view = reader.view(node)
    if list(axes or ()) not in ([1], [-1]) or view.index.ndim != 1:
        raise node.refused("axes", axes, "the one axis of a vector")
    reader.values[node.outputs[0]] = Norm(view)


def expand(reader: "Reader", node: Node) -> None:
    """Expand of a norm."""
    value = reader.values.get(node.inputs[0])
    if not isinstance(value, Norm):
        raise node.refused("operator", node.operator, "only a norm that a vector is divided by")
    reader.values[node.outputs[0]] = value
