"""A round-robin arbiter for requests that need several resources at once."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.spec.errors import UserError


class Arbiter(wiring.Component):
    """Grants at most one request per clock: all of its resources, or none.

    Fairness: round robin. One requester has the turn, and its resources are reserved: it is granted
    as soon as all of them are free, and no request that shares a resource with it is granted
    before. Otherwise the first request after the turn is granted whose resources are free and not
    reserved. The turn moves on when its holder is granted or has no request. A pending request is
    therefore granted within `requesters` turns, provided that held resources are released: no
    requester starves. (Our choice; the paper does not define the arbitration.)

    A requester keeps `wanted` stable until its grant. It may also withdraw the request; that delays
    no other request. From the clock after the grant, the logic that drives `free` shows the
    resources as held.

    Latency: none; `grant` is combinational.

    Attributes (domain `sync`):
        wanted: per requester, a mask of the requested resources; 0: no request.
        free: mask of the resources that are not held.
        grant: one-hot or 0, one bit per requester, in the clock of the request.

    Raises:
        UserError: less than one requester or one resource.
    """

    def __init__(self, requesters: int, resources: int) -> None:
        for name, count in (("requesters", requesters), ("resources", resources)):
            if count < 1:
                raise UserError(f"Arbiter: {name}: got {count}, expected 1 or more")
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
        held = Signal()  # the holder of the turn has a request
        for i in range(count):
            with m.If(turn[i]):
                m.d.comb += [reserved.eq(self.wanted[i]), held.eq(self.wanted[i].any())]

        # Not the holder of the turn: its own request reserves what it wants.
        fits = Signal(count)
        taken = ~self.free | reserved
        holder_fits = held & ~(reserved & ~self.free).any()
        for i, wanted in enumerate(self.wanted):
            other_fits = wanted.any() & ~(wanted & taken).any()
            m.d.comb += fits[i].eq(other_fits | (turn[i] & holder_fits))

        # The first fitting request at or after the turn, with wrap-around: the lowest set bit at or
        # above the turn in the doubled vector.
        twice = Cat(fits, fits)
        first = Signal(2 * count)
        m.d.comb += [
            first.eq(twice & ~(twice - turn)),
            self.grant.eq(first[:count] | first[count:]),
        ]

        # If the holder of the turn fits, it is the first.
        with m.If(~held | holder_fits):
            m.d.sync += turn.eq(turn.rotate_left(1))
        return m
