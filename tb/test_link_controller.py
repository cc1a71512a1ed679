"""Link controller: packets from every source to every sink, against a reference on bytes.

It also covers the controller's submodules: `LinkSource`, `PayloadSlice`, `PreambleInserter` and
`RouteTable`. Arbiter and buffers have benches of their own.
"""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cocotb

from caduceus.hdl.common.verilog import write
from caduceus.spec import fabric
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.link_bench import EMPTY, EVERY_PART, LONG, UNKNOWN, Route, Testbed, altered
from tb.link_traffic import Traffic
from tb.link_wires import Wires

LATENCY = 3
"""Clocks from the preamble's arrival to its departure."""
PHASE = 500
"""Packets between two changes of the routes."""


def _prepare(variant: Variant, folder: Path) -> Design:
    component = Wires(sized(variant.parameters))
    return Design([write(component, "links", folder / "links.v")], "links")


BENCH = Bench(
    name="link_controller",
    covers=(
        "link_controller", "link_source", "payload_slice", "preamble_inserter", "route_table",
    ),
    variants=(
        Variant("units1", {"chip": "tiny", "packets": 300}, ("verilator",)),
        Variant("units1", {"chip": "tiny", "packets": 500}, ("icarus",), regress=True),
        Variant("units4", {"chip": "tiny", "lanes": 4, "packets": 200}, ("verilator",)),
        Variant("hermes", {"chip": "hermes", "packets": 1000}, ("verilator",), regress=True),
        Variant("hermes_wide", {"chip": "hermes_wide", "packets": 1000}, ("verilator",),
                regress=True),
        Variant("long", {"chip": "tiny", "lanes": 4, "packets": 30_000}, ("verilator",),
                regress=True),
    ),
    prepare=_prepare,
)  # fmt: skip


