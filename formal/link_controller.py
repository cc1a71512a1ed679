"""Proof of the packet switch: packets stay whole, none is lost or duplicated, all are served.

Beats carry their source, their position in the packet, and whether they are the last. The switch
has two streams, two parts of an input vector, three INT8 values per packet, and a few ports: it
treats all streams, links and parts alike, and longer packets only repeat middle beats.
"""

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal, Value
from amaranth.lib import data

from caduceus.hdl.fabric.link_controller import LinkController
from caduceus.hdl.fabric.link_sizes import LinkSizes
from caduceus.hdl.fabric.link_source import LinkSource
from caduceus.hdl.fabric.payload_slice import PayloadSlice
from caduceus.hdl.fabric.route_table import RouteTable
from caduceus.spec import fabric
from formal.harness import Harness
from formal.proof import Mutant, Proof

_STREAMS, _PARTS, _PAYLOAD = 2, 2, 3


def _sizes(sources: int, sinks: int) -> LinkSizes:
    """Sizes with this number of ports: the tile's own, the host, and further ones."""
    others = "west_1", fabric.GDPU, fabric.HOST
    return LinkSizes(
        units=1,
        sources=(*others, fabric.TX)[-sources:],
        sinks=(*others, fabric.INPUT, fabric.RX)[-sinks:],
        payload_max=_PAYLOAD,
        streams=_STREAMS,
        parts=_PARTS,
    )


_BEAT = data.StructLayout(
    {
        "mark": 1,  # the stream in a preamble, tlast in the payload
        "place": 3,  # 0 for a preamble
        "source": 3,
        "stream": 1,  # of its packet, in the payload
    }
)


def _tag(index: int, sources: int) -> int:
    """Number of a source in its beats; 0 for results, as in their preamble."""
    return (index + 1) % sources


class _Routes:
    """An arbitrary constant route table, written in the first clocks.

    Attributes:
        ready: the table is written.
    """

    def __init__(self, h: Harness, controller: Any, sinks: int) -> None:
        self.entries = [
            tuple(
                h.constant(f"{name}_{stream}", width)
                for name, width in (("mask", sinks), ("start", 2), ("length", 2), ("part", 1))
            )
            for stream in range(_STREAMS)
        ]
        # A lookup two clocks after an entry's write finds it.
        step = Signal(range(_STREAMS + 2))
        self.ready = step == _STREAMS + 1
        routes = controller.routes
        with h.m.If(~self.ready):
            h.m.d.sync += step.eq(step + 1)
            h.m.d.comb += [routes.write.eq(step < _STREAMS), routes.stream.eq(step)]
        entry = Mux(step == 0, Cat(*self.entries[0]), Cat(*self.entries[1]))
        h.m.d.comb += Cat(routes.mask, routes.start, routes.length, routes.part).eq(entry)

    def of(self, stream: Value) -> tuple[Value, ...]:
        """Mask, start, length and part for `stream`."""
        return tuple(Mux(stream, b, a) for a, b in zip(*self.entries, strict=True))


def _source(
    h: Harness, stream: Any, index: int, tag: int, results: Value | None, live: bool
) -> tuple[Signal, Value]:
    """Drive an input with arbitrary packets; return position and stream of the offered beat.

    For an input of bare `results`, these are the results' stream.
    """
    first = int(results is not None)
    valid, last = h.input(f"valid_{index}"), h.input(f"last_{index}")
    number = h.input(f"stream_{index}")
    begun = Signal(name=f"begun_{index}")  # stream of the packet whose preamble was accepted
    place = Signal(3, init=first, name=f"place_{index}")
    of = Mux(place == 0, number, begun) if results is None else results
    with h.m.If(valid & stream.tready):
        h.m.d.sync += begun.eq(of)
    beat = data.View(_BEAT, stream.tdata)
    h.m.d.comb += [
        stream.tvalid.eq(valid),
        stream.tkeep.eq(1),
        stream.tlast.eq(last),
        beat.mark.eq(Mux(place == 0, number, last)),
        beat.place.eq(place),
        beat.source.eq(tag),
        beat.stream.eq(of),
    ]
    with h.m.If(valid & stream.tready):
        h.m.d.sync += place.eq(Mux(last, first, place + 1))
    offered = h.past(valid & ~stream.tready)
    # At most one excess value, which the switch truncates.
    h.assume(f"ends_{index}", last | (place < _PAYLOAD + 1))
    h.assume(
        f"stable_{index}",
        ~offered | (valid & (last == h.past(last)) & (number == h.past(number))),
    )
    if live:
        h.assume(f"goes_on_{index}", valid | (place == first))
    return place, of


