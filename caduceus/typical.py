"""Inputs as a network typically gets them: those that its columns' read noise is reckoned for.

Always the same, however many inputs a run has, so that a seed means the same devices in all runs.
"""

import numpy as np
from numpy.typing import NDArray

from caduceus import images as test_images
from caduceus import text
from spec.network import Network
from spec.recurrent import RecurrentNetwork, RecurrentWeights

IMAGES, VECTORS = 16, 64


def images(network: Network) -> NDArray[np.int8]:
    """The first test images, int8 [n, pixels, channels].

    Raises:
        UserError: they are not there.
    """
    return test_images.inputs(network, IMAGES, fewer=True)[0]


def vectors(network: Network) -> NDArray[np.int8]:
    """The first input vectors of a network that takes one pixel, int8 [n, values]."""
    found, _ = test_images.inputs(network, VECTORS, fewer=True)
    return found.reshape(len(found), -1)


def steps(network: RecurrentNetwork, weights: RecurrentWeights) -> NDArray[np.int8]:
    """The first steps of the text that ships with a network, int8 [n, values].

    One without a text gets its symbols in their order; one without symbols, random vectors.
    """
    if weights.embedding is None:
        return text.inputs(network, weights, VECTORS)[0]
    if weights.text is None:
        return weights.embedding[np.arange(VECTORS) % len(weights.embedding)]
    return text.inputs(network, weights, min(VECTORS, len(weights.text) - 1))[0]
