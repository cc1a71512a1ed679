"""Proof of the credit counter: it counts items in flight, up to its limit."""

from amaranth.hdl import Signal

from caduceus.hdl.common.credit_counter import CreditCounter
from formal.harness import Harness
from formal.proof import Mutant, Proof


def _build(component: type, limit: int) -> Harness:
    h = Harness()
    h.m.submodules.counter = counter = component(limit)
    take, give = h.input("take"), h.input("give")
    h.m.d.comb += [counter.take.eq(take), counter.give.eq(give)]

    flying = Signal(range(limit + 3))
    h.m.d.sync += flying.eq(flying + take - give)
    h.assume("take_if_available", ~take | counter.available)
    h.assume("give_after_take", ~give | (flying + take != 0))
    h.prove("never_more_than_limit", flying <= limit)
    h.prove("used_is_takes_minus_gives", counter.used == flying)
    h.prove("available_below_limit", counter.available == (flying < limit))
    return h


_MUTANTS = (
    Mutant(
        "gives one credit too many",
        ("self.used < self._limit", "self.used <= self._limit"),
        ("never_more_than_limit", "available_below_limit"),
    ),
    Mutant(
        "withholds one credit",
        ("self.used < self._limit", "self.used + 1 < self._limit"),
        ("available_below_limit",),
    ),
    Mutant(
        "misses a give together with a take",
        ("self.used + self.take - self.give", "self.used + self.take - (self.give & ~self.take)"),
        ("used_is_takes_minus_gives", "available_below_limit"),
    ),
)

PROOFS = (
    Proof("credit counter 5", CreditCounter, lambda c: _build(c, 5), 16, 1, _MUTANTS, quick=True),
    Proof("credit counter 1", CreditCounter, lambda c: _build(c, 1), 8, 1),
    Proof("credit counter 28", CreditCounter, lambda c: _build(c, 28), 40, 1),
)
