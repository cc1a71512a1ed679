"""The network that a command's options name."""

from pathlib import Path

from caduceus.spec.chip import Chip
from caduceus.spec.network import Network
from caduceus.spec.own_data import OwnData


def opened(
    name: str, chip: Chip, *, data: Path | str | None = None, per_core: bool = False
) -> Network:
    """The network called `name`, or in the file of that path.

    Args:
        name: of a network that ships with the library, or a path.
        chip: that it is to run on.
        data: file of inputs, in place of the network's data set; None for that.
        per_core: whether each layer is scaled by its largest weight, as published.

    Raises:
        UserError: there is no such network or file, or it is bad.
    """
    network = Network.find(name)
    network = network.per_core() if per_core else network
    return network if data is None else network.with_data(OwnData.load(data))
