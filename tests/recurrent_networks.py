"""Recurrent networks with random weights, for the tests of what compiles or runs them."""

import numpy as np

from caduceus.spec.chip import Chip
from caduceus.spec.graph import Lstm
from caduceus.spec.network import Network
from tb.random_networks import random_lstm


def random_network(hidden: int, size: int, outputs: int, seed: int = 1) -> Network:
    """A network with `outputs` logits, or none if 0, whose gates and states use their ranges."""
    lstm = Lstm(
        name="lstm", op="lstm", hidden=hidden, input_gmax=400, hidden_gmax=400,
        gate_scales=(0.05, 0.03, 0.05, 0.04), output_scale=1 / 127,
    )  # fmt: skip
    return random_lstm(np.random.default_rng(seed), lstm, size, outputs, spread=1.5)


def sized(name: str, **sections: dict) -> Chip:
    """The chip called `name` with some keys of some sections changed."""
    description = Chip.find(name).model_dump()
    for section, keys in sections.items():
        description[section] |= keys
    return Chip.model_validate(description)


TALL = sized(
    "tiny",
    grid={"rows": 6, "columns": 6},
    gdpu={"slices": 6, "units": 4},
    host={
        "inputs": (*((0, column) for column in range(6)), (1, 0), (2, 0)),
        "outputs": ((2, 5), (3, 5), (4, 5), (5, 5)),
    },
)
"""Six slices below three rows of 16x16 tiles: the hidden state in up to two row blocks, with room
for one of the input."""
TALL_BINARY16 = sized(
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
    buffers={"gather": 8},
)
"""The same with binary16 partial sums; hidden units of a slice start at multiples of eight rows."""
