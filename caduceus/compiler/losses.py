"""What a network loses on its way to cell codes, in sentences for the user.

Two losses are no errors: devices that hold less than the network's `gmax` lower it, and a column
whose weights are small beside the layer's largest keeps few codes of them.
"""

from collections import defaultdict

import numpy as np

from caduceus.compiler import cnn, recurrent
from caduceus.compiler.content import Matrix, Scaling
from caduceus.compiler.lower import Way, way
from caduceus.spec.chip import Chip
from caduceus.spec.graph import Lstm
from caduceus.spec.network import Network

SHARE = 0.01
"""Share of the squares of a column's weights that rounding to codes may lose in silence."""


class WeightLoss(UserWarning):
    """Columns of a layer lose more than `SHARE` of their weights' energy to rounding."""


def lowered_gmax(network: Network, scaling: Scaling) -> str | None:
    """A sentence that names the layers whose `gmax` is above what devices hold; None without."""
    layers: dict[tuple[str, int], list[str]] = defaultdict(list)
    for node in network.graph.nodes:
        for key in ("input_gmax", "hidden_gmax") if isinstance(node, Lstm) else ("gmax",):
            of_columns = None if scaling.per_core else getattr(network.weights[node.name], key)
            code = getattr(node, key) if of_columns is None else int(of_columns.max())
            if code > scaling.largest_code:
                layers[key, code].append(node.name)
    if not layers:
        return None
    named = (f"{key} was {code} in {', '.join(names)}" for (key, code), names in layers.items())
    return (
        f"gmax lowered to {scaling.largest_code}, the largest cell code of these devices: "
        f"{'; '.join(named)}"
    )


def lossy_columns(network: Network, chip: Chip, scaling: Scaling) -> tuple[str, ...]:
    """A sentence for each layer with columns that lose more than `SHARE` of their energy.

    Args:
        network: one that compiles for the chip.
        chip: decides whether an LSTM's two matrices share tiles, and so their largest weight.
        scaling: how weights become codes.
    """
    if way(network.graph) is Way.RECURRENT:
        found = recurrent.matrices(network, chip, scaling)
    else:
        found = list(cnn.matrices(network, scaling).values())
    return tuple(sentence for matrix in found if (sentence := _lossy(matrix)))


def _lossy(matrix: Matrix) -> str | None:
    weight = matrix.weight.astype(np.float64)
    rounded = matrix.cells * (matrix.largest / matrix.codes)
    energy = np.square(weight).sum(axis=0)
    lost = np.square(weight - rounded).sum(axis=0) / np.where(energy, energy, 1.0)
    count, worst = int((lost > SHARE).sum()), int(lost.argmax())
    if not count:
        return None
    lost_most = (
        f"{matrix.where}: {count} of {len(lost)} columns lose more than {100 * SHARE:.0f} % of "
        f"their weights' energy to rounding, column {worst} the most, {100 * lost[worst]:.0f} %: "
    )
    code = int(matrix.codes[worst])
    if not matrix.per_core:
        factor = matrix.largest[worst] / np.sqrt(energy[worst] / len(weight))
        return (
            f"{lost_most}its largest weight is {factor:.4g} times their root mean square and has "
            f"code {code}"
        )
    factor = matrix.largest[worst] / np.abs(weight[:, worst]).max()
    return (
        f"{lost_most}the largest weight, in column {matrix.peak}, is {factor:.4g} times that "
        f"column's largest and has code {code}"
    )
