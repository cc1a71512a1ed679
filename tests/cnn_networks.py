"""Small convolutional networks for tests of the compiler and of the command line."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from caduceus.spec.graph import Graph, Input, Layer, geometries
from caduceus.spec.network import Network, Weights
from train.export import export

_SETTINGS = {"gmax": 400, "output_scale": 0.05}


def conv(name: str, outputs: int, **shape: object) -> Layer:
    return Layer(name=name, op="conv", outputs=outputs, relu=True, **_SETTINGS, **shape)


def dense(outputs: int) -> Layer:
    return Layer(name="dense", op="dense", outputs=outputs, relu=False, **_SETTINGS)


def described(
    shape: tuple[int, int, int], layers: Sequence[Layer], dataset: str = "random"
) -> Graph:
    """A network for images of `shape`: height, width, channels."""
    return Graph(
        format=2, name="mine", dataset=dataset, weights="weights.npz", nodes=tuple(layers),
        input=Input(shape=shape, scale=1 / 127),
        **({} if dataset == "random" else {"metric": {"name": "accuracy", "float": 0.1}}),
    )  # fmt: skip


def with_ones(shape: tuple[int, int, int], layers: Sequence[Layer]) -> Network:
    """A network whose weights are all 1, where they do not matter."""
    graph = described(shape, layers)
    return Network(
        graph,
        {
            layer.name: Weights(
                np.ones((geometry.rows, layer.outputs), np.float32),
                np.zeros(layer.outputs, np.float32),
            )
            for layer, geometry in zip(layers, geometries(graph), strict=True)
        },
    )


def written(
    folder: Path, shape: tuple[int, int, int], layers: Sequence[Layer], dataset: str = "random"
) -> Path:
    """Write a network with random weights; its description."""
    random = np.random.default_rng(0)
    graph = described(shape, layers, dataset)
    arrays = {}
    for layer, geometry in zip(layers, geometries(graph), strict=True):
        size = (geometry.rows, layer.outputs)
        arrays[f"{layer.name}.weight"] = random.normal(0, 0.3, size).astype(np.float16)
        arrays[f"{layer.name}.bias"] = np.zeros(layer.outputs, np.float32)
    export(graph, arrays, folder)
    return folder / "network.yaml"
