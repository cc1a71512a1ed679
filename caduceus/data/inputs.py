"""Inputs for a network, whatever it takes, and what is expected of its outputs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caduceus.data import pictures, text
from caduceus.data.missing import Missing
from caduceus.spec.graph import geometries
from caduceus.spec.network import Network

DEFAULTS = {"images": 2, "vectors": 10, "steps": 20}
"""How many, when their number is not given."""
TYPICAL = {"images": 16, "vectors": 64, "steps": 64}
"""How many are a network's typical inputs: always the same, however many a run has, so that a seed
means the same devices in all runs."""
_RANDOM_SEED = 2023


@dataclass(frozen=True)
class Inputs:
    """Inputs of a network.

    Attributes:
        unit: what they are: `images`, `vectors` or `steps`.
        x: int8 [n, pixels, channels], pixels row by row; steps of a sequence [1, steps, size]. A
            program takes them as its `vectors` lays them out.
        labels: of images that have any, uint8 [n].
        following: symbols that ought to follow each step, of a text, uint8 [steps].
    """

    unit: str
    x: NDArray[np.int8]
    labels: NDArray[np.uint8] | None = None
    following: NDArray[np.uint8] | None = None

    @property
    def count(self) -> int:
        """How many there are."""
        return self.x.shape[1] if self.unit == "steps" else len(self.x)


def unit_of(network: Network) -> str:
    """What the inputs of `network` are called."""
    if network.recurrent:
        return "steps"
    shapes = geometries(network.graph)
    single = len(shapes) == 1 and shapes[0].output[:2] == (1, 1)
    return "vectors" if single or shapes[0].input[:2] == (1, 1) else "images"


def inputs(network: Network, count: int | None = None, *, fewer: bool = False) -> Inputs:
    """The first `count` inputs of the network's data set, or as many as is usual.

    With `fewer`, a data set that holds fewer, as only somebody's own does, gives all it has.

    Raises:
        UserError: there are not so many, not without the data set (then `Missing`), or the network
            takes others.
    """
    unit = unit_of(network)
    count = DEFAULTS[unit] if count is None else count
    if unit != "steps":
        found, labels = pictures.pictures(network.graph, count, fewer=fewer)
        return Inputs(unit, pictures.vectors(network.graph, found), labels)
    if network.embedding is None:
        random = np.random.default_rng(_RANDOM_SEED)
        x = random.integers(-127, 128, (count, network.graph.input.size), dtype=np.int8)
        return Inputs(unit, x[np.newaxis])
    numbers = text.beginning(network, text.own_numbers(network), count)
    return Inputs(unit, network.embedding[numbers[:-1]][np.newaxis], following=numbers[1:])


def sample(network: Network) -> NDArray[np.int8] | None:
    """Inputs as the network typically gets them, as `Inputs.x`; None without its data set.

    A network with symbols but no text of its own gets its symbols in their order.

    Raises:
        UserError: as `inputs`, but for a data set that is not installed.
    """
    count = TYPICAL[unit_of(network)]
    if network.embedding is not None and network.text is None:
        return network.embedding[np.arange(count) % len(network.embedding)][np.newaxis]
    if network.text is not None:
        count = min(count, len(network.text) - 1)
    try:
        return inputs(network, count, fewer=True).x
    except Missing:
        return None
