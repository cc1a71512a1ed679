"""Residual networks with random weights, for tests and measurements: there is nothing to train.

    python -m train.random_network

writes `networks/resnet_tiny`, `networks/resnet8` and `networks/resnet20` again, with the same
bytes where numpy's matrix products give the same ones.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from caduceus.compiler.split import split
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.graph import Geometry, Graph, Input, Layer, Pool, geometries
from caduceus.spec.network import NETWORKS
from caduceus.spec.shipped import shipped_folder
from train.export import export
from train.topology import INPUT_SCALE

Real = NDArray[np.float32]

_SEED = 20
_IMAGES = 32
"""Random images that the scales are chosen on."""
_LEVELS = 7
"""Weights are -7 to 7 steps, so that the file compresses."""
_DEVIATIONS = 2.5
"""Standard deviations of a weight that those levels hold."""
_BIAS = 0.1
"""Standard deviation of the biases, as a share of the results'."""
_CLIPPED_SHARE = 1e-3
_SATURATED_SHARE = 1e-5
"""Shares of partial sums and outputs beyond the INT8 range, and of conversions at their limit."""


def conv(name: str, outputs: int, kernel: int = 3, stride: int = 1, **options: object) -> Layer:
    """A convolution with ReLU that keeps the size, or divides it by `stride`."""
    settings = {"relu": True, "padding": kernel // 2} | options
    settings |= {"outputs": outputs, "kernel": kernel, "stride": stride}
    return Layer(name=name, op="conv", **_UNKNOWN, **settings)


def dense(outputs: int) -> Layer:
    """The last layer."""
    return Layer(name="dense", op="dense", outputs=outputs, relu=False, **_UNKNOWN)


def pool(kind: str, size: int) -> Pool:
    """Windows side by side."""
    return Pool(kind=kind, size=size, stride=size)


_UNKNOWN = {"gmax": formats.CELL_MAX, "output_scale": 1.0}


def resnet_tiny() -> list[Layer]:
    """One layer for each of the four tiles of `tiny`."""
    return [
        conv("conv0", 4, pool=pool("max", 2)),
        conv("conv1", 4, kernel=1, residual="conv0"),
        conv("conv2", 8, kernel=2, stride=2, padding=0, pool=pool("average", 2)),
        dense(4),
    ]


def resnet(blocks: int, side: int) -> list[Layer]:
    """The ResNets of CIFAR-10: three stages of `blocks` blocks, 16, 32 and 64 channels.

    Where the size changes, a 1x1 convolution brings the block's input to the size of its output.
    `side` is the image's height and width.
    """
    layers = [conv("conv0", 16)]
    last = "conv0"
    widths = [16, 16, 32, 64]
    for stage, (before, channels) in enumerate(pairwise(widths), start=1):
        for block in range(1, blocks + 1):
            name = f"s{stage}b{block}"
            changes = block == 1 and before != channels
            first = conv(f"{name}_conv1", channels, stride=2 if changes else 1, input=last)
            layers.append(first)
            options = {"residual": last}
            if changes:
                skip = conv(f"{name}_skip", channels, 1, 2, input=last, relu=False)
                layers.append(skip)
                options = {"residual": skip.name, "input": first.name}
            if stage == len(widths) - 1 and block == blocks:
                options["pool"] = pool("average", side // 4)
            last = f"{name}_conv2"
            layers.append(conv(last, channels, **options))
    return [*layers, dense(10)]


@dataclass
class _Output:
    """What a layer gives, [N, y, x, channels] in real units, and the real value of an INT8 step."""

    real: Real
    scale: float


class _Maker:
    """Draws weights and chooses scales, layer by layer."""

    def __init__(self, graph: Graph, on: Chip) -> None:
        self.graph, self.chip = graph, on
        self.random = np.random.default_rng(_SEED)
        shape = (_IMAGES, *graph.input.map)
        pixels = self.random.integers(0, 256, shape).astype(np.float32) / 255
        self.outputs: dict[str | None, _Output] = {None: _Output(pixels, graph.input.scale)}
        self.arrays: dict[str, NDArray] = {}

    def make(self) -> Graph:
        """The network with its scales; `arrays` then holds the weights."""
        layers = tuple(
            self._layer(*each)
            for each in zip(
                self.graph.nodes, self.graph.inputs, geometries(self.graph), strict=True
            )
        )
        return self.graph.model_copy(update={"nodes": layers})

    def _layer(self, layer: Layer, source: str | None, geometry: Geometry) -> Layer:
        given = self.outputs[source]
        inputs = _patches(given.real, layer)
        weight = self._weights(layer, geometry)
        total = np.zeros((*inputs.shape[:-1], layer.outputs), np.float32)
        if layer.residual:
            total = total + self.outputs[layer.residual].real
        sums = []
        parts = [
            slice(block.start, block.stop)
            for block in split(geometry.rows, layer.outputs, self.chip).rows
        ]
        for part in parts:
            total = total + inputs[..., part] @ weight[part]
            sums.append(np.abs(total).ravel())
        bias = self.random.normal(0, _BIAS * total.std(), layer.outputs).astype(np.float32)
        self.arrays[f"{layer.name}.bias"] = bias
        total = total + bias
        sums[-1] = np.abs(total).ravel()
        step = np.quantile(np.concatenate(sums), 1 - _CLIPPED_SHARE) / formats.INT8_MAX
        if layer.relu:
            total = np.maximum(total, 0)
        scale = float(f"{step:.8g}")
        self.outputs[layer.name] = _Output(_pooled(total, layer.pool), scale)
        gmax = self._gmax(np.rint(inputs / given.scale), weight, parts)
        return layer.model_copy(update={"gmax": gmax, "output_scale": scale})

    def _weights(self, layer: Layer, geometry: Geometry) -> Real:
        """Real weights [rows, outputs], of which every output's add up to about 0.

        The mean of all inputs then counts for nothing, and their differences for much.
        """
        deviation = np.sqrt((2 if layer.relu else 1) / geometry.rows)
        weight = self.random.normal(0, deviation, (geometry.rows, layer.outputs))
        weight -= weight.mean(axis=0)
        step = np.float32(_DEVIATIONS * deviation / _LEVELS)
        levels = np.rint(weight / step).clip(-_LEVELS, _LEVELS).astype(np.int8)
        self.arrays[f"{layer.name}.weight"] = levels
        self.arrays[f"{layer.name}.weight_step"] = step
        return levels * step

    def _gmax(self, x: Real, weight: Real, parts: list[slice]) -> int:
        """Largest code of a weight at which conversions of the INT8 inputs `x` rarely saturate."""
        assert x.min() >= 0, "negative inputs would share a counter with positive ones"
        unit = weight / np.abs(weight).max()
        x = x.clip(max=formats.INT8_MAX)
        halves = (np.maximum(unit, 0), np.maximum(-unit, 0))
        charges = [(x[..., part] @ half[part]).ravel() for part in parts for half in halves]
        charge = np.quantile(np.concatenate(charges), 1 - _SATURATED_SHARE)
        allowed = self.chip.adc.phase_limit * 2**formats.GAIN_FRACTION / self.chip.nominal_gain
        return min(formats.CELL_MAX, int(allowed / charge))


def _patches(x: Real, layer: Layer) -> Real:
    """Inputs of every MVM, [N, y, x, rows], from `x` [N, y, x, channels]."""
    if layer.op == "dense":
        return x.reshape(len(x), 1, 1, -1)
    around = (layer.padding, layer.padding)
    padded = np.pad(x, ((0, 0), around, around, (0, 0)))
    size = (layer.kernel, layer.kernel)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=(1, 2))
    windows = windows[:, :: layer.stride, :: layer.stride].transpose(0, 1, 2, 4, 5, 3)
    return windows.reshape(*windows.shape[:3], -1)


def _pooled(y: Real, pool: Pool | None) -> Real:
    if pool is None:
        return y
    windows = np.lib.stride_tricks.sliding_window_view(y, (pool.size, pool.size), axis=(1, 2))
    windows = windows[:, :: pool.stride, :: pool.stride]
    return windows.max(axis=(-2, -1)) if pool.kind == "max" else windows.mean(axis=(-2, -1))


def random_network(
    name: str, chip_name: str, shape: tuple[int, int, int], layers: list[Layer]
) -> tuple[Graph, dict[str, NDArray]]:
    """Description and arrays of a network with images of `shape`: height, width, channels."""
    graph = Graph(
        format=2,
        name=name,
        dataset="random",
        input=Input(shape=shape, scale=INPUT_SCALE),
        weights="weights.npz",
        scaling="core",
        nodes=tuple(layers),
    )
    maker = _Maker(graph, Chip.find(chip_name))
    return maker.make(), maker.arrays


def networks() -> list[tuple[Graph, dict[str, NDArray]]]:
    """All three."""
    return [
        random_network("resnet_tiny", "tiny", (8, 8, 1), resnet_tiny()),
        random_network("resnet8", "hermes", (16, 16, 3), resnet(blocks=1, side=16)),
        random_network("resnet20", "hermes", (32, 32, 3), resnet(blocks=3, side=32)),
    ]


def main() -> None:
    """Write the networks."""
    for network, arrays in networks():
        export(network, arrays, shipped_folder(NETWORKS) / network.name, compressed=True)


if __name__ == "__main__":
    main()
