"""How well a network's float form does on its own data."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from caduceus.importers.reference import BATCH, FloatReference, pooled
from caduceus.spec.graph import FloatMetric
from caduceus.spec.network import Network

INPUTS_MAX = 10_000
"""As many as the test sets that come with the project have."""


def measured(network: Network, real: Callable[[NDArray], NDArray[np.float32]]) -> Network:
    """The network with its float form's accuracy or error on its data in its description.

    Args:
        network: with data.
        real: from inputs as users have them to the network's in real units.

    Returns:
        the network as it is where nothing is expected of its outputs, or of others than its own,
        such as those of a softmax.
    """
    data = network.data
    after = [each.op for each in network.graph.host.after]
    if data is None or data.metric is None:
        return network
    if data.metric == "rmse" and any(op != "last_step" for op in after):
        return network
    last = pooled(network.graph.nodes[-1].name)
    reference = FloatReference(network)
    total, count = 0.0, 0
    for start in range(0, min(len(data.inputs), INPUTS_MAX), BATCH):
        part = slice(start, min(start + BATCH, INPUTS_MAX))
        outputs = reference.run(real(data.inputs[part]))[last]
        outputs = outputs[:, -1] if "last_step" in after else outputs
        if data.labels is not None:
            labels = data.labels[part]
            chosen = outputs.reshape(*labels.shape, -1).argmax(axis=-1)
            total, count = total + float((chosen == labels).sum()), count + labels.size
        else:
            targets = data.targets[part]
            if network.graph.host.layout == "chw" and outputs.ndim == 4:
                outputs = outputs.transpose(0, 3, 1, 2)
            errors = np.square(
                outputs.reshape(len(targets), -1) - targets.reshape(len(targets), -1)
            )
            total, count = total + float(errors.sum()), count + errors.size
    value = total / count if data.labels is not None else float(np.sqrt(total / count))
    metric = FloatMetric(name=data.metric, float=value)
    return replace(network, graph=network.graph.model_copy(update={"metric": metric}))
