"""Proof of the arbiter: one grant per clock, only free resources, and a bound on the wait."""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from amaranth.hdl import Mux, Signal, Value

from caduceus.hdl.fabric.arbiter import Arbiter
from formal.harness import Harness
from formal.proof import Mutant, Proof


def _build(component: type, requesters: int, resources: int) -> tuple[Harness, dict]:
    """Arbitrary requests and resources: the properties that hold unconditionally."""
    h = Harness()
    h.m.submodules.arbiter = arbiter = component(requesters, resources)
    wanted = [h.input(f"wanted_{i}", resources) for i in range(requesters)]
    free = Signal(resources)
    h.m.d.comb += arbiter.free.eq(free)
    h.m.d.comb += [arbiter.wanted[i].eq(wanted[i]) for i in range(requesters)]
    grant = arbiter.grant

    # The expected holder of the turn, as a number.
    turn = Signal(range(requesters))
    wanted_in_turn, granted_in_turn = Signal(resources), Signal()
    for i in range(requesters):
        with h.m.If(turn == i):
            h.m.d.comb += [wanted_in_turn.eq(wanted[i]), granted_in_turn.eq(grant[i])]
    moves = ~wanted_in_turn.any() | granted_in_turn
    with h.m.If(moves):
        h.m.d.sync += turn.eq(Mux(turn == requesters - 1, 0, turn + 1))
    position = Signal(requesters)
    h.m.d.comb += position.eq(1 << turn)
    h.lemma("turn_in_range", turn < requesters)
    h.equate("turn", position, "arbiter.turn")

    h.prove("one_grant", (grant & (grant - 1)) == 0)
    h.prove(
        "grants_only_free_resources",
        _all(~grant[i] | ((wanted[i] & ~free) == 0) for i in range(requesters)),
    )
    h.prove("grants_only_requests", _all(~grant[i] | wanted[i].any() for i in range(requesters)))
    h.prove(
        "reserves_for_the_turn",
        _all(
            ~grant[i] | (turn == i) | ((wanted[i] & wanted_in_turn) == 0) for i in range(requesters)
        ),
    )
    h.prove(
        "never_idles",  # a request without conflict causes a grant
        grant.any()
        | ~reduce(
            or_,
            (
                wanted[i].any()
                & ((wanted[i] & ~free) == 0)
                & ((turn == i) | ((wanted[i] & wanted_in_turn) == 0))
                for i in range(requesters)
            ),
        ),
    )
    return h, {
        "wanted": wanted,
        "free": free,
        "grant": grant,
        "turn": turn,
        "moves": moves,
        "wanted_in_turn": wanted_in_turn,
    }


def _all(conditions: Iterable[Value]) -> Value:
    return ~reduce(or_, (~condition for condition in conditions))


def _safe(component: type, requesters: int, resources: int) -> Harness:
    h, parts = _build(component, requesters, resources)
    h.m.d.comb += parts["free"].eq(h.input("free", resources))
    return h


def bound(requesters: int, hold: int) -> int:
    """Largest number of clocks that a request waits if resources are held at most `hold` clocks.

    A requester's turn lasts until its resources are free, plus the clock of its grant.
    """
    return requesters * (hold + 1) - 1


