"""Inputs of a network (images, vectors or a sequence), and the expected outputs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caduceus.data import pictures, text
from caduceus.data.missing import Missing
from caduceus.spec.graph import geometries
from caduceus.spec.network import Network

DEFAULTS = {"images": 2, "vectors": 10, "steps": 20}
"""Number of inputs if none is given."""
TYPICAL = {"images": 16, "vectors": 64, "steps": 64}
"""Number of a network's typical inputs: independent of a run's, so that a seed gives the same
devices in all runs."""
_RANDOM_SEED = 2023


@dataclass(frozen=True)
class Inputs:
    """Inputs of a network.

    Attributes:
        unit: `images`, `vectors` or `steps`.
        x: int8 [n, pixels, channels], pixels row by row; steps of a sequence [1, steps, size].
            `Program.vectors` reshapes them for a program.
        labels: uint8 [n], of images of a data set; else None.
        following: uint8 [steps], the symbol that follows each step of a text; else None.
    """

    unit: str
    x: NDArray[np.int8]
    labels: NDArray[np.uint8] | None = None
    following: NDArray[np.uint8] | None = None

    @property
    def count(self) -> int:
        """Number of inputs."""
        return self.x.shape[1] if self.unit == "steps" else len(self.x)


def unit_of(network: Network) -> str:
    """The unit of the inputs of `network`: `images`, `vectors` or `steps`."""
    if network.recurrent:
        return "steps"
    shapes = geometries(network.graph)
    single = len(shapes) == 1 and shapes[0].output[:2] == (1, 1)
    return "vectors" if single or shapes[0].input[:2] == (1, 1) else "images"


def inputs(network: Network, count: int | None = None, *, fewer: bool = False) -> Inputs:
    """The first `count` inputs of the network's data set; `DEFAULTS` of them if None.

    With `fewer`, a data set that holds fewer gives all of them.

    Raises:
        UserError: the data set holds fewer, is not installed (then `Missing`), or does not fit the
            network's input.
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
    """Typical inputs of the network, as `Inputs.x`; None if its data set is not installed.

    Those of a network with symbols but without a text are its symbols in order.

    Raises:
        UserError: as `inputs`, except for a data set that is not installed.
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
