"""A random LSTM of the published captioning network's shape: there is nothing to train.

    python -m train.random_lstm

writes `networks/lstm_504` again, with the same bytes. Its two matrices of 504 x 2016 fill half of
the chip, 32 tiles.
"""

import numpy as np

from caduceus.spec import formats
from caduceus.spec.gdpu import GATES
from caduceus.spec.graph import Graph, Input, Lstm
from caduceus.spec.network import NETWORKS
from caduceus.spec.shipped import shipped_folder
from train.export import export
from train.topology import INPUT_SCALE

_SEED = 504
_SIZE = 504
_LEVELS, _STEP = 2, 0.0707
"""Weights are -2 to 2 times this, so that the file compresses. Their standard deviation is 0.1:
gates are then neither always open nor always shut."""
_DEVIATION = _STEP * np.sqrt(_LEVELS * (_LEVELS + 1) / 3)
_HIDDEN_SQUARE = 0.064
"""Mean square of a hidden unit, about; simulated once for these weights."""
_RANGE = 4.0
"""Standard deviations of a pre-activation that the INT8 range holds."""
_GMAX = 96
"""Far enough below the largest code that no conversion saturates with uniformly random inputs."""


def random_lstm(name: str) -> tuple[Graph, dict[str, np.ndarray]]:
    """Description and arrays; biases are normal."""
    random = np.random.default_rng(_SEED)
    gates = len(GATES) * _SIZE
    # A uniform input has a mean square of 1/3.
    deviation = _DEVIATION * np.sqrt(_SIZE * (1 / 3 + _HIDDEN_SQUARE))
    step = float(f"{_RANGE * deviation / formats.INT8_MAX:.8g}")
    graph = Graph(
        format=2,
        name=name,
        dataset="random",
        input=Input(shape=(_SIZE,), scale=INPUT_SCALE),
        weights="weights.npz",
        scaling="core",
        nodes=(
            Lstm(
                name="lstm", op="lstm", hidden=_SIZE, input_gmax=_GMAX, hidden_gmax=_GMAX,
                gate_scales=(step,) * len(GATES), output_scale=INPUT_SCALE,
            ),
        ),
    )  # fmt: skip

    def weights() -> np.ndarray:
        levels = random.integers(-_LEVELS, _LEVELS + 1, (_SIZE, gates))
        return (levels * _STEP).astype(np.float16)

    arrays = {
        "lstm.input": weights(),
        "lstm.hidden": weights(),
        "lstm.bias": random.normal(0, deviation / 4, gates).astype(np.float32),
    }
    return graph, arrays


def main() -> None:
    """Write the network."""
    network, arrays = random_lstm("lstm_504")
    export(network, arrays, shipped_folder(NETWORKS) / network.name, compressed=True)


if __name__ == "__main__":
    main()
