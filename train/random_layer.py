"""Networks of one random layer, which fill many tiles of a chip: there is nothing to train.

    python -m train.random_layer

writes `networks/conv_2016x224` and `networks/conv_32x16` again, with the same bytes.
"""

import numpy as np

from caduceus.spec import formats
from caduceus.spec.graph import Graph, Input, Layer
from caduceus.spec.network import NETWORKS
from caduceus.spec.shipped import shipped_folder
from train.export import export
from train.topology import INPUT_SCALE

_SEED = 2016
_DEVIATION = 0.02
"""Standard deviation of the weights."""
_RANGE = 3.5
"""Standard deviations of the result that the INT8 range holds."""


def random_layer(
    name: str, size: int, channels: int, outputs: int, gmax: int
) -> tuple[Graph, dict[str, np.ndarray]]:
    """A convolution whose kernel is as large as its input, hence one output pixel.

    Weights are normal, biases smaller than the result by far. `gmax` is chosen by the caller so
    that no conversion saturates with uniformly random pixels.
    """
    random = np.random.default_rng(_SEED)
    rows = size * size * channels
    weight = random.normal(0, _DEVIATION, (rows, outputs)).astype(np.float16)
    # A uniform pixel has a mean square of 1/3.
    deviation = _DEVIATION * np.sqrt(rows / 3)
    bias = random.normal(0, deviation / 4, outputs).astype(np.float32)
    layer = Layer(
        name="conv", op="conv", outputs=outputs, relu=True, gmax=gmax,
        output_scale=float(f"{_RANGE * deviation / formats.INT8_MAX:.8g}"),
        kernel=size, stride=1, padding=0,
    )  # fmt: skip
    graph = Graph(
        format=2,
        name=name,
        dataset="random",
        input=Input(shape=(size, size, channels), scale=INPUT_SCALE),
        weights="weights.npz",
        scaling="core",
        nodes=(layer,),
    )
    return graph, {"conv.weight": weight, "conv.bias": bias}


def main() -> None:
    """Write both networks."""
    for network, arrays in (
        random_layer("conv_2016x224", size=3, channels=224, outputs=224, gmax=320),
        random_layer("conv_32x16", size=1, channels=32, outputs=16, gmax=formats.CELL_MAX),
    ):
        export(network, arrays, shipped_folder(NETWORKS) / network.name)


if __name__ == "__main__":
    main()
