"""The user's own data as inputs of a network: checked against it, and the first few of them."""

from math import prod

import numpy as np

from caduceus.data.missing import Missing
from caduceus.host.real_values import Ends
from caduceus.spec.errors import UserError, shown
from caduceus.spec.network import Network
from caduceus.spec.network_file import DATA
from caduceus.spec.own_data import OwnData


def is_own(network: Network) -> bool:
    """Whether its inputs are the user's own data."""
    return network.data is not None or network.graph.dataset == "own"


def demanded(network: Network) -> OwnData:
    """The data of a network, checked.

    Raises:
        UserError: there are none (then `Missing`), inputs have another shape than the network's, or
            labels or targets have another shape or range than its outputs.
    """
    data = network.data
    if data is None:
        raise Missing(
            f"network {network.name}: there is no {DATA} beside its description: expected that "
            "file, or another with --data"
        )
    where = f"data of network {network.name}"
    ends = Ends.of(network)
    size = prod(ends.output.shape)
    steps = ends.to_int8(data.inputs[:1]).shape[1]
    outputs = np.zeros((1, steps, size) if ends.sequences else (1, size), np.int8)
    real = ends.real(outputs)
    if data.labels is not None:
        _check_labels(data, ends, real.shape[1:], where)
    expected = ends.in_layout(real).shape[1:]
    if data.targets is not None and _long(data.targets.shape[1:]) != _long(expected):
        raise UserError(
            f"{where}: targets: shape: got {list(data.targets.shape)}, expected "
            f"[{', '.join(map(str, ('n', *expected)))}]"
        )
    return data


def _check_labels(data: OwnData, ends: Ends, real: tuple[int, ...], where: str) -> None:
    """One label for each vector of outputs, or of a map one for all its values."""
    chosen = "argmax" in (each.op for each in ends.host.after)
    shape, channels = (real, ends.output.shape[-1]) if chosen else (real[:-1], real[-1])
    given = data.labels.shape[1:]
    whole = given == () and not chosen and not ends.sequences
    if given != shape and not whole:
        raise UserError(
            f"{where}: labels: shape: got {list(data.labels.shape)}, expected "
            f"[{', '.join(map(str, ('n', *shape)))}]"
        )
    classes = prod(real) if whole else channels
    wrong = data.labels[(data.labels < 0) | (data.labels >= classes)]
    if wrong.size:
        raise UserError(f"{where}: labels: got {wrong[0]}, expected 0 to {classes - 1}")


def _long(shape: tuple[int, ...]) -> list[int]:
    """The axes that are longer than 1."""
    return [size for size in shape if size != 1]


def first(data: OwnData, count: int, unit: str) -> OwnData:
    """The first `count` inputs, and what is expected of them.

    Raises:
        UserError: there are fewer.
    """
    if not 1 <= count <= len(data.inputs):
        raise UserError(f"{unit}: got {shown(count)}, expected 1 to {len(data.inputs)} of the data")
    return OwnData(**{key: array[:count] for key, array in data.arrays.items()})


def beginning(network: Network, data: OwnData, steps: int | None, default: int) -> OwnData:
    """The first steps of each sequence: `default` or all there are if `steps` is None.

    Where only the last step's output counts, a sequence is taken whole.

    Raises:
        UserError: sequences are shorter, or have to be taken whole.
    """
    length = data.inputs.shape[1]
    if "last_step" in (each.op for each in network.graph.host.after):
        if steps not in (None, length):
            raise UserError(
                f"steps: got {steps}, expected {length}: only the last step's output counts"
            )
        return data
    steps = min(default, length) if steps is None else steps
    if not 1 <= steps <= length:
        raise UserError(f"steps: got {shown(steps)}, expected 1 to {length} of the data")
    return OwnData(**{key: array[:, :steps] for key, array in data.arrays.items()})
