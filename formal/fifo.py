"""Proofs of the buffers: no word is lost or duplicated, and the order is kept.

The components are data-independent, so it is enough to follow two words, of any two values and at
any two positions of the stream (Wolper 1986, "Expressing interesting properties of programs in
propositional temporal logic").
"""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Array, Cat, Const, Mux, Signal, Value
from amaranth.lib.fifo import SyncFIFOBuffered

from caduceus.hdl.fabric.link_buffer import LinkBuffer
from caduceus.hdl.tile.tile import RESULT_DEPTH
from formal.harness import Harness
from formal.proof import Mutant, Proof


@dataclass(frozen=True)
class Ends:
    """A component's write and read ports: data, valid and ready of a stream each."""

    w_data: Value
    w_valid: Value
    w_ready: Value
    r_data: Value
    r_valid: Value
    r_ready: Value


@dataclass(frozen=True)
class _Flow:
    """State of the observed words: `written` in this clock, number of words `inside`.

    `came` and `left` have one bit for each of the two observed `words`.
    """

    written: Value
    inside: Value
    words: tuple[Value, Value]
    came: Value
    left: Value


def _build(component: Any, ends: Ends, depth: int, latency: int) -> tuple[Harness, _Flow]:
    """A harness around `component` with `depth` places and a latency of `latency` clocks.

    Reader and writer may stall at any time, for any number of clocks.
    """
    h = Harness()
    h.m.submodules.dut = component
    width = len(ends.w_data)
    word, write, read = h.input("word", width), h.input("write"), h.input("read")
    first, second = h.constant("first", width), h.constant("second", width)
    h.assume("two_words", first != second)
    h.m.d.comb += [ends.w_data.eq(word), ends.w_valid.eq(write), ends.r_ready.eq(read)]
    written, taken = ends.w_valid & ends.w_ready, ends.r_valid & ends.r_ready

    inside = Signal(range(depth + 3))
    h.m.d.sync += inside.eq(inside + written - taken)
    h.prove("never_overflows", inside <= depth)
    h.prove("no_word_when_empty", ~ends.r_valid | (inside != 0))
    h.prove("accepts_until_full", ends.w_ready | (inside >= depth))

    came, left = Signal(2), Signal(2)
    comes = Cat(written & (word == first), written & (word == second))
    leaves = Cat(taken & (ends.r_data == first), taken & (ends.r_data == second))
    h.m.d.sync += [came.eq(came | comes), left.eq(left | leaves)]
    h.assume("each_word_comes_once", (came & comes) == 0)
    h.assume("second_word_comes_second", ~comes[1] | came[0])
    h.prove("no_word_twice", (left & leaves) == 0)
    h.prove("no_word_before_its_write", (leaves & ~came) == 0)
    h.prove("order", ~leaves[1] | left[0])
    h.prove("no_loss", (inside != 0) | (came == left))

    # However long the reader stalls, a word arrives in time and stays stable until it is read.
    empty_for = Signal(range(latency + 2))
    with h.m.If(ends.r_valid | (inside == 0)):
        h.m.d.sync += empty_for.eq(0)
    with h.m.Elif(empty_for <= latency):
        h.m.d.sync += empty_for.eq(empty_for + 1)
    h.prove("arrives_in_time", ends.r_valid | (inside == 0) | (empty_for < latency - 1))
    offered = h.past(ends.r_valid & ~ends.r_ready)
    h.prove("stable_until_read", ~offered | (ends.r_valid & (ends.r_data == h.past(ends.r_data))))
    return h, _Flow(written, inside, (first, second), came, left)


def _know(h: Harness, flow: _Flow, places: list[tuple[Value, Value]]) -> None:
    """Lemmas about the two words in the `places` (occupied, word), oldest first."""
    for which in range(2):
        held = [occupied & (word == flow.words[which]) for occupied, word in places]
        inside = flow.came[which] & ~flow.left[which]
        h.lemma(f"held_once_{which}", sum(held, Const(0)) == inside)
        h.lemma(f"left_after_its_write_{which}", flow.came[which] | ~flow.left[which])
    h.lemma("written_in_order", flow.came[0] | ~flow.came[1])
    h.lemma("left_in_order", flow.left[0] | ~flow.left[1])
    second_seen = Const(0)
    in_order = Const(1)
    for occupied, word in places:
        in_order &= ~(occupied & (word == flow.words[0]) & second_seen)
        second_seen |= occupied & (word == flow.words[1])
    h.lemma("held_in_order", in_order)


def _fifo(component: type, depth: int) -> Harness:
    fifo = component(width=2, depth=depth)
    ends = Ends(fifo.w_data, fifo.w_en, fifo.w_rdy, fifo.r_data, fifo.r_rdy, fifo.r_en)
    h, flow = _build(fifo, ends, depth, latency=2)

    # Reference model of the ring behind the output register.
    size = depth - 1
    ring = [Signal(2, name=f"ring_{place}") for place in range(size)]
    produce, consume = Signal(range(size)), Signal(range(size))
    level = Signal(range(size + 1))
    moves_on = (level != 0) & (~ends.r_valid | ends.r_ready)
    for pointer, moves in ((produce, flow.written), (consume, moves_on)):
        with h.m.If(moves):
            h.m.d.sync += pointer.eq(Mux(pointer == size - 1, 0, pointer + 1))
    h.m.d.sync += level.eq(level + flow.written - moves_on)
    for place, word in enumerate(ring):
        with h.m.If(flow.written & (produce == place)):
            h.m.d.sync += word.eq(ends.w_data)
        h.equate(f"ring_{place}", word, f"dut.storage[{place}]")
    h.equate("produce", produce, "dut.produce")
    h.equate("consume", consume, "dut.consume")
    h.equate("level", level, "dut.inner_level")
    h.lemma("consume_is_inside", consume < size)
    h.lemma("produce_follows", produce == Mux(consume + level < size, 0, -size) + consume + level)
    h.lemma("level_is_inside", (level <= size) & (flow.inside == level + ends.r_valid))
    h.lemma("ring_waits_for_output", (level < size) | ends.r_valid)
    ordered = Array(ring)
    _know(
        h,
        flow,
        [
            (ends.r_valid, ends.r_data),
            *((level > k, ordered[(consume + k) % size]) for k in range(size)),
        ],
    )
    return h


