"""Convolutional networks with random weights, as files, for the tests of the command line."""

from pathlib import Path

import numpy as np

from spec.network import Input, Layer, Network, geometries
from train.export import export


def conv(name: str, outputs: int, **shape: object) -> Layer:
    return Layer(
        name=name, kind="conv", outputs=outputs, relu=True, gmax=400, output_scale=0.05, **shape
    )


def dense(outputs: int) -> Layer:
    return Layer(
        name="dense", kind="dense", outputs=outputs, relu=False, gmax=400, output_scale=0.05
    )


def written(
    folder: Path, shape: tuple[int, int, int], layers: tuple[Layer, ...], dataset: str = "random"
) -> Path:
    """Write a network for images of `shape` (height, width, channels); its description."""
    random = np.random.default_rng(0)
    height, width, channels = shape
    described = Network(
        format=1, name="mine", dataset=dataset, weights="weights.npz", layers=layers,
        input=Input(height=height, width=width, channels=channels, scale=1 / 127),
        **({} if dataset == "random" else {"float_accuracy": 0.1}),
    )  # fmt: skip
    arrays = {}
    for layer, geometry in zip(layers, geometries(described), strict=True):
        size = (geometry.rows, layer.outputs)
        arrays[f"{layer.name}.weight"] = random.normal(0, 0.3, size).astype(np.float16)
        arrays[f"{layer.name}.bias"] = np.zeros(layer.outputs, np.float32)
    export(described, arrays, folder)
    return folder / "network.yaml"
