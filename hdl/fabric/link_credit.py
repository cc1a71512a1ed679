"""Credit of the tile's own inputs: what a link controller may let in, and what it has let in."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.spec import fabric


class InputCredit(wiring.Signature):
    """Whether the tile has a place for a part of an input vector, as the link controller sees it.

    A packet that waited at INPUT for its place would keep INPUT from the packets that the vector
    still needs: so it asks for nothing as long as there is none. (Our choice.)

    Attributes:
        room: a bit a part: there is a place for one more packet of it.
        take, take_part: one clock, and of which part: a packet for INPUT has got its outputs.
        drop, drop_part: one clock, and of which part: such a packet had nothing in the tile's
            slice, so that its place stays empty.
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
    """Whose turn it is at the tile's RX, as the link controller sees it.

    RX vectors are added to results in the order of both, so that one which came before its turn
    would be added to another's. Like a packet to INPUT without a place, it asks for nothing until
    then. (Our choice.)

    Attributes:
        room: a bit a part: a packet of it has the turn.
        take: one clock: a packet for RX has got its outputs. It has had its turn even if it had
            nothing in the tile's slice.
    """

    def __init__(self, parts: int = fabric.PARTS) -> None:
        super().__init__({"room": In(parts), "take": Out(1)})
