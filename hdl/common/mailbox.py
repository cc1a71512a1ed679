"""A one-place mailbox between two clock domains."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out


class Mailbox(wiring.Component):
    """Hands one token from a domain to another, and its place back.

    The token guards data that stays where it is: the giver writes the data, then `put`s; it leaves
    the data alone while `full`. The taker reads the data while `available`, then `take`s.

    Each side keeps a toggle; the other sees it through two flip-flops, so `available` follows
    `put`, and `full` falls after `take`, two to three clocks of the seeing domain later. Both
    domains must be reset together.

    Attributes:
        put: one clock of the giver's domain; only while `full` is 0.
        full: from the clock after `put` until the taker's `take` has been seen.
        available: in the taker's domain, until the clock after `take`.
        take: one clock of the taker's domain; only while `available` is 1.
    """

    put: In(1)
    full: Out(1)
    available: Out(1)
    take: In(1)

    def __init__(self, *, giver: str, taker: str) -> None:
        self._giver = giver
        self._taker = taker
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        put, put_seen = Signal(), Signal()
        taken, taken_seen = Signal(), Signal()
        m.submodules.forward = FFSynchronizer(put, put_seen, o_domain=self._taker, reset_less=False)
        m.submodules.backward = FFSynchronizer(
            taken, taken_seen, o_domain=self._giver, reset_less=False
        )
        m.d[self._giver] += put.eq(put ^ self.put)
        m.d[self._taker] += taken.eq(taken ^ self.take)
        m.d.comb += [
            self.full.eq(put ^ taken_seen),
            self.available.eq(put_seen ^ taken),
        ]
        return m
