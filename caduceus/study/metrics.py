"""Metrics of outputs: share classified correctly, bits per character, root mean square error."""

import numpy as np
from numpy.typing import NDArray

from caduceus.data.inputs import Inputs, unit_of
from caduceus.host.real_values import Ends, from_int8
from caduceus.spec.graph import DATASETS, METRICS
from caduceus.spec.network import Network
from caduceus.spec.own_data import OwnData
from caduceus.spec.program import Program

UNITS = {"accuracy": "images", "bpc": "characters", "rmse": "inputs"}
"""Inputs that a metric is the mean over."""
AXES = {
    "accuracy": "accuracy in %", "bpc": "bits per character", "rmse": "root mean square error",
}  # fmt: skip
"""What plots and tables call a metric."""


def metric_of(network: Network) -> str | None:
    """`accuracy`, `bpc` or `rmse`; None where nothing is expected of outputs."""
    if network.data is not None:
        return network.data.metric
    names = METRICS.get(DATASETS[network.graph.dataset], ())
    return names[0] if len(names) == 1 else None


def float_metric(network: Network) -> float | None:
    """The metric in floating point on the whole test set; None if the network does not give it."""
    metric = network.graph.metric
    return metric.float if metric and metric.name == metric_of(network) else None


def unit(network: Network) -> str:
    """Inputs that the network's metric is the mean over."""
    if metric_of(network) == "bpc":
        return "characters"
    return {"steps": "sequences"}.get(unit_of(network), unit_of(network))


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


def predicted(program: Program, outputs: NDArray[np.int8], labels: NDArray) -> NDArray[np.int64]:
    """The classes that outputs of own data say, in the shape of their labels.

    Where there is one label for a map, that is the number of its largest value.
    """
    ends = Ends.of(program)
    real = ends.real(outputs)
    if real.shape == labels.shape:
        return real.astype(np.int64)
    if real.shape[:-1] != labels.shape:
        real = real.reshape(len(real), -1)
    return real.argmax(axis=-1)


def of_own(program: Program, data: OwnData, outputs: NDArray[np.int8]) -> float | None:
    """The metric of own data, of outputs int8 [n, vectors, output_length]: see `OwnData.metric`."""
    if data.labels is not None:
        return float(np.mean(predicted(program, outputs, data.labels) == data.labels))
    if data.targets is None:
        return None
    errors = from_int8(program, outputs).reshape(data.targets.shape) - data.targets
    return float(np.sqrt(np.mean(errors * errors)))


def value(program: Program, given: Inputs, outputs: NDArray[np.int8]) -> float | None:
    """The metric of a program's outputs, int8 [n, vectors, output_length], for these inputs.

    None where nothing is expected of them.
    """
    if given.own is not None:
        return of_own(program, given.own, outputs)
    if given.labels is not None:
        return accuracy(outputs, given.labels)
    if given.following is not None and program.output is not None:
        return float(np.mean(bits(outputs, program.output.scale, given.following)))
    return None


def words(metric: str, value: float | None) -> str:
    """A metric's value with its unit; a dash where there is none."""
    if value is None:
        return "–"
    if metric == "accuracy":
        return f"{value:.2%}"
    return f"{value:.4f} bits per character" if metric == "bpc" else f"RMSE {value:.6g}"
