"""Metrics of outputs: share of images classified correctly, bits per character of a text."""

import numpy as np
from numpy.typing import NDArray

from caduceus.data.inputs import Inputs
from caduceus.spec.graph import DATASETS, METRICS
from caduceus.spec.network import Network
from caduceus.spec.program import Program

UNITS = {"accuracy": "images", "bpc": "characters"}
"""Inputs that a metric is the mean over."""


def metric_of(network: Network) -> str | None:
    """`accuracy` or `bpc`; None where the data set has nothing to learn."""
    names = METRICS.get(DATASETS[network.graph.dataset], ())
    return names[0] if len(names) == 1 else None


def float_metric(network: Network) -> float | None:
    """The metric in floating point on the whole test set; None if the network does not give it."""
    return network.graph.metric.float if network.graph.metric else None


def accuracy(outputs: NDArray[np.int8], labels: NDArray[np.uint8]) -> float:
    """Share of images [n, ...] whose largest output is that of their label [n]."""
    return float(np.mean(outputs.reshape(len(labels), -1).argmax(axis=1) == labels))


def bits(
    logits: NDArray[np.int8], scale: float, following: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Bits that each of the symbols `following` [n] costs with these logits, int8 [n, symbols].

    The host's softmax, in binary64: log2 of the sum over all symbols, less the symbol's own.
    """
    real = logits.astype(np.float64) * (scale / np.log(2))
    total = np.logaddexp2.reduce(real, axis=-1)
    return total - np.take_along_axis(real, following[..., np.newaxis], axis=-1)[..., 0]


def value(program: Program, given: Inputs, outputs: NDArray[np.int8]) -> float | None:
    """The metric of a program's outputs, int8 [n, vectors, output_length], for these inputs.

    None where nothing is expected of them.
    """
    if given.labels is not None:
        return accuracy(outputs, given.labels)
    if given.following is not None and program.output is not None:
        return float(np.mean(bits(outputs, program.output.scale, given.following)))
    return None


def words(metric: str, value: float | None) -> str:
    """A metric's value with its unit; a dash where there is none."""
    if value is None:
        return "–"
    return f"{value:.2%}" if metric == "accuracy" else f"{value:.4f} bits per character"
