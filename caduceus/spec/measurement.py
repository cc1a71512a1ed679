"""Measurements of a host's procedures on a tile: configuration, vectors, reference current.

A procedure is a generator: it yields `Measurement`s, is sent the results of each, and returns its
finding. Its caller runs them on a tile, golden or RTL; the procedure is the same for both.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import formats
from caduceus.spec.errors import UserError
from caduceus.spec.program import TileConfig

Found = TypeVar("Found")

REFERENCE_MAX = (1 << formats.REFERENCE_BITS - 1) - 1
"""Largest reference current, in units of charge per slot; the smallest used is its negative."""


@dataclass(frozen=True)
class Measurement:
    """MVMs to do, all with one configuration.

    Attributes:
        config: of the tile; results are INT8.
        x: int8 [n, config.rows], the input vectors.
        reference: the register REFERENCE. If it is not 0, the values of `x` have no effect.
    """

    config: TileConfig
    x: NDArray[np.int8]
    reference: int = 0

    def __post_init__(self) -> None:
        if abs(self.reference) > REFERENCE_MAX:
            raise UserError(
                f"reference current: got {self.reference}, expected {-REFERENCE_MAX} to "
                f"{REFERENCE_MAX}"
            )


HostProcedure = Generator[Measurement, NDArray[np.int8], Found]
"""Yields measurements, is sent results int8 [n, config.columns], returns what was found."""
