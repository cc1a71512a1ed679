"""Recurrent networks with random weights, for whatever compiles or runs them."""

import numpy as np
from numpy.typing import NDArray

from spec.recurrent import Dense, Input, Lstm, RecurrentNetwork, RecurrentWeights


def random_lstm(
    random: np.random.Generator, lstm: Lstm, size: int, outputs: int, spread: float
) -> tuple[RecurrentNetwork, RecurrentWeights]:
    """A network with this LSTM, `size` inputs and `outputs` logits, or none if 0.

    `spread` is the deviation of a gate's sum of all weights of one kind, and four times that of its
    bias.
    """

    def normal(deviation: float, *shape: int) -> NDArray[np.float32]:
        return random.normal(0, deviation, shape).astype(np.float32)

    hidden = lstm.hidden
    network = RecurrentNetwork(
        format=1, name="random", dataset="random", input=Input(size=size, scale=1 / 127),
        weights="weights.npz", lstm=lstm,
        dense=Dense(outputs=outputs, gmax=400, output_scale=0.02) if outputs else None,
    )  # fmt: skip
    return network, RecurrentWeights(
        embedding=None,
        input=normal(spread / np.sqrt(size), size, 4 * hidden),
        hidden=normal(spread / np.sqrt(hidden), hidden, 4 * hidden),
        bias=normal(spread / 4, 4 * hidden),
        dense=normal(spread / np.sqrt(hidden), hidden, outputs) if outputs else None,
        dense_bias=normal(0.1, outputs) if outputs else None,
    )
