"""A credit counter."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.spec.errors import UserError


class CreditCounter(wiring.Component):
    """Counts the credits of a buffer of `limit` places, for items in flight to it and in it.

    Latency: a `take` or `give` shows in `used` and `available` in the next clock.

    Attributes (domain `sync`):
        take: takes a credit as an item departs for the buffer; only while `available` is 1.
        give: returns a credit as an item leaves the buffer; only while `used` is not 0, or together
            with its own `take`.
        available: at least one credit is left.
        used: credits taken and not returned before this clock.

    Raises:
        UserError: `limit` is not at least 1.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise UserError(f"CreditCounter: limit: got {limit}, expected 1 or more")
        self._limit = limit
        super().__init__(
            {"take": In(1), "give": In(1), "available": Out(1), "used": Out(range(limit + 1))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.available.eq(self.used < self._limit)
        m.d.sync += self.used.eq(self.used + self.take - self.give)
        return m
