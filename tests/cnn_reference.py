"""Small convolutional networks, and what an ideal chip makes of them, layer by layer.

Written without the compiler's and the golden model's code: convolutions are ONNX Runtime's, the
rest is numbers. Columns of the arrays have gains of 1 and no offset, so P - N is exact.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
from golden_reference import onnx
from onnx import TensorProto
from recurrent_networks import sized

from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Geometry, Graph, Input, Layer, Pool, geometries
from caduceus.spec.network import Weights

ROOMY = sized(
    "tiny",
    grid={"rows": 6, "columns": 6},
    gdpu={"slices": 6, "units": 4},
    host={
        "inputs": (*((0, column) for column in range(6)), (1, 0), (2, 0)),
        "outputs": ((2, 5), (3, 5), (4, 5), (5, 5)),
    },
    adjacency={"horizontal": (1, 2), "vertical": (1, 2)},
    buffers={"activation": 2048, "rx": 512, "pool": 256},
)
"""36 tiles of 16x16: matrices of a few dozen rows and columns are cut both ways."""
BINARY16 = sized(
    "tiny",
    grid={"rows": 6, "columns": 4},
    host={
        "inputs": ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0)),
        "outputs": ((2, 3), (3, 3), (4, 3), (5, 3)),
    },
    array={"rows": 24, "columns": 16},
    gdpu={"slices": 4, "units": 4, "lanes": 2},
    ldpu={"lanes": 2},
    link={"units": 8, "partial_sums": "binary16"},
    adjacency={"horizontal": (1, 2), "vertical": (1, 2)},
    buffers={"activation": 2048, "gather": 8, "rx": 512, "pool": 256},
)
"""24 tiles of 24x16, partial sums in binary16."""


def conv(name: str, outputs: int, **options) -> Layer:
    """A 3x3 convolution with ReLU by default."""
    defaults = {"kernel": 3, "padding": 1, "relu": True, "gmax": 400, "output_scale": 0.05}
    return Layer(name=name, op="conv", outputs=outputs, **(defaults | options))


def dense(name: str, outputs: int, **options) -> Layer:
    """A dense layer without ReLU."""
    defaults = {"relu": False, "gmax": 300, "output_scale": 0.04}
    return Layer(name=name, op="dense", outputs=outputs, **(defaults | options))


def pooling(kind: str, size: int) -> Pool:
    """Windows side by side."""
    return Pool(kind=kind, size=size, stride=size)


def network(height: int, width: int, channels: int, *layers: Layer) -> Graph:
    """A graph with random images as its input."""
    image = Input(shape=(height, width, channels), scale=1 / 127)
    return Graph(
        format=2, name="small", dataset="random", input=image, weights="none", nodes=layers
    )


def random_weights(described: Graph, seed: int = 1) -> dict[str, Weights]:
    """Such that results use much of their range and rarely leave it."""
    rng = np.random.default_rng(seed)
    found = {}
    for layer, geometry in zip(described.nodes, geometries(described), strict=True):
        deviation = 40 * layer.output_scale / (1.2 * np.sqrt(geometry.rows))
        weight = rng.normal(0, deviation, (geometry.rows, layer.outputs))
        bias = rng.normal(0, 5 * layer.output_scale, layer.outputs)
        found[layer.name] = Weights(weight.astype(np.float32), bias.astype(np.float32))
    return found


def random_images(described: Graph, count: int, seed: int = 2) -> np.ndarray:
    """INT8 of both signs, [count, pixels, channels]."""
    shape = described.input
    rng = np.random.default_rng(seed)
    size = (count, shape.height * shape.width, shape.channels)
    return rng.integers(-127, 128, size).astype(np.int8)


@dataclass(frozen=True)
class Maps:
    """A layer's maps: what its matrix makes, and what leaves it, [images, y, x, channel]."""

    results: np.ndarray
    pooled: np.ndarray


def reference(
    described: Graph, weights: Mapping[str, Weights], chip: Chip, mode: ReadMode, x: np.ndarray
) -> dict[str, Maps]:
    """Every layer's maps of images x, int8 [n, pixels, channels]."""
    maps = {None: x.reshape(len(x), *described.input.map).astype(np.int64)}
    scales = {None: described.input.scale}
    found = {}
    for layer, source, geometry in zip(
        described.nodes, described.inputs, geometries(described), strict=True
    ):
        unit = _Layer(
            layer, geometry, weights[layer.name], scales[source], chip, mode,
            per_core=described.scaling == "core",
        )  # fmt: skip
        added = None
        if layer.residual:
            ratio = np.float64(np.float16(scales[layer.residual] / layer.output_scale))
            added = maps[layer.residual] * ratio
        results = unit.results(maps[source], added)
        maps[layer.name] = _pooled(layer, results)
        scales[layer.name] = layer.output_scale
        found[layer.name] = Maps(results, maps[layer.name])
    return found


