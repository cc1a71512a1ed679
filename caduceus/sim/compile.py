"""`caduceus.compile`: a network to a program, for a chip and its devices."""

import warnings
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from caduceus.compiler.losses import WeightLoss, lossy_columns, lowered_gmax
from caduceus.compiler.network import compile_network, scaling_of
from caduceus.data.inputs import sample as sample_of
from caduceus.devices.settings import Devices
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network
from caduceus.spec.program import Program


def compile(
    network: Network,
    chip: Chip,
    read_mode: ReadMode | str = ReadMode.FOUR_PHASE,
    *,
    devices: Devices | None = None,
    replicas: Mapping[str, int] | Literal["auto"] | None = None,
    sample: NDArray[np.int8] | None = None,
    per_core: bool = False,
) -> Program:
    """Map a network to a chip: the program that golden model, RTL and boards run.

    >>> network = caduceus.Network.find("resnet_tiny")
    >>> program = caduceus.compile(network, caduceus.Chip.find("tiny"), read_mode="1-phase")
    >>> print(program.network, len(program.tiles))
    resnet_tiny 4

    Args:
        network: of any kind.
        chip: the chip description.
        read_mode: of every tile: `1-phase` (one signed read) or `4-phase` (one read per pair of
            signs: slower, more exact).
        devices: of the arrays; they limit the cell codes.
        replicas: by layer, number of tile groups that take turns at its results; `auto` uses the
            tiles that are left over. For networks of feature maps.
        sample: typical inputs, int8, from which a host computes read noise and calibrates
            converters; the first inputs of the network's data set if None.
        per_core: whether a layer's columns share the largest weight, as published. By default each
            column has its own, unless the network's `scaling` says `core`.

    Warns:
        WeightLoss: columns of a layer lose more than 1 % of their weights' energy to rounding.

    Raises:
        UserError: the network does not fit the chip, a constant does not fit binary16, the program
            could deadlock, the replicas or the sample do not fit, or the read mode is unknown.
    """
    program = compiled(
        network, chip, read_mode,
        devices=devices, replicas=replicas, sample=sample, per_core=per_core,
    )  # fmt: skip
    scaling = scaling_of(network, program.largest_code, per_core=program.per_core)
    for sentence in lossy_columns(network, chip, scaling):
        warnings.warn(sentence, WeightLoss, stacklevel=2)
    return program


def notes(network: Network, chip: Chip, program: Program) -> list[str]:
    """Sentences on the loss of weights: a lowered `gmax`, and columns as in `WeightLoss`.

    Args:
        network: the compiled network.
        chip: the chip description.
        program: of the network.
    """
    scaling = scaling_of(network, program.largest_code, per_core=program.per_core)
    lowered = lowered_gmax(network, scaling)
    lossy = lossy_columns(network, chip, scaling)
    return [*([lowered] if lowered else []), *lossy]


def compiled(
    network: Network,
    chip: Chip,
    read_mode: ReadMode | str = ReadMode.FOUR_PHASE,
    *,
    devices: Devices | None = None,
    replicas: Mapping[str, int] | Literal["auto"] | None = None,
    sample: NDArray[np.int8] | None = None,
    per_core: bool = False,
) -> Program:
    """As `compile`, without warnings, for callers that show `notes`."""
    modes = [str(mode) for mode in ReadMode]
    if read_mode not in modes:
        raise UserError(f"read_mode: got '{read_mode}', expected one of {', '.join(modes)}")
    return compile_network(
        network, chip, ReadMode(read_mode), replicas,
        largest_code=Devices.given(devices).settings.largest_code,
        sample=sample_of(network) if sample is None else sample,
        per_core=per_core,
    )  # fmt: skip