def live(component: type, requesters: int, resources: int, hold: int, within: int) -> Harness:
    """Requests stay until granted or withdrawn; granted resources are held for 1 to `hold` clocks.

    The wait of a withdrawn request starts again at 0.
    """
    h, parts = _build(component, requesters, resources)
    wanted, grant = parts["wanted"], parts["grant"]
    release = h.input("release", resources)
    held = Signal(resources)
    ages = [Signal(range(hold + 1), name=f"age_{r}") for r in range(resources)]
    taken = reduce(or_, (Mux(grant[i], wanted[i], 0) for i in range(requesters)))
    h.m.d.comb += parts["free"].eq(~held)
    h.m.d.sync += held.eq((held & ~release) | taken)
    for r, age in enumerate(ages):
        h.m.d.sync += age.eq(Mux(held[r] & ~release[r], age + 1, 0))
        h.assume(f"release_{r}", release[r] | ~held[r] | (age < hold - 1))
        h.lemma(f"age_{r}", (age < hold) & (held[r] | (age == 0)))
    waits = [Signal(range(within + 3), name=f"wait_{i}") for i in range(requesters)]
    for i, wait in enumerate(waits):
        waiting = wanted[i].any() & ~grant[i]
        was_waiting = h.past(waiting)
        withdrawn = wanted[i] == 0
        h.assume(f"stays_{i}", ~was_waiting | withdrawn | (wanted[i] == h.past(wanted[i])))
        h.m.d.sync += wait.eq(Mux(waiting, Mux(wait <= within, wait + 1, wait), 0))
        h.lemma(f"waiting_{i}", (wait == 0) | was_waiting)
    h.prove("served_in_time", _all(wait <= within for wait in waits))

    # Lemmas: a turn lasts at most `hold` clocks plus the grant's, and its resources are reserved.
    stay = Signal(range(hold + 3))
    h.m.d.sync += stay.eq(Mux(parts["moves"], 0, Mux(stay <= hold, stay + 1, stay)))
    h.lemma("turn_passes", stay <= hold)
    h.lemma(
        "turn_is_reserved",
        _all(~(held[r] & parts["wanted_in_turn"][r]) | (ages[r] >= stay) for r in range(resources)),
    )
    for i, wait in enumerate(waits):
        passed = Signal(range(requesters), name=f"passed_{i}")  # turns since the one of `i`
        turn = parts["turn"]
        h.m.d.comb += passed.eq(Mux(turn > i, turn - i - 1, turn + (requesters - 1 - i)))
        h.lemma(f"closer_{i}", wait <= passed * (hold + 1) + stay)
    return h


_SAFE = (
    Mutant(
        "ignores free resources",
        ("taken = ~self.free | reserved", "taken = reserved"),
        ("grants_only_free_resources",),
    ),
    Mutant(
        "grants if any requested resource is free",
        ("~(wanted & taken).any()", "~(wanted & taken).all()"),
        ("grants_only_free_resources", "reserves_for_the_turn"),
    ),
    Mutant(
        "grants all fitting requests",
        ("first.eq(twice & ~(twice - turn))", "first.eq(twice)"),
        ("one_grant",),
    ),
    Mutant(
        "grants requesters without request",
        ("other_fits = wanted.any() & ", "other_fits = "),
        ("grants_only_requests",),
    ),
    Mutant(
        "reserves nothing",
        ("taken = ~self.free | reserved", "taken = ~self.free"),
        ("reserves_for_the_turn",),
    ),
    Mutant(
        "ignores requesters before the turn",
        ("first[:count] | first[count:]", "first[:count]"),
        ("never_idles",),
    ),
)
_LIVE = (
    Mutant(
        "reserves nothing",
        ("taken = ~self.free | reserved", "taken = ~self.free"),
        ("served_in_time",),
    ),
    Mutant(
        "never moves the turn",
        ("turn.rotate_left(1)", "turn"),
        ("served_in_time",),
    ),
    Mutant(
        "keeps the turn at requesters without request",
        ("m.If(~held | holder_fits)", "m.If(holder_fits)"),
        ("served_in_time",),
    ),
)

PROOFS = (
    Proof("arbiter 3x2", Arbiter, lambda c: _safe(c, 3, 2), 12, 1, _SAFE, quick=True),
    Proof("arbiter 7x8", Arbiter, lambda c: _safe(c, 7, 8), 8, 1),
    Proof(
        "arbiter 3x2, held 3",
        Arbiter,
        lambda c: live(c, 3, 2, 3, bound(3, 3)),
        20,
        2,
        _LIVE,
        quick=True,
    ),
    Proof("arbiter 6x7, held 5", Arbiter, lambda c: live(c, 6, 7, 5, bound(6, 5)), 4, 2),
)
