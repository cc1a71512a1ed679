"""Credits of the tile's own inputs, which a link controller takes as it admits packets."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.spec import fabric


class InputCredit(wiring.Signature):
    """Credits of INPUT, one set per part of an input vector, from the link controller's side.

    A packet that waited at INPUT for a buffer place would block the packets that complete the
    vector. So a packet requests its sinks only once its part has room. (Our choice.)

    Attributes:
        room: one bit per part: INPUT has a place for one more packet of that part.
        take, take_part: pulse of one clock, and the part: a packet for INPUT was granted its sinks
            and takes a place.
        drop, drop_part: pulse of one clock, and the part: a granted packet had no byte in the
            tile's slice and returns its place.
    """

    def __init__(self, parts: int = fabric.PARTS) -> None:
        super().__init__(
            {
                "room": In(parts),
                "take": Out(1),
                "take_part": Out(range(parts)),
                "drop": Out(1),
                "drop_part": Out(range(parts)),
            }
        )


class RxCredit(wiring.Signature):
    """Sequence of the packets to RX, from the link controller's side.

    RX vectors are added to results in order of arrival; one out of sequence would be added to the
    wrong result. So a packet requests its sinks only when its part is next. (Our choice.)

    Attributes:
        room: one bit per part: a packet of that part is next in the sequence.
        take: pulse of one clock: a packet for RX was granted its sinks, and the sequence moves on,
            even if the packet has no byte in the tile's slice.
    """

    def __init__(self, parts: int = fabric.PARTS) -> None:
        super().__init__({"room": In(parts), "take": Out(1)})