class _Layer:
    """A layer on ideal tiles, as many rows at a time as an array has."""

    def __init__(
        self, layer: Layer, geometry: Geometry, weights: Weights, scale: float, chip: Chip,
        mode: ReadMode, *, per_core: bool,
    ) -> None:  # fmt: skip
        self._layer, self._chip, self._mode = layer, chip, mode
        weight = weights.weight.astype(np.float64)
        largest = np.abs(weight).max(axis=None if per_core else 0)
        gmax = layer.gmax if per_core or weights.gmax is None else weights.gmax
        self._cells = np.rint(weight * (gmax / largest))
        self._kernel = geometry.input[0] if layer.op == "dense" else layer.kernel
        self._channels = geometry.input[2]
        count = scale * largest / gmax / (chip.nominal_gain / 2**32)
        self._scale = (count / layer.output_scale).astype(np.float16).astype(np.float64)
        self._bias = (weights.bias / np.float64(layer.output_scale)).astype(np.float16)

    def results(self, x: np.ndarray, added: np.ndarray | None) -> np.ndarray:
        """INT8 results [n, y, x, outputs]; `added` is a residual in steps of the output."""
        blocks = list(self._blocks())
        binary16 = self._chip.link.partial_sums == "binary16"
        total = added
        for number, rows in enumerate(blocks):
            last = number == len(blocks) - 1
            bias = self._bias.astype(np.float64) if last else 0
            value = _round(self._difference(x, rows) * self._scale + bias)
            if total is not None:
                value = _round(value + total)
            if last and self._layer.relu:
                value = np.maximum(value, 0)
            total = value if binary16 and not last else np.rint(value).clip(-127, 127)
        return total.astype(np.int64)

    def _blocks(self) -> Iterator[slice]:
        rows = len(self._cells)
        step = ceil(rows / ceil(rows / self._chip.array.rows))
        return (slice(start, start + step) for start in range(0, rows, step))

    def _difference(self, x: np.ndarray, rows: slice) -> np.ndarray:
        """P - N of tiles that hold these rows of the matrix."""
        cells = np.zeros_like(self._cells)
        cells[rows] = self._cells[rows]
        if self._mode == ReadMode.ONE_PHASE:
            charge = self._convolution(x, cells)
            return np.sign(charge) * self._count(np.abs(charge))
        plus, minus = np.maximum(cells, 0), np.maximum(-cells, 0)
        high, low = np.maximum(x, 0), np.maximum(-x, 0)
        windows = ((high, plus, 1), (low, minus, 1), (high, minus, -1), (low, plus, -1))
        return sum(
            sign * self._count(self._convolution(pulses, half)) for pulses, half, sign in windows
        )

    def _count(self, charge: np.ndarray) -> np.ndarray:
        counted = charge.astype(np.int64) * self._chip.nominal_gain >> 32
        return np.minimum(counted, self._chip.adc.phase_limit)

    def _convolution(self, x: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """ONNX Runtime's, of integers below 2**24 in all their sums."""
        layer, kernel = self._layer, self._kernel
        weights = cells.reshape(kernel, kernel, self._channels, -1).transpose(3, 2, 0, 1)
        inputs = [np.ascontiguousarray(each, np.float32) for each in (_planes(x), weights)]
        result = onnx(
            "Conv", inputs, TensorProto.FLOAT, strides=[layer.stride] * 2, pads=[layer.padding] * 4
        )
        return result.transpose(0, 2, 3, 1).astype(np.int64)


def _planes(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, 3, 1, 2)


def _round(real: np.ndarray) -> np.ndarray:
    """To binary16; what is rounded here is exact in binary64."""
    return real.astype(np.float16).astype(np.float64)


def _pooled(layer: Layer, results: np.ndarray) -> np.ndarray:
    if layer.pool is None:
        return results
    size = layer.pool.size
    down, across = results.shape[1] // size, results.shape[2] // size
    kept = results[:, : down * size, : across * size]
    windows = kept.reshape(len(results), down, size, across, size, -1)
    if layer.pool.kind == "max":
        return windows.max(axis=(2, 4))
    # A mean of at most 256 integers of 8 bits is exact, and `rint` takes ties to even.
    return np.rint(windows.mean(axis=(2, 4))).astype(np.int64)
