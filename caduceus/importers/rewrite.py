"""Steps to fewer kinds of steps: those that a layer of the chip is made of.

After `rewritten` there are matrices, sums of two, ReLUs and pools that the chip has; all else is
folded into a matrix, or is a matrix of its own.
"""

from collections.abc import Callable
from math import prod

import numpy as np

from caduceus.importers.steps import (
    Add,
    Affine,
    Concat,
    Graph,
    Matrix,
    Pad,
    Pool,
    Relu,
    Shape,
    Source,
    Step,
)
from caduceus.spec.errors import UserError, named
from caduceus.spec.feature_map_check import KERNEL_MAX, POOL_MAX
from caduceus.spec.weights import NUMBERS_MAX


def refused(graph: Graph, step: Step, what: str) -> UserError:
    """The error that a step is not supported where it is."""
    return UserError(f"{graph.file}: node {named(step.node)}: {step.operator}: {what}")


def demand_size(step: Step, *sizes: int) -> None:
    """Demand that a matrix, with its zeros, is no larger than a network's weights may be.

    Raises:
        UserError: it is.
    """
    if prod(sizes) > NUMBERS_MAX:
        raise UserError(
            f"node {named(step.node)}: {step.operator}: matrix with its zeros: got "
            f"{'x'.join(map(str, sizes))} numbers, expected at most {NUMBERS_MAX}"
        )


def rewritten(graph: Graph) -> Graph:
    """The same graph, changed in place.

    Raises:
        UserError: a step cannot be run by the chip; the sentence names it.
    """
    for rewrite in (_pads, _concats, _averages, _affines, _concats, _max_pools):
        rewrite(graph)
    return graph


def _until_done(graph: Graph, change: Callable[[Graph, Step], bool]) -> None:
    """Apply `change` to steps until it changes none."""
    while any(change(graph, step) for step in graph.steps()):
        pass


def _pads(graph: Graph) -> None:
    """Zeros of a node of their own go into the windows that read them."""

    def change(graph: Graph, step: Step) -> bool:
        if not isinstance(step, Pad):
            return False
        before, users = step.inputs[0], graph.consumers()[id(step)]
        if before.scale is None:
            before.scale = step.scale
        # First those that the zeros can move behind, so that what is left takes them at once.
        for user in users:
            if isinstance(user, Relu):  # of a zero it is a zero
                relu = Relu(user.node, user.operator, [before], before.shape)
                relu.scale = user.scale
                graph.replace(user, Pad(step.node, step.operator, [relu], step.shape, step.pads))
                return True
        for user in users:
            fits = isinstance(user, Matrix) and not user.dense
            fits = fits or (isinstance(user, Pool) and user.kind == "average" and user.counts_pads)
            if not fits:
                raise refused(graph, step, f"got {user.operator} behind it, expected a convolution")
            user.pads = tuple(a + b for a, b in zip(user.pads, step.pads, strict=True))
            if isinstance(user, Matrix):
                user.form += f" pads {','.join(map(str, step.pads))}"
        if graph.output is step:
            raise refused(graph, step, "got the end of the network, expected a convolution behind")
        graph.replace(step, before)
        return True

    _until_done(graph, change)


def _alone(graph: Graph, step: Step) -> bool:
    """Whether one step takes its tensor, and it is not the output."""
    return graph.output is not step and len(graph.consumers()[id(step)]) == 1


def diagonal(step: Step, source: Step, factor: np.ndarray, shift: np.ndarray) -> Matrix:
    """A 1x1 convolution of each channel with itself."""
    channels = source.shape[0]
    demand_size(step, channels, channels)
    weight = np.zeros((channels, channels, 1, 1))
    weight[np.arange(channels), np.arange(channels), 0, 0] = factor
    return Matrix(
        step.node, step.operator, [source], source.shape, weight, np.array(shift, float),
        weights=channels, form="1x1 per channel",
    )  # fmt: skip


def identity(step: Step, source: Step) -> Matrix:
    """A 1x1 convolution that changes nothing, for what `step` does with its result."""
    channels = source.shape[0]
    found = diagonal(step, source, np.ones(channels), np.zeros(channels))
    found.operator, found.form, found.weights = "Identity", f"in front of {step.operator}", 0
    found.scale = source.scale
    return found


def _affines(graph: Graph) -> None:
    """Factors and shifts go into the matrix before, else into those behind, else into their own.

    One that the network begins with stays: the host does it.
    """
    _until_done(graph, _affine)


