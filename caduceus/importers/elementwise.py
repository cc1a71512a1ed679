"""Operators that work on values one by one, put channels side by side, or zeros around."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caduceus.importers import maps
from caduceus.importers.operators import Node
from caduceus.importers.steps import Add, Affine, Concat, Pad, Relu, Step
from caduceus.importers.values import Constant, Norm
from caduceus.importers.views import View
from caduceus.spec.errors import UserError

if TYPE_CHECKING:
    from caduceus.importers.reader import Reader


NORM_LEAST = 1e-6
"""What a norm may be kept above: far below that of any output."""


def affine(reader: "Reader", node: Node, place: int, factor: NDArray, shift: NDArray) -> None:
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


def add(reader: "Reader", node: Node) -> None:
    """Add and Sum: of tensors, or with a constant."""
    values = [reader.values.get(name) for name in node.inputs]
    if len(node.inputs) == 2 and any(isinstance(value, Constant) for value in values):
        place = 1 if isinstance(values[0], Constant) else 0
        shift = reader.real(node, 1 - place)
        affine(reader, node, place, np.ones(()), shift)
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


def subtract(reader: "Reader", node: Node) -> None:
    """Sub."""
    first, second = (reader.values.get(name) for name in node.inputs)
    if isinstance(second, Constant):
        affine(reader, node, 0, np.ones(()), -reader.real(node, 1))
    elif isinstance(first, Constant):
        affine(reader, node, 1, np.full((), -1.0), reader.real(node, 0))
    else:
        view = reader.view(node, 1)
        shape = view.step.shape
        minus = Affine(
            node.name, node.operator, [view.step], shape, np.full(shape, -1.0), np.zeros(shape)
        )
        reader.give(node, _sum(node, reader.view(node, 0), View(minus, view.index)))


def multiply(reader: "Reader", node: Node) -> None:
    """Mul by a constant."""
    place = 1 if isinstance(reader.values.get(node.inputs[0]), Constant) else 0
    affine(reader, node, place, reader.real(node, 1 - place), np.zeros(()))


def divide(reader: "Reader", node: Node) -> None:
    """Div by a constant, or by a norm."""
    divisor = reader.values.get(node.inputs[1])
    if isinstance(divisor, Norm):
        if reader.values.get(node.inputs[0]) is not divisor.of:
            raise node.refused("input 1", node.inputs[1], "the norm of input 0")
        reader.host(node, "l2_norm", None)
        return
    divisor = reader.real(node, 1)
    if not divisor.all():
        raise node.refused("input 1", 0, "numbers other than 0")
    affine(reader, node, 0, 1 / divisor, np.zeros(()))


def relu(reader: "Reader", node: Node) -> None:
    """Relu."""
    view = reader.view(node)
    reader.give(
        node, View(Relu(node.name, node.operator, [view.step], view.step.shape), view.index)
    )


def clip(reader: "Reader", node: Node) -> None:
    """Clip that is a ReLU, or that keeps a norm above 0."""
    limits = []
    for place, name in ((1, "min"), (2, "max")):
        value = node.take(name)
        if node.optional(place) is not None:
            value = float(reader.real(node, place).reshape(-1)[0])
        limits.append(value)
    least, most = limits
    if isinstance(reader.values.get(node.inputs[0]), Norm) and most is None:
        if least is not None and least > NORM_LEAST:
            raise node.refused("min", least, f"at most {NORM_LEAST} for a norm to divide by")
        reader.values[node.outputs[0]] = reader.values[node.inputs[0]]
        return
    if least != 0:
        raise node.refused("min", least, "0")
    if most is not None and most < np.finfo(np.float32).max:
        raise node.refused("max", most, "none: then it is a ReLU")
    view = reader.view(node)
    step = Relu(node.name, node.operator, [view.step], view.step.shape)
    reader.give(node, View(step, view.index))


def batch_norm(reader: "Reader", node: Node) -> None:
    """BatchNormalization: a factor and a shift per channel."""
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
    affine(reader, node, 0, factor.reshape(columns), shift.reshape(columns))


def concat(reader: "Reader", node: Node) -> None:
    """Concat along the channels."""
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


def pad(reader: "Reader", node: Node) -> None:
    """Pad with zeros around a map."""
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
