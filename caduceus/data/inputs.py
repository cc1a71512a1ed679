"""Inputs of a network (images, vectors or a sequence), and the expected outputs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caduceus.data import own_inputs, pictures, text
from caduceus.data.missing import Missing
from caduceus.host.real_values import Ends
from caduceus.spec.errors import UserError
from caduceus.spec.graph import geometries
from caduceus.spec.network import Network
from caduceus.spec.own_data import OwnData

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
        x: int8 [n, pixels, channels], pixels row by row; of sequences [n, steps, size].
            `Program.vectors` reshapes them for a program.
        labels: uint8 [n], of images of a data set; else None.
        following: uint8 [sequences, steps], the symbol that follows each step of a text; else None.
        own: the user's own data that `x` is of, with their labels or targets; else None.
    """

    unit: str
    x: NDArray[np.int8]
    labels: NDArray[np.uint8] | None = None
    following: NDArray[np.uint8] | None = None
    own: OwnData | None = None

    @property
    def count(self) -> int:
        """Number of inputs."""
        return len(self.x) * self.x.shape[1] if self.unit == "steps" else len(self.x)


def unit_of(network: Network) -> str:
    """The unit of the inputs of `network`: `images`, `vectors` or `steps`."""
    if network.recurrent:
        return "steps"
    shapes = geometries(network.graph)
    single = len(shapes) == 1 and shapes[0].output[:2] == (1, 1)
    return "vectors" if single or shapes[0].input[:2] == (1, 1) else "images"


def inputs(
    network: Network, count: int | None = None, *, fewer: bool = False, sequences: int = 1
) -> Inputs:
    """The first `count` inputs of the network's data set; `DEFAULTS` of them if None.

    Args:
        network: the network.
        count: images, vectors, or steps of each sequence.
        fewer: whether a data set that holds fewer gives all of them.
        sequences: number of sequences, of a network with an LSTM: neighboring pieces of a text, or
            of the user's own data the first ones.

    Raises:
        UserError: the data set holds fewer, is not installed (then `Missing`), or does not fit the
            network's input; or there are several sequences of a network that takes none.
    """
    unit = unit_of(network)
    if unit != "steps" and sequences != 1:
        raise UserError(
            f"sequences: got {sequences} for network {network.name}, which takes {unit}: expected "
            "a network with an LSTM"
        )
    if own_inputs.is_own(network):
        return _own(network, unit, count, fewer, sequences)
    count = DEFAULTS[unit] if count is None else count
    if unit != "steps":
        found, labels = pictures.pictures(network.graph, count, fewer=fewer)
        return Inputs(unit, pictures.vectors(network.graph, found), labels)
    if network.embedding is None:
        random = np.random.default_rng(_RANDOM_SEED)
        shape = sequences, count, network.graph.input.size
        return Inputs(unit, random.integers(-127, 128, shape, dtype=np.int8))
    numbers = text.beginning(network, text.own_numbers(network), sequences * count)
    symbols, following = (each.reshape(sequences, count) for each in (numbers[:-1], numbers[1:]))
    return Inputs(unit, network.embedding[symbols], following=following)


def _own(network: Network, unit: str, count: int | None, fewer: bool, sequences: int) -> Inputs:
    """The first inputs of the user's own data; as many as there are, if `fewer` or `count` is None.

    With `fewer`, sequences follow each other as one, cut after `count` steps: no output counts.
    """
    data = own_inputs.demanded(network)
    if unit == "steps" and fewer:
        count = count or DEFAULTS[unit]
        several = data.inputs[: -(-count // data.inputs.shape[1])]
        x = Ends.of(network).to_int8(several)
        return Inputs(unit, x.reshape(1, -1, x.shape[2])[:, :count])
    if unit == "steps":
        data = own_inputs.first(data, sequences, "sequences")
        data = own_inputs.beginning(network, data, count, DEFAULTS[unit])
    else:
        most = len(data.inputs)
        count = min(count or DEFAULTS[unit], most) if fewer or count is None else count
        data = own_inputs.first(data, count, unit)
    return Inputs(unit, Ends.of(network).to_int8(data.inputs), own=data)


def sample(network: Network) -> NDArray[np.int8] | None:
    """Typical inputs of the network, as `Inputs.x`; None if its data set is not installed.

    Of own data short sequences follow each other as one. Those of a network with an embedding
    but without a text or data are its vectors in order.

    Raises:
        UserError: as `inputs`, except for a data set that is not installed.
    """
    count = TYPICAL[unit_of(network)]
    if network.embedding is not None and network.text is None and network.data is None:
        return network.embedding[np.arange(count) % len(network.embedding)][np.newaxis]
    if network.text is not None and network.data is None:
        count = min(count, len(network.text) - 1)
    try:
        return inputs(network, count, fewer=True).x
    except Missing:
        return None
