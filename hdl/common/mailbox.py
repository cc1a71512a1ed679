"""A one-place mailbox between two clock domains."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out


class Mailbox(wiring.Component):
    """Passes one token from a clock domain to another: a toggle handshake.

    The token guards data that is not synchronized: the giver writes the data, then pulses `put`,
    and keeps the data stable while `full` is 1. The taker reads the data while `available` is 1,
    then pulses `take`.

    Latency: each side's toggle passes two flip-flops, so `available` rises after `put`, and `full`
    falls after `take`, two to three clocks of the receiving domain later. Both domains must be
    reset together.

    Attributes:
        put: pulse of one clock in the giver's domain; only while `full` is 0.
        full: 1 from the clock after `put` until `take` has reached the giver's domain.
        available: 1 in the taker's domain until the clock after `take`.
        take: pulse of one clock in the taker's domain; only while `available` is 1.
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
