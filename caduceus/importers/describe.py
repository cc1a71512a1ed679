"""Layers to a network: its description and its weights, with scales still to be calibrated."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from caduceus.importers.layers import Layers, LayerSteps, names, pool_of, window
from caduceus.importers.reader import Read
from caduceus.spec import formats
from caduceus.spec.errors import UserError
from caduceus.spec.fabric import PAYLOAD_MAX
from caduceus.spec.graph import INPUT, Graph
from caduceus.spec.network import Network, Weights
from caduceus.spec.program_check import SCALE_LIMIT

DIGITS = 8
"""Significant digits of a scale: as many as binary32 needs."""


@dataclass(frozen=True)
class Described:
    """A network before calibration.

    Attributes:
        network: with scales of 1 where the model brings none, and the largest `gmax`.
        given: by node, and None for the input, scales that the model brings.
        steps: by node, real value of a step of quantized weights, by column.
    """

    network: Network
    given: Mapping[str | None, float]
    steps: Mapping[str, NDArray[np.float64]]


def scale_text(scale: float) -> float:
    """A scale with as many digits as count.

    Raises:
        UserError: it is beyond what a description holds.
    """
    found = float(f"{scale:.{DIGITS}g}")
    if not 0 < found < SCALE_LIMIT:
        raise UserError(
            f"scale of a tensor: got {found:g}, expected above 0, below {SCALE_LIMIT:g}: its "
            "values are too small or too large"
        )
    return found


def described(read: Read, name: str) -> Described:
    """The network that a model is.

    Args:
        read: the model, its steps rewritten.
        name: of the network.

    Raises:
        UserError: a window has no square form.
    """
    layers = Layers(read.graph)
    called = names(layer.matrix.node for layer in layers.layers)
    by_layer = {id(layer): each for layer, each in zip(layers.layers, called, strict=True)}
    nodes, weights = [], {}
    given: dict[str | None, float] = {}
    steps: dict[str, NDArray[np.float64]] = {}
    for layer in layers.layers:
        label = by_layer[id(layer)]
        found = window(read.graph, layer.matrix)
        nodes.append(_node(layer, label, layers, by_layer, found.lowered))
        if found.square:
            nodes[-1] |= {
                "op": "conv", "kernel": found.square.kernel, "stride": found.square.stride,
                "padding": found.square.padding,
            }  # fmt: skip
        weights[label] = Weights(
            found.weight.astype(np.float32), layer.matrix.bias.astype(np.float32)
        )
        if layer.scale is not None:
            given[label] = layer.scale
        if layer.matrix.step is not None:
            steps[label] = layer.matrix.step
    source_scale = layers.source.scale
    if source_scale is not None:
        given[None] = source_scale
    graph = Graph.model_validate(
        {
            "format": 2,
            "name": name,
            "dataset": "own",
            "input": {"shape": _shape(layers, read), "scale": given.get(None, 1.0)},
            "weights": "weights.npz",
            "nodes": tuple(nodes),
            "host": _host(read, layers),
        }
    )
    return Described(Network(graph, weights), given, steps)


def _node(
    layer: LayerSteps, label: str, layers: Layers, by_layer: Mapping[int, str], lowered: str
) -> dict[str, object]:
    matrix = layer.matrix
    before = layers.of(matrix.inputs[0])
    node: dict[str, object] = {
        "name": label,
        "op": "dense",
        "outputs": len(matrix.weight),
        "relu": layer.relu,
        "gmax": formats.CELL_MAX,
        "output_scale": layer.scale or 1.0,
        "input": by_layer[id(before)] if before else INPUT,
        "origin": {
            "node": matrix.node,
            "operator": "+".join(layer.operators),
            "weights": matrix.weights,
            "lowered": lowered or None,
        },
    }
    if (pool := pool_of(layer)) is not None:
        node["pool"] = pool
        if matrix.dense:  # a pool of one pixel
            del node["pool"]
    if layer.residual is not None:
        node["residual"] = by_layer[id(layers.of(layer.residual))]
    return node


def _shape(layers: Layers, read: Read) -> tuple[int, ...]:
    """The input as the chip gets it: a vector too long for a packet is a square map."""
    channels, height, width = read.graph.source.shape
    if (height, width) != (1, 1):
        return height, width, channels
    users = [each for each in layers.layers if each.matrix.inputs[0] is layers.source]
    several = len(layers.layers) > 1
    if channels > PAYLOAD_MAX and several and all(each.matrix.dense for each in users):
        for side in range(2, isqrt(channels) + 1):
            if channels % side**2 == 0 and channels // side**2 <= PAYLOAD_MAX:
                return side, side, channels // side**2
    return (channels,)


def _host(read: Read, layers: Layers) -> dict[str, object]:
    """What the host does at either end."""
    before = []
    if layers.normalize is not None:
        factor, shift = layers.normalize.channels()
        before.append(
            {
                "op": "normalize",
                "origin": layers.normalize.node,
                "factor": short(factor),
                "shift": short(shift),
            }
        )
    return {
        "layout": read.graph.source.layout,
        "before": tuple(before),
        "after": tuple({"op": each.op, "origin": each.origin} for each in read.after),
    }


def short(values: NDArray[np.float64]) -> tuple[float, ...]:
    """One number where all are the same."""
    found = tuple(float(value) for value in values)
    return found[:1] if len(set(found)) == 1 else found
