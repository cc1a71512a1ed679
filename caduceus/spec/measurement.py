"""What a host's procedures ask of a tile: configurations, vectors, and a reference current.

A procedure is a generator: it yields one `Measurement` after the other, is sent each one's results,
and returns what it found out. Whoever drives it has a tile, golden or RTL; the procedure does not
know which, so both give the same.
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
"""Largest reference current, in units of charge a slot; the smallest used is its negative."""


@dataclass(frozen=True)
class Measurement:
    """MVMs to do, all with one configuration.

    Attributes:
        config: of the tile; results are INT8.
        x: int8 [n, config.rows], the input vectors.
        reference: the register REFERENCE. Other than 0, the values of `x` do not matter.
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