def _build(component: type, sizes: LinkSizes, within: int = 0) -> Harness:
    """A harness around a switch of `sizes`.

    With `within` 0, sources and sinks may stall at any time, for any number of clocks. Otherwise
    they do not stall within a packet, and `within` is the largest wait of an input.
    """
    h = Harness()
    h.m.submodules.dut = dut = component(sizes)
    sources, sinks = len(sizes.sources), len(sizes.sinks)
    to_input, to_rx = sizes.input, sizes.rx
    local = sizes.local
    routes = _Routes(h, dut, sinks)
    h.m.d.comb += dut.tx_stream.eq(h.constant("tx_stream"))
    # Arbitrary room.
    room = Const(-1, _PARTS) if within else h.input("room", _PARTS)
    h.m.d.comb += dut.credit.room.eq(room)
    in_turn = _turns(h, dut.rx_credit, routes, to_rx, bool(within))

    # Number of packets inside, per source and sink.
    enters: dict[tuple[int, int], Value] = {}
    for i, stream in enumerate(dut.inputs):
        results = i == sources - 1
        place, number = _source(
            h, stream, i, _tag(i, sources), dut.tx_stream if results else None, bool(within)
        )
        h.assume(f"starts_late_{i}", ~stream.tvalid | routes.ready)
        accepted = stream.tvalid & stream.tready
        if results:
            # The switch inserts the preamble as soon as a result is offered.
            starts = stream.tvalid & (place == 1) & ~h.past(stream.tvalid & ~stream.tready)
        else:
            starts = accepted & (place == 0) & ~stream.tlast
        mask, start, length, _ = routes.of(number)
        keeps = accepted & (place == start + 1) & (length != 0) & (start < _PAYLOAD)
        for o in range(sinks):
            enters[i, o] = mask[o] & (keeps if o in local else starts)
        if within:
            wait = Signal(range(within + 2), name=f"wait_{i}")
            waits = stream.tvalid & ~stream.tready
            h.m.d.sync += wait.eq(Mux(waits, Mux(wait <= within, wait + 1, wait), 0))
            h.prove(f"served_in_time_{i}", wait <= within)

    stable, whole, complete, doubled, lost = [], [], [], [], []
    for o, stream in enumerate(dut.outputs):
        ready = Const(1) if within else h.input(f"ready_{o}")
        h.m.d.comb += stream.tready.eq(ready)
        bits = Cat(stream.tdata, stream.tkeep, stream.tlast, dut.part if o == to_input else 0)
        offered = h.past(stream.tvalid & ~stream.tready)
        stable.append(~offered | (stream.tvalid & (bits == h.past(bits))))

        beat = data.View(_BEAT, stream.tdata)
        inside, owner, place = Signal(), Signal(2), Signal(3)
        taken = stream.tvalid & stream.tready
        with h.m.If(taken):
            h.m.d.sync += [inside.eq(~stream.tlast), owner.eq(beat.source), place.eq(beat.place)]
        follows = (beat.source == owner) & (beat.place == place + 1)
        whole.append(~stream.tvalid | ~inside | follows)
        if o in local:
            # Only beats in the slice of a route that leads here.
            number = [
                (
                    mask[o],
                    (beat.place > start)
                    & (beat.place <= start + length)
                    & (beat.place <= _PAYLOAD),
                )
                for mask, start, length, _ in routes.entries
            ]
            kept = reduce(or_, (leads & keeps for leads, keeps in number))
            complete.append(~stream.tvalid | kept)
        else:
            first = ~inside & (beat.place == 0) & ~stream.tlast
            later = inside & (stream.tlast == (beat.mark | (beat.place == _PAYLOAD)))
            complete.append(~stream.tvalid | first | later)
        if o == to_input:
            *_, part = routes.of(beat.stream)
            h.prove("part_belongs_to_packet", ~stream.tvalid | (dut.part == part))
            _places(h, dut.credit, taken & ~inside, dut)
        if o == to_rx:
            *_, part = routes.of(beat.stream)
            due = Signal(name="due")  # part of the next packet to RX
            with h.m.If(taken & ~inside):
                h.m.d.sync += due.eq(~due)
            h.prove("rx_in_turn", ~stream.tvalid | inside | ~in_turn | (part == due))
        for i in range(sources):
            count = Signal(3, name=f"between_{i}_{o}")
            leaves = taken & ~inside & (beat.source == _tag(i, sources))
            h.m.d.sync += count.eq(count + enters[i, o] - leaves)
            doubled.append(leaves & (count == 0))
            lost.append(~dut.busy & (count != 0))
    h.prove("stable_until_read", reduce(lambda a, b: a & b, stable))
    h.prove("packets_stay_whole", reduce(lambda a, b: a & b, whole))
    h.prove("first_to_last_beat", reduce(lambda a, b: a & b, complete))
    h.prove("no_packet_twice", ~reduce(or_, doubled))
    h.prove("no_packet_lost", ~reduce(or_, lost))
    return h


