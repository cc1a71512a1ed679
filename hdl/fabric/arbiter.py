"""A round-robin arbiter for requests that need several resources at once."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.spec.errors import UserError


class Arbiter(wiring.Component):
    """Grants at most one request a clock: all the resources it wants, or nothing.

    One requester has the turn. What it wants is reserved: it is granted as soon as all of it is
    free, and no request that shares a resource with it is granted before. Of the others, the first
    after the turn that fits into what is left goes ahead. The turn moves to the next requester when
    its holder is granted or wants nothing. So a request that stays is granted once the resources
    that it wants come free again and again: nobody starves. (Our choice; the paper does not say.)

    A requester keeps what it wants unchanged until granted, or wants nothing any more, which
    nobody else waits longer for. It holds the resources from the next
    clock on, by way of whoever drives `free`.

    Attributes (domain `sync`):
        wanted: for each requester, a bit for each resource; 0 for no request.
        free: a bit for each resource that nobody holds.
        grant: a bit for each requester, in the same clock; never more than one is set.

    Raises:
        UserError: not at least one requester and one resource.
    """

    def __init__(self, requesters: int, resources: int) -> None:
        if requesters < 1 or resources < 1:
            raise UserError(
                f"Arbiter for {requesters} requesters and {resources} resources: "
                "both must be at least 1"
            )
        self._requesters = requesters
        super().__init__(
            {
                "wanted": In(resources).array(requesters),
                "free": In(resources),
                "grant": Out(requesters),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = self._requesters
        turn = Signal(count, init=1)

        reserved = Signal.like(self.free)
        held = Signal()  # by a request, so that the turn stays
        for i in range(count):
            with m.If(turn[i]):
                m.d.comb += [reserved.eq(self.wanted[i]), held.eq(self.wanted[i].any())]

        fits = Signal(count)
        for i, wanted in enumerate(self.wanted):
            taken = ~self.free | Mux(turn[i], 0, reserved)
            m.d.comb += fits[i].eq(wanted.any() & ~(wanted & taken).any())

        # The lowest set bit at or after the turn, or else the lowest of all: in twice the requests,
        # the lowest bit that is not below the turn.
        twice = Cat(fits, fits)
        first = Signal(2 * count)
        m.d.comb += [
            first.eq(twice & ~(twice - turn)),
            self.grant.eq(first[:count] | first[count:]),
        ]

        # Who has the turn is the first, if it fits at all.
        with m.If(~held | (turn & fits).any()):
            m.d.sync += turn.eq(turn.rotate_left(1))
        return m
