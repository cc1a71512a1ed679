"""Scales and `gmax` of a network, from what its float form does with typical inputs.

Of a few scales, some of which clip the largest values, an output gets the one whose rounding and
clipping err least (in squares). `gmax` is the largest code that keeps saturated conversions rare:
see `importers.gmax`. (Our choice.)
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caduceus.importers.describe import Described, scale_text
from caduceus.importers.equalize import equalized
from caduceus.importers.gmax import column_gmax, layer_gmax
from caduceus.importers.reference import FloatReference, pooled
from caduceus.spec import formats
from caduceus.spec.blocks import cut
from caduceus.spec.chip import Chip
from caduceus.spec.fabric import PAYLOAD_MAX
from caduceus.spec.graph import Graph, Layer, geometries
from caduceus.spec.network import Network, Weights

CLIPPED = (0.0, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2)
"""Shares of values that a candidate scale clips."""
LOOKED_AT = 1 << 18
"""Values of a tensor that scales are chosen from, at random places."""
_SEED = 2023
WINDOWS = 2048
"""Vectors of a layer that `gmax` is chosen from, evenly spread over the inputs."""


@dataclass(frozen=True)
class Calibrated:
    """A network with its scales.

    Attributes:
        network: complete.
        method: how scales and `gmax` were chosen, in words.
    """

    network: Network
    method: str


def int8(x: NDArray, scale: float) -> NDArray[np.int8]:
    """Real values in INT8 steps of `scale`."""
    return np.clip(np.rint(x / scale), -formats.INT8_MAX, formats.INT8_MAX).astype(np.int8)


def best_scale(values: NDArray, *, clip: bool = True) -> float:
    """The scale with the least squared error; without `clip` the largest value's.

    Tensors of zeros get 1/127.
    """
    flat = np.abs(values.reshape(-1).astype(np.float64))
    largest = float(flat.max(initial=0.0))
    if largest == 0:
        return scale_text(1 / formats.INT8_MAX)
    if not clip:
        return scale_text(largest / formats.INT8_MAX)
    if flat.size > LOOKED_AT:  # at random: a fixed step would see the same channels only
        flat = flat[np.random.default_rng(_SEED).integers(0, flat.size, LOOKED_AT)]
    ordered = np.sort(flat)
    best, least = largest / formats.INT8_MAX, np.inf
    for share in CLIPPED:
        place = min(len(ordered) - 1, int(np.ceil((1 - share) * len(ordered))) - 1)
        limit = largest if share == 0 else float(ordered[place])
        if limit <= 0:
            continue
        scale = limit / formats.INT8_MAX
        rounded = np.clip(np.rint(flat / scale), 0, formats.INT8_MAX) * scale
        error = float(np.square(flat - rounded).sum())
        if error < least:
            best, least = scale, error
    return scale_text(best)


def calibrated(found: Described, x: NDArray[np.float32], chip: Chip) -> Calibrated:
    """Choose the scales that the model does not bring, and every `gmax`.

    Args:
        found: the network.
        x: its inputs in real units, [n, height, width, channels] or [n, size].
        chip: whose arrays and converters `gmax` is chosen for.
    """
    graph, network = found.network.graph, found.network
    given = dict(found.given)
    if None not in given:
        given[None] = best_scale(x)
    tensors = FloatReference(network).run(x)
    if not found.given:
        network = equalized(network, tensors, chip.array.rows)
        tensors = FloatReference(network).run(x)
    last = graph.nodes[-1].name
    for node in graph.nodes:
        if node.name not in given:
            # A clipped output could tie with the right one: the last layer's is not clipped.
            given[node.name] = best_scale(tensors[node.name], clip=node.name != last)
    scaled = _with(graph, given, {})
    inputs = _inputs(scaled, x, tensors, given)
    codes, arrays = {}, {}
    for node, geometry in zip(scaled.nodes, geometries(scaled), strict=True):
        assert isinstance(node, Layer)
        weights = network.weights[node.name]
        vectors = _vectors(node, inputs[node.name].reshape(-1, *geometry.input))
        blocks = blocks_of(geometry.rows, chip)
        codes[node.name] = layer_gmax(weights.weight, vectors, blocks, chip)
        columns = column_gmax(weights.weight, vectors, blocks, chip)
        step = found.steps.get(node.name)
        if step is not None:
            columns = _multiples(columns, weights.weight, step)
        arrays[node.name] = Weights(weights.weight, weights.bias, columns)
    network = Network(_with(graph, given, codes), arrays)
    brought = "scales of least squared error, channels equalized"
    if found.given:
        brought = "scales of the model"
    return Calibrated(network, f"{brought}; gmax for 1e-5 saturated conversions on {chip.name}")


def blocks_of(rows: int, chip: Chip) -> tuple[range, ...]:
    """Rows of each tile that a matrix takes, as the compiler cuts them."""
    return cut(rows, min(chip.array.rows, PAYLOAD_MAX))


def _with(graph: Graph, scales: Mapping[str | None, float], codes: Mapping[str, int]) -> Graph:
    """The description with these scales and codes."""
    nodes = tuple(
        node.model_copy(
            update={"output_scale": scales[node.name], "gmax": codes.get(node.name, node.gmax)}
        )
        for node in graph.nodes
    )
    source = graph.input.model_copy(update={"scale": scales[None]})
    return graph.model_copy(update={"nodes": nodes, "input": source})


def _inputs(
    graph: Graph,
    x: NDArray[np.float32],
    tensors: Mapping[str, NDArray],
    scales: Mapping[str | None, float],
) -> dict[str, NDArray[np.int8]]:
    """By node the INT8 values that it is given."""
    found = {}
    for node, source in zip(graph.nodes, graph.inputs, strict=True):
        values = x if source is None else tensors[pooled(source)]
        found[node.name] = int8(values, scales[source])
    return found


def _vectors(node: Layer, x: NDArray[np.int8]) -> NDArray[np.int8]:
    """Some im2col vectors [n, rows] of maps [n, height, width, channels], evenly spread."""
    if node.op == "dense":
        rows = x.reshape(len(x), -1)
        return rows[np.linspace(0, len(x) - 1, min(len(x), WINDOWS)).astype(int)]
    around = (node.padding, node.padding)
    padded = np.pad(x, ((0, 0), around, around, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, (node.kernel, node.kernel), axis=(1, 2)
    )[:, :: node.stride, :: node.stride]
    count = windows.shape[0] * windows.shape[1] * windows.shape[2]
    chosen = np.unique(np.linspace(0, count - 1, min(count, WINDOWS)).astype(int))
    n, y, x_ = np.unravel_index(chosen, windows.shape[:3])
    picked = windows[n, y, x_]  # [chosen, channels, kernel y, kernel x]
    return picked.transpose(0, 2, 3, 1).reshape(len(chosen), -1)


def _multiples(
    codes: NDArray[np.uint16], weight: NDArray[np.float32], step: NDArray[np.float64]
) -> NDArray[np.uint16]:
    """Codes that hold quantized weights exactly: whole codes a step, where there is room."""
    largest = np.abs(weight).max(axis=0)
    levels = np.rint(np.divide(largest, step, out=np.zeros(len(step)), where=step > 0)).astype(int)
    levels = np.maximum(levels, 1)
    whole = codes.astype(int) // levels * levels
    return np.where(whole > 0, whole, codes).astype(np.uint16)
