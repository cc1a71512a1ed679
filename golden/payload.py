"""Results as the bytes of a packet, and back."""

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.program import TileConfig

_BINARY16 = np.dtype("<u2")
"""A binary16 value in a packet: the low byte first."""

Values = NDArray[np.int8] | NDArray[np.uint16]
"""INT8, or binary16 bits."""


def from_bytes(config: TileConfig, sent: NDArray[np.int8] | None) -> Values | None:
    """The RX vectors of a tile that bytes are, whose last axis is a packet."""
    if sent is None or not config.rx_binary16:
        return sent
    return np.ascontiguousarray(sent).view(_BINARY16).astype(np.uint16)


def to_bytes(values: Values) -> NDArray[np.int8]:
    """Results as they travel, int8 [..., bytes]."""
    return values if values.dtype == np.int8 else values.astype(_BINARY16).view(np.int8)
