"""Packets as bytes and as beats: the one place where they are put together and taken apart.

The format is in `caduceus.spec.fabric`. A stream has `units` bytes per beat, the packet's first one
lowest.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.errors import UserError

_BINARY16 = np.dtype("<u2")
"""A binary16 value in a packet: the low byte first."""

Values = NDArray[np.int8] | NDArray[np.uint16]
"""INT8, or binary16 bits."""


class Beat(NamedTuple):
    """A beat of a stream.

    Attributes:
        data: its bytes, the first one lowest.
        keep: which of them are valid, one bit each.
        last: 1 if the packet ends with it.
    """

    data: int
    keep: int
    last: int


def to_bytes(values: Values) -> NDArray[np.int8]:
    """Values as bytes of a packet: INT8 unchanged, binary16 in two bytes; int8 [..., bytes]."""
    return values if values.dtype == np.int8 else values.astype(_BINARY16).view(np.int8)


def from_bytes(sent: NDArray[np.int8], binary16: bool) -> Values:
    """Values of a packet's bytes, [..., values]; INT8, or binary16 with `binary16`."""
    if not binary16:
        return sent
    return np.ascontiguousarray(sent).view(_BINARY16).astype(np.uint16)


def framed(stream: int, payload: NDArray[np.int8], units: int) -> NDArray[np.int8]:
    """Packets of a stream: int8 [..., length] with a beat for the preamble in front."""
    preamble = np.zeros((*payload.shape[:-1], units), dtype=np.uint8)
    preamble[..., 0] = stream
    return np.concatenate([preamble.view(np.int8), payload], axis=-1)


def unframed(packet: bytes, units: int) -> tuple[int, NDArray[np.int8]]:
    """Stream and payload of a packet.

    Raises:
        UserError: it is shorter than a preamble.
    """
    if len(packet) < units:
        raise UserError(f"packet: got {len(packet)} bytes, expected at least its preamble")
    return packet[0], np.frombuffer(packet[units:], dtype=np.int8)


def beat_count(length: int, units: int) -> int:
    """Beats that `length` bytes take."""
    return -(-length // units)


def marks(length: int, units: int) -> list[tuple[int, int]]:
    """`keep` and `last` of every beat of `length` bytes."""
    count = beat_count(length, units)
    rest = length - (count - 1) * units
    return ([((1 << units) - 1, 0)] * (count - 1) + [((1 << rest) - 1, 1)])[:count]


def beats(sent: bytes, units: int, fill: Callable[[int], bytes] = bytes) -> list[Beat]:
    """Bytes as beats; `fill` makes so many bytes behind the end, which do not count."""
    whole = sent + fill(-len(sent) % units)
    return [
        Beat(int.from_bytes(whole[beat * units :][:units], "little"), keep, last)
        for beat, (keep, last) in enumerate(marks(len(sent), units))
    ]
