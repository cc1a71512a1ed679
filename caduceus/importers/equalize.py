"""Channels of a tensor brought to one range, so that INT8 serves the small ones as well.

A channel divided by a number, and its weights in the layers behind multiplied by it, gives the same
network: ReLU and pooling pass a positive factor on. Weights have more codes than activations have
steps, and every column has a factor of its own, so ranges are better there. (Nagel and others,
"Data-free quantization through weight equalization and bias correction", 2019, have both sides meet
in the middle; here the activations are known.)
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.graph import Graph, Layer
from caduceus.spec.network import Network, Weights

SMALLEST = 1 / 32
"""A channel is raised by a factor of 32 at most."""


def equalized(network: Network, tensors: Mapping[str, NDArray], most: int) -> Network:
    """The same network with other ranges.

    Args:
        network: without an LSTM.
        tensors: of its float form, by node [n, height, width, channels].
        most: rows of an array. Layers of more stay: their partial sums are INT8 as well, and those
            of a channel that is small in the end may be large.
    """
    graph = network.graph
    weights = dict(network.weights)
    for node in graph.nodes[:-1]:
        users = _users(graph, node)
        if users is None or len(weights[node.name].weight) > most:
            continue
        ranges = np.abs(tensors[node.name]).max(axis=(0, 1, 2)).astype(np.float64)
        largest = ranges.max(initial=0.0)
        if not largest:
            continue
        factor = np.maximum(ranges / largest, SMALLEST)
        before = weights[node.name]
        weights[node.name] = Weights(
            (before.weight / factor).astype(np.float32), (before.bias / factor).astype(np.float32)
        )
        for user in users:
            mine = weights[user.name]
            rows = np.tile(factor, len(mine.weight) // len(factor))[:, np.newaxis]
            weights[user.name] = Weights((mine.weight * rows).astype(np.float32), mine.bias)
    return replace(network, weights=weights)


def _users(graph: Graph, node: Layer) -> list[Layer] | None:
    """The layers whose matrices take a node's tensor; None if something else takes it, too.

    What is added to another result has to keep its units, and so has what something is added to.
    """
    if node.residual is not None or any(each.residual == node.name for each in graph.nodes):
        return None
    return [
        each for each, source in zip(graph.nodes, graph.inputs, strict=True) if source == node.name
    ]
