"""Texts for networks with symbols."""

import numpy as np
from numpy.typing import NDArray

from caduceus.data import characters
from caduceus.spec.errors import UserError
from caduceus.spec.network import TEXT, Network


def own(network: Network) -> str:
    """The text that ships with `network`.

    Raises:
        UserError: there is none.
    """
    if network.text is None:
        raise UserError(f"network {network.name}: there is no {TEXT} beside its description")
    return network.text


def own_numbers(network: Network) -> NDArray[np.uint8]:
    """The text that ships with `network`, as numbers of its symbols.

    Raises:
        UserError: there is none.
    """
    return characters.encode(own(network), network.graph.input.symbols)


def whole_numbers(network: Network) -> NDArray[np.uint8]:
    """The network's whole test text, as numbers of its symbols.

    Raises:
        UserError: there is none, or it is not installed (then `Missing`).
    """
    dataset = network.graph.dataset
    if dataset == "penn_treebank":
        found = characters.penn_treebank("test")
    elif dataset == "text":
        found = own(network)
    else:
        raise UserError(f"network {network.name}: dataset: got {dataset}, expected one with a text")
    return characters.encode(found, network.graph.input.symbols)


def beginning(network: Network, numbers: NDArray[np.uint8], count: int | None) -> NDArray[np.uint8]:
    """The first `count` predicted characters of a text and the one before them; all if None.

    Raises:
        UserError: the text is shorter.
    """
    if count is not None and not 1 <= count < len(numbers):
        raise UserError(
            f"characters: got {count}, expected 1 to {len(numbers) - 1} of the text of network "
            f"{network.name}"
        )
    return numbers if count is None else numbers[: count + 1]
