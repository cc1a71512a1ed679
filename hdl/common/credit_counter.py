"""A counter of places that are promised."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.spec.errors import UserError


class CreditCounter(wiring.Component):
    """Counts what is on its way into a buffer of `limit` places, or in it.

    Attributes (domain `sync`):
        take: something sets off; only while `available` is 1.
        give: something has left the buffer; only while `used`, or together with the `take` it is
            for.
        available: there is a place for one more.
        used: places taken and not given back, as of the clocks before this one.

    Raises:
        UserError: `limit` is not at least 1.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise UserError(f"CreditCounter with limit {limit}: it must be at least 1")
        self._limit = limit
        super().__init__(
            {"take": In(1), "give": In(1), "available": Out(1), "used": Out(range(limit + 1))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.available.eq(self.used < self._limit)
        m.d.sync += self.used.eq(self.used + self.take - self.give)
        return m