def _link_buffer(component: type) -> Harness:
    buffer = component(1)
    w, r = buffer.input, buffer.output
    ends = Ends(
        Cat(w.tdata, w.tkeep, w.tlast), w.tvalid, w.tready,
        Cat(r.tdata, r.tkeep, r.tlast), r.tvalid, r.tready,
    )  # fmt: skip
    h, flow = _build(buffer, ends, 2, latency=1)

    # The second place.
    waits, waiting = Signal(), Signal(len(ends.w_data))
    stuck = ends.r_valid & ~ends.r_ready
    h.m.d.sync += waits.eq(stuck & (waits | flow.written))
    with h.m.If(stuck & flow.written):
        h.m.d.sync += waiting.eq(ends.w_data)
    h.equate("waits", waits, "dut.waits")
    h.equate("waiting", waiting, "dut.waiting")
    h.lemma("waits_for_output", ends.r_valid | ~waits)
    h.lemma("inside_is_held", flow.inside == waits + ends.r_valid)
    _know(h, flow, [(ends.r_valid, ends.r_data), (waits, waiting)])

    # The look-ahead of the reader.
    h.prove(
        "next_data",
        ~(ends.r_valid & h.later) | (r.tdata == h.past(buffer.next_data)),
    )
    h.prove("empty", buffer.empty == (flow.inside == 0))
    h.prove("ready_stays", ~h.past(ends.w_ready & ~ends.w_valid) | ends.w_ready)
    return h


_FIFO_MUTANTS = (
    Mutant(
        "always writes",
        ("self.w_rdy.eq(inner_level != inner_depth)", "self.w_rdy.eq(1)"),
        ("never_overflows",),
    ),
    Mutant(
        "always reads",
        ("inner_r_rdy.eq(inner_level != 0)", "inner_r_rdy.eq(1)"),
        ("no_word_when_empty", "no_word_before_its_write"),
    ),
    Mutant(
        "never fills the last place",
        ("inner_level != inner_depth)", "inner_level != inner_depth - 1)"),
        ("accepts_until_full",),
    ),
    Mutant(
        "reads the same place again",
        ("consume.eq(_incr(consume, inner_depth))", "consume.eq(consume)"),
        ("no_word_twice", "no_loss"),
    ),
    Mutant(
        "reads every other place",
        ("_incr(consume, inner_depth)", "_incr(_incr(consume, inner_depth), inner_depth)"),
        ("order",),
    ),
    Mutant(
        "writes the same place again",
        ("produce.eq(_incr(produce, inner_depth))", "produce.eq(produce)"),
        ("no_loss",),
    ),
    Mutant(
        "keeps the last word",
        ("inner_r_rdy.eq(inner_level != 0)", "inner_r_rdy.eq(inner_level > 1)"),
        ("arrives_in_time",),
    ),
    Mutant(
        "ignores the reader's ready",
        ("inner_r_rdy & (~self.r_rdy | self.r_en)", "inner_r_rdy"),
        ("stable_until_read", "no_loss"),
    ),
)
_LINK_MUTANTS = (
    Mutant(
        "is always ready",
        ("source.tready.eq(~waits)", "source.tready.eq(1)"),
        ("never_overflows", "no_loss"),
    ),
    Mutant(
        "is always valid",
        ("sink.tvalid.eq(waits | arrives)", "sink.tvalid.eq(1)"),
        ("no_word_when_empty", "no_word_before_its_write"),
    ),
    Mutant(
        "is ready with its reader",
        ("source.tready.eq(~waits)", "source.tready.eq(sink.tready)"),
        ("accepts_until_full", "ready_stays"),
    ),
    Mutant(
        "takes the arriving beat in place of the waiting one",
        ("held.eq(Mux(waits, waiting, beat))", "held.eq(beat)"),
        ("order", "no_word_twice"),
    ),
    Mutant(
        "loses the waiting word",
        ("sink.tvalid.eq(waits | arrives)", "sink.tvalid.eq(arrives)"),
        ("arrives_in_time",),
    ),
    Mutant(
        "ignores the reader's ready",
        ("advance = ~sink.tvalid | sink.tready", "advance = sink.tvalid | ~sink.tvalid"),
        ("stable_until_read",),
    ),
    Mutant(
        "looks ahead past the waiting word",
        ("Mux(waits, waiting[: len(sink.tdata)], source.tdata)", "source.tdata"),
        ("next_data",),
    ),
    Mutant(
        "is empty while a word is offered",
        ("self.empty.eq(~sink.tvalid)", "self.empty.eq(~waits)"),
        ("empty",),
    ),
)

PROOFS = (
    Proof("FIFO of 4", SyncFIFOBuffered, lambda c: _fifo(c, 4), 12, 1, _FIFO_MUTANTS, quick=True),
    Proof("tile's FIFO", SyncFIFOBuffered, lambda c: _fifo(c, RESULT_DEPTH), 4, 1),
    Proof("link buffer", LinkBuffer, _link_buffer, 12, 1, _LINK_MUTANTS, quick=True),
)