def _affine(graph: Graph, step: Step) -> bool:
    if not isinstance(step, Affine):
        return False
    before = step.inputs[0]
    if isinstance(before, Affine) and _alone(graph, before):
        step.factor, step.shift = (
            before.factor * step.factor, before.shift * step.factor + step.shift,
        )  # fmt: skip
        step.inputs = list(before.inputs)
        return True
    by_channel = step.channels()
    if isinstance(before, Source) and by_channel is not None and _alone(graph, before):
        return False
    if isinstance(before, Matrix) and by_channel is not None and _alone(graph, before):
        factor, shift = by_channel
        before.weight = before.weight * factor[:, np.newaxis, np.newaxis, np.newaxis]
        before.bias = before.bias * factor + shift
        before.step = None if before.step is None else before.step * np.abs(factor)
        before.scale, before.shape = step.scale, step.shape
        before.operator += f"+{step.operator}"
        graph.replace(step, before)
        return True
    users = graph.consumers()[id(step)]
    unshifted = not step.shift.any()
    if (
        users
        and graph.output is not step
        and all(
            isinstance(user, Matrix)
            and (user.dense or (by_channel is not None and (unshifted or not any(user.pads))))
            for user in users
        )
    ):
        for user in {id(user): user for user in users}.values():
            _fold_into(user, step)
        graph.replace(step, before)
        return True
    if by_channel is None:
        raise refused(
            graph, step,
            "got numbers that differ from pixel to pixel, expected one number or one per channel",
        )  # fmt: skip
    new = diagonal(step, before, *by_channel)
    new.scale = step.scale
    graph.replace(step, new)
    return True


def _fold_into(user: Matrix, step: Affine) -> None:
    """Give a matrix the factors and shifts of its input."""
    if user.dense:
        user.bias = user.bias + np.tensordot(user.weight, step.shift, 3)
        user.weight = user.weight * step.factor
    else:
        factor, shift = step.factor[:, 0, 0], step.shift[:, 0, 0]
        user.bias = user.bias + user.weight.sum(axis=(2, 3)) @ shift
        user.weight = user.weight * factor[np.newaxis, :, np.newaxis, np.newaxis]
    user.step = None
    user.operator = f"{step.operator}+{user.operator}"


def _concats(graph: Graph) -> None:
    """A matrix of channels side by side is a sum of matrices, one of each part.

    What works on each channel alone is moved in front. Where something else takes the channels,
    a 1x1 convolution puts each part in its place among zeros.
    """
    _until_done(graph, _concat)


def _concat(graph: Graph, step: Step) -> bool:
    if not isinstance(step, Concat):
        return False
    for user in graph.consumers()[id(step)]:
        if isinstance(user, Matrix):
            graph.replace(user, _split_matrix(graph, user, step))
            return True
        if isinstance(user, Relu | Affine | Pool):
            graph.replace(user, _each(user, step))
            return True
        if isinstance(user, Concat):
            place = next(i for i, each in enumerate(user.inputs) if each is step)
            user.inputs[place : place + 1] = step.inputs
            return True
    graph.replace(step, _placed(step))
    return True


def _parts(step: Concat) -> list[tuple[Step, slice]]:
    """The parts, each with its channels."""
    found, start = [], 0
    for part in step.inputs:
        found.append((part, slice(start, start + part.shape[0])))
        start += part.shape[0]
    return found


def _each(user: Relu | Affine | Pool, step: Concat) -> Concat:
    """The parts after `user`, side by side."""
    parts: list[Step] = []
    for part, channels in _parts(step):
        shape: Shape = (part.shape[0], *user.shape[1:])
        new: Step
        if isinstance(user, Relu):
            new = Relu(user.node, user.operator, [part], shape)
        elif isinstance(user, Affine):
            new = Affine(
                user.node, user.operator, [part], shape,
                user.factor[channels], user.shift[channels],
            )  # fmt: skip
        else:
            new = Pool(
                user.node, user.operator, [part], shape,
                user.kind, user.size, user.stride, user.pads, user.counts_pads,
            )  # fmt: skip
        new.scale = user.scale
        parts.append(new)
    return Concat(step.node, step.operator, parts, user.shape)


def _split_matrix(graph: Graph, user: Matrix, step: Concat) -> Step:
    matrices = []
    for part, channels in _parts(step):
        last = channels.stop == step.shape[0]
        weight = user.weight[:, channels]
        new = Matrix(
            user.node, user.operator, [part], user.shape, weight,
            user.bias if last else np.zeros_like(user.bias), user.stride, user.pads, user.dense,
            round(user.weights * part.shape[0] / step.shape[0]), user.form, user.step,
        )  # fmt: skip
        matrices.append(new)
    return _summed(user, matrices)


