"""Quantized models (QDQ): QuantizeLinear and DequantizeLinear give tensors their scales."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caduceus.importers.operators import Node
from caduceus.importers.steps import Relu, Source
from caduceus.importers.values import Constant, Quantized
from caduceus.importers.views import View
from caduceus.spec.errors import named

if TYPE_CHECKING:
    from caduceus.importers.reader import Reader


def _scalar(reader: "Reader", node: Node, place: int) -> NDArray:
    """Scale or zero point of a quantization."""
    value = reader.constant(node, place).value
    return value.reshape(-1) if value.size else np.zeros(1)


def quantize(reader: "Reader", node: Node) -> None:
    """QuantizeLinear: a scale for its tensor."""
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
        if isinstance(step, Source):
            reader.notes.append(
                f"node {named(node.name)}: inputs are taken to be 0 or more: the model cuts off "
                "others"
            )
        elif not isinstance(step, Relu):
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


def dequantize(reader: "Reader", node: Node) -> None:
    """DequantizeLinear: of a quantized tensor, or of constants."""
    axis = node.take("axis", 1)
    node.demand("block_size", 0)
    node.take("output_dtype")
    value = reader.values.get(node.inputs[0])
    scale = reader.real(node, 1)
    zero = _scalar(reader, node, 2) if node.optional(2) else np.zeros(1)
    if isinstance(value, Quantized):
        step = value.view.step
        if step.scale is not None and step.scale != value.scale:
            raise node.refused("scale", value.scale, f"{step.scale:g}, that of the same tensor")
        step.scale = value.scale
        reader.give(node, value.view)
        return
    constant = reader.constant(node, 0)
    if zero.any():
        raise node.refused("zero point", int(zero[zero != 0][0]), "0 for weights")
    if scale.size > 1:
        rank = constant.value.ndim
        axis = 0 if rank == 1 else axis
        if not -rank <= axis < rank or constant.value.shape[axis] != scale.size:
            raise node.refused("axis", axis, f"one of {scale.size} values, one for each scale")
        wide = [1] * rank
        wide[axis] = scale.size
        spread = scale.reshape(wide)
    else:
        spread = scale.reshape(())
    found = constant.value.astype(np.float64) * spread
    reader.values[node.outputs[0]] = Constant(found, scale.reshape(-1), axis)