def _turns(h: Harness, credit: Any, routes: _Routes, to_rx: int, live: bool) -> Value:
    """Drive RX's room in sequence, or arbitrarily; return which of the two.

    In sequence, every packet has a byte in its slice: one without moves the sequence on unseen.
    """
    if live:
        h.m.d.comb += credit.room.eq(-1)
        return Const(0)
    in_turn = h.constant("in_turn")
    turn = Signal()
    h.m.d.sync += turn.eq(turn ^ credit.take)
    h.m.d.comb += credit.room.eq(Mux(in_turn, Const(1, _PARTS) << turn, h.input("rx_room", _PARTS)))
    for stream, (mask, start, length, _) in enumerate(routes.entries):
        whole = (start == 0) & (length != 0)
        h.assume(f"something_for_rx_{stream}", ~in_turn | ~mask[to_rx] | whole)
    return in_turn


def _places(h: Harness, credit: Any, comes: Value, dut: Any) -> None:
    """Each packet that `comes` takes a place, only with room, and returns it."""
    h.prove("room_before_input", ~credit.take | credit.room.bit_select(credit.take_part, 1))
    right = Const(1)
    for part in range(_PARTS):
        taken = Signal(3, name=f"taken_{part}")
        left = comes & (dut.part == part)
        takes = credit.take & (credit.take_part == part)
        drops = credit.drop & (credit.drop_part == part)
        h.m.d.sync += taken.eq(taken + takes - drops - left)
        right &= (taken >= left + drops) & (dut.busy | (taken == 0))
    h.prove("one_place_per_packet", right)


_SAFE = (
    Mutant(
        "has no buffers at its sinks",
        (
            "connect(m, buffer.output, flipped(self.outputs[index]))\n"
            "            sinks.append(buffer.input)",
            "sinks.append(self.outputs[index])",
        ),
        ("stable_until_read",),
    ),
    Mutant(
        "ignores held sinks",
        (
            "arbiter.free.eq(~_any(source.connection.hold for source in sources))",
            "arbiter.free.eq(~0)",
        ),
        ("packets_stay_whole",),
    ),
    Mutant(
        "passes the preamble to the tile",
        ("keeps.eq(~preamble & (skip == 0)", "keeps.eq((skip == 0)"),
        ("first_to_last_beat",),
        PayloadSlice,
    ),
    Mutant(
        "does not truncate packets",
        ("last = beat.tlast | kept.full", "last = beat.tlast"),
        ("first_to_last_beat",),
        LinkSource,
    ),
    Mutant(
        "ignores the readiness of the other branches",
        ("offered = Mux(blocked == 0, way.hold, Mux(single, blocked, 0))", "offered = way.hold"),
        ("no_packet_twice",),
        LinkSource,
    ),
    Mutant(
        "knows only the routes to the first sink",
        ("^ write.data.mask.any()", "^ write.data.mask[0]"),
        ("no_packet_lost",),
        RouteTable,
    ),
    Mutant(
        "ignores the readiness of its sinks",
        ("beat.tvalid & (blocked == 0)", "beat.tvalid"),
        ("packets_stay_whole",),
        LinkSource,
    ),
    Mutant(
        "ignores the room at INPUT",
        (
            "asks = head & known & ~beat.tlast & self._admitted(entry)",
            "asks = head & known & ~beat.tlast",
        ),
        ("room_before_input",),
        LinkSource,
    ),
    Mutant(
        "ignores the sequence at RX",
        (
            "((self._sizes.input, self.credit), (self._sizes.rx, self.rx_credit))",
            "((self._sizes.input, self.credit),)",
        ),
        ("rx_in_turn",),
        LinkSource,
    ),
    Mutant(
        "does not advance the sequence with a multicast",
        (
            "self.grant & entry.mask[self._sizes.rx]",
            "self.grant & (entry.mask == 1 << self._sizes.rx)",
        ),
        ("rx_in_turn",),
        LinkSource,
    ),
    Mutant(
        "does not return the places of empty packets",
        ("way.hold[to_input] & ends_empty", "0"),
        ("one_place_per_packet",),
        LinkSource,
    ),
    Mutant(
        "takes no place in a multicast",
        ("self.grant & entry.mask[to_input]", "self.grant & (entry.mask == 1 << to_input)"),
        ("one_place_per_packet",),
        LinkSource,
    ),
    Mutant(
        "shows the part of another packet than the one that moves",
        (
            'held("part")',
            "_chosen((s.connection.hold[index], s.lookup.entry.part) for s in sources)",
        ),
        ("part_belongs_to_packet",),
    ),
)
_LIVE = (
    Mutant(
        "never releases its sinks",
        ("[moving.eq(0), way.hold.eq(0)]", "[moving.eq(0)]"),
        ("served_in_time_0", "served_in_time_1"),
        LinkSource,
    ),
)

PROOFS = (
    Proof("switch 2x3", LinkController, lambda c: _build(c, _sizes(2, 3)), 13, 0, _SAFE),
    Proof("switch 4x5", LinkController, lambda c: _build(c, _sizes(4, 5)), 11),
    Proof(
        "switch 2x3, served",
        LinkController,
        lambda c: _build(c, _sizes(2, 3), within=14),
        22,
        0,
        _LIVE,
    ),
)