def _summed(step: Step, matrices: list[Matrix]) -> Step:
    """The sum of all matrices, with the name, shape and scale of `step`."""
    total: Step = matrices[0]
    for each in matrices[1:]:
        total = Add(step.node, "Concat", [each, total], step.shape)
    total.scale = step.scale
    return total


def _placed(step: Concat) -> Step:
    """The channels of all parts, each part by a matrix of zeros and ones."""
    matrices = []
    for part, channels in _parts(step):
        count = part.shape[0]
        demand_size(step, step.shape[0], count)
        weight = np.zeros((step.shape[0], count, 1, 1))
        weight[np.arange(channels.start, channels.stop), np.arange(count), 0, 0] = 1
        new = Matrix(
            step.node, step.operator, [part], step.shape, weight, np.zeros(step.shape[0]),
            weights=0, form="puts channels in their place",
        )  # fmt: skip
        matrices.append(new)
    return _summed(step, matrices)


def pooled(step: Pool) -> bool:
    """Whether the chip's pooling unit can do it."""
    size = step.size[0]
    plain = step.size == step.stride == (size, size) and not any(step.pads)
    if step.kind == "max":
        return plain and size <= KERNEL_MAX
    return plain and size & (size - 1) == 0 and size <= POOL_MAX


def _averages(graph: Graph) -> None:
    """Averages that the pooling unit cannot do: into the dense layer behind, else a matrix."""

    def change(graph: Graph, step: Step) -> bool:
        if not isinstance(step, Pool) or step.kind == "max":
            return False
        users = graph.consumers()[id(step)]
        fits = pooled(step) and _follows_a_matrix(graph, step)
        whole = step.shape[1:] == (1, 1) and step.size == step.inputs[0].shape[1:]
        whole = whole and not any(step.pads)
        if fits:
            return False
        if (
            whole
            and users
            and all(isinstance(user, Matrix) and user.shape[1:] == (1, 1) for user in users)
        ):
            for user in {id(user): user for user in users}.values():
                _average_into(user, step)
            graph.replace(step, step.inputs[0])
            return True
        if pooled(step):
            return False
        graph.replace(step, _average(graph, step))
        return True

    _until_done(graph, change)


def _follows_a_matrix(graph: Graph, step: Step) -> bool:
    """Whether a layer of its own stands before it, whose result nothing else takes."""
    before = step.inputs[0]
    while isinstance(before, Relu | Add | Affine) and _alone(graph, before):
        if isinstance(before, Add):
            return True
        before = before.inputs[0]
    return isinstance(before, Matrix) and _alone(graph, before)


def _average_into(user: Matrix, step: Pool) -> None:
    """A dense layer over the whole map, instead of one over its average."""
    _, height, width = step.inputs[0].shape
    spread = np.ones((1, 1, height, width)) / (height * width)
    # Of a convolution on one pixel only the tap at that pixel counts.
    y, x = (0, 0) if user.dense else user.pads[:2]
    tap = user.weight[:, :, y : y + 1, x : x + 1]
    if not tap.size:  # padding alone is in the window
        tap = np.zeros((*user.weight.shape[:2], 1, 1))
    user.weight = tap * spread
    user.dense, user.stride, user.pads = True, (1, 1), (0, 0, 0, 0)
    user.step = None
    user.operator = f"{step.operator}+{user.operator}"
    user.form = f"with the average over {height}x{width}"


def _average(graph: Graph, step: Pool) -> Matrix:
    """An average as a convolution of each channel with itself."""
    if any(step.pads) and not step.counts_pads:
        raise refused(
            graph, step,
            f"pads: got {list(step.pads)} with count_include_pad 0, expected 0 or padding that "
            "counts",
        )  # fmt: skip
    channels = step.shape[0]
    demand_size(step, channels, channels, *step.size)
    weight = np.zeros((channels, channels, *step.size))
    weight[np.arange(channels), np.arange(channels)] = 1 / (step.size[0] * step.size[1])
    form = f"average {step.size[0]}x{step.size[1]} per channel"
    found = Matrix(
        step.node, step.operator, step.inputs, step.shape, weight, np.zeros(channels),
        step.stride, step.pads, False, 0, form,
    )  # fmt: skip
    found.scale = step.scale
    return found


def _max_pools(graph: Graph) -> None:
    for step in graph.steps():
        if isinstance(step, Pool) and not pooled(step):
            window = (
                f"kernel {list(step.size)}, strides {list(step.stride)}, pads {list(step.pads)}"
            )
            raise refused(
                graph, step,
                f"kernel_shape: got {window}, expected a square window of at most {KERNEL_MAX} "
                "pixels, strides as large, no pads",
            )  # fmt: skip
