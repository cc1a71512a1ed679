"""Operators that multiply by a matrix or pool: windows over a map of channels, height and width."""

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caduceus.importers.operators import Node
from caduceus.importers.steps import Matrix, Pool, Step
from caduceus.importers.views import View
from caduceus.spec.weights import NUMBERS_MAX

if TYPE_CHECKING:
    from caduceus.importers.reader import Reader

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
"""Top, left, bottom, right."""


def whole_map(reader: "Reader", node: Node, view: View) -> Step:
    """The step of a view that shows a whole map in its own order.

    Raises:
        UserError: it shows something else.
    """
    channels = view.channels()
    shape = view.step.shape
    if channels is None or not np.array_equal(channels, np.arange(shape[0])):
        raise node.refused(
            "input 0", list(view.index.shape), f"a map in the layout of its {list(shape)} values"
        )
    return view.step


def _pair(node: Node, name: str, values: object, rank: int, default: int = 1) -> Pair:
    """Two numbers of a window; of one dimension it is the width."""
    found = list(values) if values is not None else [default] * rank  # type: ignore[call-overload]
    if len(found) != rank or min(found) < 1:
        raise node.refused(name, found, f"{rank} numbers above 0")
    return (1, found[0]) if rank == 1 else (found[0], found[1])


def _pads(node: Node, rank: int, extent: Pair, size: Pair, stride: Pair) -> Pads:
    """Padding, as given or as `auto_pad` asks for with windows of `size`."""
    auto = node.take("auto_pad", "NOTSET")
    given = node.take("pads")
    if auto != "NOTSET" and given is not None and any(given):
        raise node.refused("pads", list(given), f"none with auto_pad {auto}")
    if auto == "VALID":
        return 0, 0, 0, 0
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pads = []
        for length, window, step in zip(extent, size, stride, strict=True):
            total = max((-(-length // step) - 1) * step + window - length, 0)
            small, large = total // 2, total - total // 2
            pads.append((small, large) if auto == "SAME_UPPER" else (large, small))
        return pads[0][0], pads[1][0], pads[0][1], pads[1][1]
    if auto != "NOTSET":
        raise node.refused("auto_pad", auto, "NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    found = [0] * (2 * rank) if given is None else list(given)
    if len(found) != 2 * rank or min(found) < 0:
        raise node.refused("pads", found, f"{2 * rank} numbers of at least 0")
    if rank == 1:
        return 0, found[0], 0, found[1]
    return found[0], found[1], found[2], found[3]


def _output(node: Node, extent: Pair, size: Pair, stride: Pair, pads: Pads) -> Pair:
    """Height and width of the result."""
    found = []
    for axis in range(2):
        room = extent[axis] + pads[axis] + pads[axis + 2] - size[axis]
        if room < 0:
            raise node.refused("kernel_shape", list(size), f"at most the padded map {extent}")
        found.append(room // stride[axis] + 1)
    return found[0], found[1]


def _result(step: Step, rank: int) -> View:
    channels, height, width = step.shape
    return View.whole(step, (channels, width) if rank == 1 and height == 1 else step.shape)


def conv(reader: "Reader", node: Node) -> None:
    """A convolution of one or two dimensions, with any window and any groups."""
    view, weight = reader.view(node), reader.real(node, 1)
    rank = weight.ndim - 2
    if rank not in (1, 2):
        raise node.refused("weight", list(weight.shape), "a kernel of one or two dimensions")
    channels = view.channels()
    if channels is None or view.index.ndim != rank + 1:
        raise node.refused("input 0", list(view.index.shape), "a map of channels")
    outputs, each = weight.shape[:2]
    groups = node.take("group", 1)
    if groups < 1 or outputs % groups or each * groups != len(channels):
        raise node.refused("group", groups, "a divisor of the outputs, and of the inputs")
    kernel = _pair(node, "kernel", weight.shape[2:], rank)
    if _pair(node, "kernel_shape", node.take("kernel_shape", weight.shape[2:]), rank) != kernel:
        raise node.refused("kernel_shape", node.take("kernel_shape"), f"the weight's {kernel}")
    stride = _pair(node, "strides", node.take("strides"), rank)
    dilation = _pair(node, "dilations", node.take("dilations"), rank)
    size = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    extent = view.step.shape[1:]
    pads = _pads(node, rank, extent, size, stride)
    shape = (outputs, *_output(node, extent, size, stride, pads))
    total = view.step.shape[0]
    _demand_size(node, outputs, total, *size)
    dense = np.zeros((outputs, total, *size))
    weight = weight.reshape(outputs, each, *kernel)
    for group in range(groups):
        mine = slice(group * (outputs // groups), (group + 1) * (outputs // groups))
        taken = channels[group * each : (group + 1) * each]
        for place, channel in enumerate(taken):
            dense[mine, channel, :: dilation[0], :: dilation[1]] += weight[mine, place]
    step = Matrix(
        node.name, node.operator, [view.step], shape, dense, _bias(reader, node, 2, outputs),
        stride, pads, False, weight.size, _form(kernel, stride, pads, dilation, groups, each),
        _step(reader, node, 1, outputs, 0),
    )  # fmt: skip
    reader.give(node, _result(step, rank))


def _form(kernel: Pair, stride: Pair, pads: Pads, dilation: Pair, groups: int, each: int) -> str:
    """A window in words."""
    parts = ["x".join(map(str, kernel))]
    if stride != (1, 1):
        parts.append(f"stride {stride[0]}" if stride[0] == stride[1] else f"strides {stride}")
    if any(pads):
        same = len(set(pads)) == 1
        parts.append(f"padding {pads[0]}" if same else f"pads {','.join(map(str, pads))}")
    if dilation != (1, 1):
        parts.append(f"dilation {'x'.join(map(str, dilation))}")
    if groups > 1:
        parts.append("depthwise" if each == 1 else f"{groups} groups")
    return " ".join(parts)


def _demand_size(node: Node, *sizes: int) -> None:
    """Demand that a matrix with all its zeros is no larger than a network's weights may be."""
    if prod(sizes) > NUMBERS_MAX:
        raise node.refused("weight with its zeros", list(sizes), f"at most {NUMBERS_MAX} numbers")


def _bias(reader: "Reader", node: Node, place: int, outputs: int) -> NDArray[np.float64]:
    if node.optional(place) is None:
        return np.zeros(outputs)
    bias = reader.real(node, place)
    if bias.shape != (outputs,):
        raise node.refused("bias", list(bias.shape), str([outputs]))
    return bias


def _step(
    reader: "Reader", node: Node, place: int, outputs: int, axis: int
) -> NDArray[np.float64] | None:
    """Steps of quantized weights by output; `axis` is that of the outputs."""
    constant = reader.constant(node, place)
    if constant.step is None:
        return None
    if constant.step.size == 1:
        return np.full(outputs, constant.step[0])
    if constant.axis % constant.value.ndim != axis:
        raise node.refused("scale of the weights", f"along axis {constant.axis}", f"axis {axis}")
    return constant.step


def _dense(
    reader: "Reader", node: Node, weight: NDArray[np.float64], bias: NDArray[np.float64],
    step: NDArray[np.float64] | None,
) -> None:  # fmt: skip
    """A dense layer: weight [inputs, outputs]."""
    view = reader.view(node)
    if view.index.ndim != 1 or len(view.index) != len(weight):
        raise node.refused("input 0", list(view.index.shape), f"a vector of {len(weight)} values")
    outputs = weight.shape[1]
    _demand_size(node, outputs, view.step.count)
    full = np.zeros((outputs, view.step.count))
    np.add.at(full, (slice(None), view.index), weight.T)
    result = Matrix(
        node.name, node.operator, [view.step], (outputs, 1, 1),
        full.reshape(outputs, *view.step.shape), bias,
        dense=True, weights=weight.size, step=step,
    )  # fmt: skip
    reader.give(node, View.whole(result, (outputs,)))


def gemm(reader: "Reader", node: Node) -> None:
    """A dense layer with a bias."""
    alpha, beta = node.take("alpha", 1.0), node.take("beta", 1.0)
    node.demand("transA", 0)
    transposed = node.take("transB", 0)
    node.take("broadcast")  # of the first opsets
    weight = reader.real(node, 1)
    if weight.ndim != 2:
        raise node.refused("input 1", list(weight.shape), "a matrix")
    weight = (weight.T if transposed else weight) * alpha
    outputs = weight.shape[1]
    bias = np.zeros(outputs)
    if node.optional(2) is not None:
        given = reader.real(node, 2)
        try:
            bias = np.broadcast_to(given * beta, (1, outputs)).reshape(outputs).copy()
        except ValueError:
            raise node.refused("bias", list(given.shape), str([outputs])) from None
    step = _step(reader, node, 1, outputs, 0 if transposed else 1)
    _dense(reader, node, weight, bias, None if step is None else step * abs(alpha))


def matmul(reader: "Reader", node: Node) -> None:
    """A dense layer without a bias."""
    weight = reader.real(node, 1)
    if weight.ndim != 2:
        raise node.refused("input 1", list(weight.shape), "a matrix")
    outputs = weight.shape[1]
    _dense(reader, node, weight, np.zeros(outputs), _step(reader, node, 1, outputs, 1))


def pool(reader: "Reader", node: Node) -> None:
    """MaxPool and AveragePool."""
    node.demand_one_output()
    view = reader.view(node)
    rank = view.index.ndim - 1
    if rank not in (1, 2):
        raise node.refused("input 0", list(view.index.shape), "a map of one or two dimensions")
    step = whole_map(reader, node, view)
    size = _pair(node, "kernel_shape", node.take("kernel_shape"), rank)
    stride = _pair(node, "strides", node.take("strides"), rank)
    dilations = node.take("dilations")
    if dilations is not None and set(dilations) != {1}:
        raise node.refused("dilations", list(dilations), "1")
    extent = step.shape[1:]
    pads = _pads(node, rank, extent, size, stride)
    node.take("storage_order")  # of the second output only
    counts = bool(node.take("count_include_pad", 0))
    down, across = _output(node, extent, size, stride, pads)
    if node.take("ceil_mode", 0):
        for length, window, by, first, last, floor in zip(
            extent, size, stride, pads[:2], pads[2:], (down, across), strict=True
        ):
            if (length + first + last - window) % by and (floor * by < length + first):
                raise node.refused("ceil_mode", 1, "0, or windows that fit without a rest")
    kind = "max" if node.operator == "MaxPool" else "average"
    result = Pool(
        node.name, node.operator, [step], (step.shape[0], down, across),
        kind, size, stride, pads, counts,
    )  # fmt: skip
    reader.give(node, _result(result, rank))


def global_pool(reader: "Reader", node: Node) -> None:
    """GlobalMaxPool and GlobalAveragePool."""
    view = reader.view(node)
    kind = "max" if node.operator == "GlobalMaxPool" else "average"
    _global(reader, node, view, kind, (view.step.shape[0], *[1] * (view.index.ndim - 1)))


def reduce_mean(reader: "Reader", node: Node) -> None:
    """A mean over height and width: a global average pool."""
    view = reader.view(node)
    rank = view.index.ndim + 1
    axes = node.take("axes")
    if axes is None and node.optional(1) is not None:
        axes = reader.real(node, 1).astype(int).reshape(-1).tolist()
    keep = node.take("keepdims", 1)
    node.take("noop_with_empty_axes")
    wanted = list(range(2, rank))
    if not wanted or axes is None or sorted(axis % rank for axis in axes) != wanted:
        raise node.refused("axes", axes, f"{wanted or [2, 3]}, height and width")
    shape = (view.step.shape[0], *([1] * (rank - 2) if keep else []))
    _global(reader, node, view, "average", shape)


def _global(reader: "Reader", node: Node, view: View, kind: str, shape: tuple[int, ...]) -> None:
    step = whole_map(reader, node, view)
    channels, *extent = step.shape
    result = Pool(
        node.name, node.operator, [step], (channels, 1, 1), kind, tuple(extent), tuple(extent)
    )  # type: ignore[arg-type]
    reader.give(node, View.whole(result, shape))
