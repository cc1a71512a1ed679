"""Texts for recurrent networks, and how well their outputs predict them."""

import numpy as np
from numpy.typing import NDArray

from spec.errors import UserError
from spec.recurrent import TEXT, RecurrentNetwork, RecurrentWeights
from train import characters

RANDOM_SEED = 2023


def own(network: RecurrentNetwork, weights: RecurrentWeights) -> str:
    """The text that ships with `network`.

    Raises:
        UserError: there is none.
    """
    if weights.text is None:
        raise UserError(f"network {network.name}: there is no {TEXT} beside its description")
    return weights.text


def sample(network: RecurrentNetwork, weights: RecurrentWeights, count: int) -> NDArray[np.uint8]:
    """The first `count` + 1 characters of the text that ships with `network`, as their numbers.

    Raises:
        UserError: the network has no such text, or not so much of it.
    """
    text = own(network, weights)
    if not 1 <= count < len(text):
        raise UserError(
            f"characters = {count}: {TEXT} of network {network.name} allows 1 to {len(text) - 1}"
        )
    return characters.encode(text[: count + 1], network.input.symbols)


def inputs(
    network: RecurrentNetwork, weights: RecurrentWeights, count: int
) -> tuple[NDArray[np.int8], NDArray[np.uint8] | None]:
    """Input vectors of `count` steps, int8 [count, size], and the symbols that ought to follow.

    A network without symbols gets random vectors, the same at every call, and nothing follows.

    Raises:
        UserError: as for `sample`.
    """
    if weights.embedding is None:
        random = np.random.default_rng(RANDOM_SEED)
        return random.integers(-127, 128, (count, network.input.size), dtype=np.int8), None
    numbers = sample(network, weights, count)
    return weights.embedding[numbers[:-1]], numbers[1:]


def bits(
    logits: NDArray[np.int8], scale: float, following: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Bits that each of the symbols `following` [n] costs with these logits, int8 [n, symbols].

    The host's softmax, in binary64: log2 of the sum over all symbols, less the symbol's own.
    """
    real = logits.astype(np.float64) * (scale / np.log(2))
    total = np.logaddexp2.reduce(real, axis=-1)
    return total - np.take_along_axis(real, following[..., np.newaxis], axis=-1)[..., 0]