@cocotb.test(timeout_time=100, timeout_unit="ms")
@cocotb.parametrize(pressure=["none", "sources", "sinks", "both"])
async def anything(dut: Any, pressure: str) -> None:
    """Random packets and routes, with pauses on all streams: each arrives whole and in order."""
    bed = Testbed(dut)
    await bed.start()
    traffic, sent = Traffic(bed), 0
    await traffic.change(fabric.STREAMS // 2)
    while sent < benches.current()["packets"]:
        if pressure in ("sources", "both"):
            bed.offered = [bed.random.choice((0.05, 0.3, 0.8, 1.0)) for _ in bed.offered]
        if pressure in ("sinks", "both"):
            bed.readiness = [bed.random.choice((0.2, 0.5, 0.9, 1.0)) for _ in bed.readiness]
            # Room comes and goes, also while a packet waits for its turn.
            bed.room = bed.rx_room = lambda: bed.random.getrandbits(fabric.PARTS)
        await traffic.run(min(PHASE, benches.current()["packets"]))
        sent += PHASE
        await traffic.change(40)
    assert all(bed.begins), "a source sent no packet"
    assert all(bed.ends), "a sink got no packet"
    assert bed.reported > sent // 50, "too few errors"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def slices(dut: Any) -> None:
    """Every small slice of every small payload: inside, across its end, behind it, and empty."""
    bed = Testbed(dut)
    await bed.start()
    units = bed.units
    names = fabric.sinks(bed.chip)
    both = frozenset({names.index(fabric.INPUT), names.index(fabric.RX)})
    sinks = [frozenset({sink}) for sink in sorted(both)] + [both, both | {0}]
    slices = [(start, length) for start in (0, units, 3 * units)
              for length in (0, 1, units, 2 * units - 1, 2 * units + 1)]  # fmt: skip
    stream = 0
    for start, length in slices:
        for chosen in sinks:
            await bed.enter(stream, Route(chosen, start, length))
            stream += 1
    await bed.enter(stream, Route(both, 0, bed.most))
    await bed.enter(stream + 1, Route(both, bed.most - units, units))
    for payload in range(1, 5 * units + 2):
        for number in range(stream):
            bed.send(0, bed.packet(0, number, payload))
    for number in (stream, stream + 1):
        bed.send(0, bed.packet(0, number, bed.most))
    await bed.finish()
    assert bed.reported, "no slice was empty"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def latency_and_rate(dut: Any) -> None:
    """From any source to any sink: `LATENCY`, one beat per clock, one clock between packets."""
    bed = Testbed(dut)
    await bed.start()
    beats, count = 7, 5
    for sink in range(bed.sinks):
        await bed.enter(sink, Route(frozenset({sink}), 0, bed.most))
    for source in range(bed.sources):
        for sink in range(bed.sinks):
            await bed.set_tx(sink)
            before = len(bed.ends[sink])
            for _ in range(count):
                bed.send(source, bed.packet(source, sink, beats * bed.units))
            await bed.finish()
            ends = [clock for clock, _ in bed.ends[sink][before:]]
            # The preamble of a result is inserted in the clock before its first beat is taken.
            began = bed.begins[source][-count] - (source == bed.sources - 1)
            assert ends[0] - began == LATENCY + beats, "latency differs"
            periods = {after - at for at, after in pairwise(ends)}
            assert periods == {2 + beats}, "not one beat per clock, and one clock between packets"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def contention(dut: Any) -> None:
    """All sources want the same sinks, all the time: each has its turn."""
    bed = Testbed(dut)
    await bed.start()
    names = fabric.sinks(bed.chip)
    for chosen in (
        {0},
        {names.index(fabric.HOST)},
        {names.index(fabric.INPUT), names.index(fabric.RX)},
        set(range(bed.sinks)),
    ):
        await bed.enter(1, Route(frozenset(chosen), 0, bed.most))
        await bed.set_tx(1)
        bed.feed = lambda source: bed.send(
            source, bed.packet(source, 1, bed.random.randrange(1, 20))
        )
        sink = min(chosen)
        before = len(bed.ends[sink])
        for _ in range(1500):
            await bed.step()
        order = [source for _, source in bed.ends[sink][before:]]
        await bed.finish()
        assert len(order) > 10 * bed.sources, "too few packets arrived"
        for at in range(0, len(order) - bed.sources, bed.sources):
            turn = order[at : at + bed.sources]
            assert sorted(turn) == list(range(bed.sources)), f"turns were {turn}"


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(lonely=[0, -1])
async def multicast_gets_through(dut: Any, lonely: int) -> None:
    """A source that wants every sink at once is served though all others keep one each busy."""
    bed = Testbed(dut)
    await bed.start()
    longest = 20
    everything = bed.sinks
    lonely %= bed.sources
    for sink in range(bed.sinks):
        await bed.enter(sink, Route(frozenset({sink}), 0, bed.most))
    everywhere = Route(frozenset(range(bed.sinks)), 0, bed.most)
    await bed.enter(everything, everywhere)
    await bed.set_tx(everything if lonely == bed.sources - 1 else bed.sinks - 1)

    def feed(source: int) -> None:
        stream = everything if source == lonely else source % bed.sinks
        length = bed.units * bed.random.randrange(1, longest)
        bed.send(source, bed.packet(source, stream, length))

    bed.feed = feed
    for _ in range(4000):
        await bed.step()
    begins = bed.begins
    await bed.finish()
    # Each of the others may go ahead once, and arbitration takes a clock or two.
    bound = bed.sources * (longest + 3)
    for source, clocks in enumerate(begins):
        waits = [after - at for at, after in pairwise(clocks)]
        assert max(waits) <= bound, f"source {source} waited {max(waits)} clocks"
    assert len(begins[lonely]) > 4000 // bound


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(what=["unknown", "empty", "endless", "blocked", "no_room", "no_turn"])
async def others_go_on(dut: Any, what: str) -> None:
    """Bad packets are discarded at once, blocked ones wait: the others keep their rate."""
    bed = Testbed(dut)
    await bed.start()
    names, beats, bad = fabric.sinks(bed.chip), 6, 0
    host, full, other = names.index(fabric.HOST), 5, 6
    refuses = what in ("no_room", "no_turn")
    local = frozenset({bed.reference.rx if what == "no_turn" else bed.reference.input})
    await bed.enter(1, Route(local if refuses else frozenset({0}), 0, bed.most, other))
    # A packet without room keeps no place for itself, the tile's or another's.
    sinks = local | {host, 0} if refuses else frozenset({host})
    await bed.enter(2, Route(sinks, 0, bed.most, full))
    bed.room = bed.rx_room = lambda: EVERY_PART & ~(1 << full)
    bed.readiness[host] = float(what == "endless")
    lengths = {"empty": 0, "endless": 10 * bed.most}

    def feed(source: int) -> None:
        if source == bad:
            stream = 3 if what == "unknown" else 2
            length = lengths.get(what, bed.most)
            bed.send(source, bed.packet(source, stream, length))
        elif source == 1:
            bed.send(source, bed.packet(source, 1, beats * bed.units))

    bed.feed = feed
    clocks = (10 if refuses else 50) * bed.most // bed.units
    for _ in range(clocks):
        await bed.step()
    ends = [clock for clock, _ in bed.ends[min(bed.reference.routes[1].sinks)]]
    assert len(ends) >= clocks // (beats + 2) - 2
    assert {b - a for a, b in pairwise(ends)} == {beats + 2}, "others waited"
    if what == "blocked" or refuses:
        assert len(bed.begins[bad]) == 1 and not bed.ends[host]
        assert what != "no_room" or bed.taken[full] == 1
    else:
        least = {"unknown": 40, "empty": clocks - 5, "endless": 4}[what]
        assert bed.reported >= least, "discarded slowly"
    bed.readiness[host] = 1.0
    bed.room = bed.rx_room = lambda: EVERY_PART
    await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def room_for_one(dut: Any) -> None:
    """Every source has packets of one part, with a free place now and then: one packet each."""
    bed = Testbed(dut)
    await bed.start()
    part, free = 3, 1
    await bed.enter(1, Route(frozenset({bed.reference.input}), 0, bed.most, part))
    await bed.set_tx(1)
    bed.room = lambda: EVERY_PART & ~(1 << part) | (free << part)
    bed.feed = lambda source: bed.send(source, bed.packet(source, 1, 2 * bed.units))
    for _ in range(60):
        while not dut.credit_take.value:
            await bed.step()
        free = 0  # from the next clock on; the bench would see a place taken nonetheless
        for _ in range(bed.random.randrange(3, 20)):
            await bed.step()
        free = 1
    assert len({source for _, source in bed.ends[bed.reference.input]}) == bed.sources
    await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def turns_at_rx(dut: Any) -> None:
    """Packets for RX come in turn, in any sending order; one without content used its turn."""
    bed = Testbed(dut)
    await bed.start()
    bed.exact = False
    random, start, rx = bed.random, 2 * bed.units, bed.reference.rx
    parts = min(bed.sources, fabric.PARTS)
    for part in range(parts):
        others = random.sample(range(bed.sinks), random.randrange(3))
        await bed.enter(part, Route(frozenset({rx, *others}), start, bed.most, part))
    await bed.enter(parts, Route(frozenset({0}), 0, bed.most))
    await bed.set_tx(min(bed.sources - 1, parts))
    bed.rx_room = lambda: 1 << bed.turns % parts
    content: list[list[bool]] = [[] for _ in range(parts)]

    def feed(source: int) -> None:
        stream = min(source, parts)
        length = random.choice((start, start + 1, random.randrange(1, 4 * start)))
        bed.send(source, bed.packet(source, stream, length))
        if stream < parts:
            content[stream].append(length > start)

    bed.feed = feed
    for _ in range(20):
        bed.offered = [random.choice((0.05, 0.3, 1.0)) for _ in bed.offered]
        for _ in range(200):
            await bed.step()
    bed.feed = None
    for part in range(parts):
        while len(content[part]) < max(map(len, content)):
            feed(part)
    await bed.finish()
    assert bed.turns == sum(map(len, content)) > 10 * parts
    expected = [part for turn in zip(*content, strict=True)
                for part, anything in enumerate(turn) if anything]  # fmt: skip
    assert bed.rx_parts == expected, f"turns were {bed.rx_parts}"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def all_are_wrong(dut: Any) -> None:
    """Errors at several sources at once: good packets arrive, each clock names one bad packet."""
    bed = Testbed(dut)
    await bed.start()
    traffic = Traffic(bed)
    bed.exact = False
    await traffic.change(60)
    await traffic.run(800)
    kinds = {kind for kind, _ in bed.errors}
    assert kinds == {UNKNOWN, EMPTY, LONG}
    assert bed.sources * bed.reported >= len(bed.errors) >= bed.reported > 100


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_midway(dut: Any) -> None:
    """A reset within packets clears them and the routes; then traffic runs again."""
    bed = Testbed(dut)
    await bed.start()
    for _ in range(15):
        traffic = Traffic(bed)
        await traffic.change(30)
        bed.readiness = [bed.random.choice((0.3, 1.0)) for _ in bed.readiness]
        bed.feed = traffic.feed
        for _ in range(bed.random.randrange(5, 60)):
            await bed.step()
        await bed.reset()
        bed.feed = None
        for _ in range(5):
            await bed.step()
            assert not dut.out_valid.value, "packet survived the reset"
        for stream in bed.random.sample(range(fabric.STREAMS), 5):
            bed.send(1, bed.packet(1, stream, 3))  # no routes: every stream is unknown
        await bed.finish()
        await traffic.change(30)
        await traffic.run(30)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(
    what=["bit", "stream", "order", "lost", "twice", "joined", "longer", "shorter",
          "sink", "start", "length", "part", "tx"]
)  # fmt: skip
async def the_check_can_fail(dut: Any, what: str) -> None:
    """One input differs between RTL and reference: the bench must see it."""
    bed = Testbed(dut)
    await bed.start()
    units, names = bed.units, fabric.sinks(bed.chip)
    route = Route(frozenset({0, names.index(fabric.INPUT)}), units, 2 * units)
    wrong = {
        "sink": replace(route, sinks=frozenset({1, names.index(fabric.INPUT)})),
        "start": replace(route, start=2 * units),
        "length": replace(route, length=2 * units - 1),
        "part": replace(route, part=1),
    }
    await bed.enter(7, route, instead=wrong.get(what))
    await bed.enter(8, route)
    await bed.set_tx(7, instead=8 if what == "tx" else None)
    packets = [bed.packet(1, 7, 5 * units) for _ in range(4)]
    one, two = packets[1:3]
    sent = {
        "bit": [altered(one, bed.random.randrange(5 * units * 5))],
        "stream": [replace(one, stream=8, first=bytes([8]) + one.first[1:])],
        "order": [two],
        "lost": [],
        "twice": [one, one],
        "joined": [replace(one, payload=one.payload + one.first + one.payload)],
        "longer": [replace(one, payload=one.payload + one.payload[:1])],
        "shorter": [replace(one, payload=one.payload[:-1])],
    }
    bed.send(1, packets[0])
    bed.send(1, one, sent.get(what))
    bed.send(1, two, [one] if what == "order" else None)
    bed.send(1, packets[3])
    bed.send(bed.sources - 1, bed.packet(bed.sources - 1, 7, 3 * units))
    try:
        await bed.finish()
    except AssertionError as error:
        dut._log.info("seen: %s", error)
        return
    raise RuntimeError(f"wrong {what} was not detected")
