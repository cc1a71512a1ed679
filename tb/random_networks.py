"""Networks with random weights, to compile and run."""

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.graph import Graph, Input, Layer, Lstm, Pool, geometries
from caduceus.spec.network import LstmWeights, Network, Weights


def random_lstm(
    random: np.random.Generator, lstm: Lstm, size: int, outputs: int, spread: float
) -> Network:
    """A network with this LSTM, `size` inputs and `outputs` logits, or none if 0.

    `spread` is the standard deviation of a gate's sum of all weights of one kind; four times that
    of its bias.
    """

    def normal(deviation: float, *shape: int) -> NDArray[np.float32]:
        return random.normal(0, deviation, shape).astype(np.float32)

    hidden = lstm.hidden
    dense = Layer(
        name="dense", op="dense", outputs=outputs or 1, relu=False, gmax=400, output_scale=0.02
    )
    graph = Graph(
        format=2, name="random", dataset="random", input=Input(shape=(size,), scale=1 / 127),
        weights="weights.npz", nodes=(lstm, dense) if outputs else (lstm,),
    )  # fmt: skip
    weights: dict[str, Weights | LstmWeights] = {
        lstm.name: LstmWeights(
            input=normal(spread / np.sqrt(size), size, 4 * hidden),
            hidden=normal(spread / np.sqrt(hidden), hidden, 4 * hidden),
            bias=normal(spread / 4, 4 * hidden),
        )
    }
    if outputs:
        weights["dense"] = Weights(
            normal(spread / np.sqrt(hidden), hidden, outputs), normal(0.1, outputs)
        )
    return Network(graph, weights)


def random_convolutions(random: np.random.Generator) -> Network:
    """A small network of convolutions with pools, strides and residuals, perhaps a dense layer.

    Some networks do not fit a chip; the compiler decides.
    """

    def draw(least: int, most: int) -> int:
        return int(random.integers(least, most + 1))

    image = Input(shape=(draw(3, 9), draw(3, 9), draw(1, 3)), scale=1 / 127)
    layers: list[Layer] = []
    shape = image.map
    shapes: dict[str, tuple[int, int, int]] = {}
    for number in range(draw(1, 4)):
        kernel = draw(1, min(3, *shape[:2]))
        padding, stride = draw(0, kernel - 1), draw(1, 2)
        outputs = draw(1, 24)
        residual = None
        if shapes and random.random() < 0.5:
            # Of the shape of an earlier layer's output, if this layer can match it.
            name, wanted = list(shapes.items())[draw(0, len(shapes) - 1)]
            if wanted[:2] == shape[:2]:
                kernel, padding, stride = (3, 1, 1) if min(shape[:2]) > 1 else (1, 0, 1)
                outputs, residual = wanted[2], name
        down, across = ((size + 2 * padding - kernel) // stride + 1 for size in shape[:2])
        pool = None
        if min(down, across) > 1 and random.random() < 0.5:
            kind = ("max", "average")[draw(0, 1)]
            size = 2 if kind == "average" else draw(2, min(3, down, across))
            pool = Pool(kind=kind, size=size, stride=size)
        layers.append(
            Layer(
                name=f"conv{number}", op="conv", outputs=outputs, relu=draw(0, 3) > 0, gmax=400,
                output_scale=float(random.uniform(0.005, 0.02)), kernel=kernel, stride=stride,
                padding=padding, pool=pool, residual=residual,
            )
        )  # fmt: skip
        side = pool.size if pool else 1
        shape = (down // side, across // side, outputs)
        shapes[layers[-1].name] = shape
    if shape[0] == shape[1] and random.random() < 0.6:
        layers.append(
            Layer(name="dense", op="dense", outputs=draw(1, 12), relu=False, gmax=400,
                  output_scale=0.02)
        )  # fmt: skip
    graph = Graph(
        format=2, name="random", dataset="random", input=image, weights="weights.npz",
        nodes=tuple(layers),
    )  # fmt: skip
    weights = {}
    for layer, geometry in zip(graph.nodes, geometries(graph), strict=True):
        size = (geometry.rows, layer.outputs)
        weight = random.normal(0, 1 / np.sqrt(geometry.rows), size).astype(np.float32)
        bias = random.normal(0, 0.1, layer.outputs).astype(np.float32)
        weights[layer.name] = Weights(weight, bias)
    return Network(graph, weights)
