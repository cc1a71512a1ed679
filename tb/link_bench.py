"""Bench of the link controller: packets, and a reference model of their routing.

The reference follows `spec.fabric` and the controller's docstring: a packet is a Python `bytes`,
and a route slices and copies it.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.packets import beats
from tb import benches
from tb.chips import sized

CLOCK_NS = 2
SOURCE_SHIFT = 4
"""Payload values carry their source's number from this bit on."""
PATIENCE = 5000
"""Clocks without a beat before the controller counts as hung."""

EVERY_PART = (1 << fabric.PARTS) - 1
Arrivals = dict[int, tuple[bytes, int]]
"""Packets by sink, with their part numbers."""

UNKNOWN, EMPTY, LONG = "unknown", "empty", "too_long"
"""Errors, by the ports that report them."""


@dataclass(frozen=True)
class Packet:
    """Packet of a source: its first beat (TX sends none) and the payload."""

    stream: int
    first: bytes
    payload: bytes


@dataclass(frozen=True)
class Route:
    """A table entry: sink numbers, the slice, and the part of the input vector."""

    sinks: frozenset[int]
    start: int
    length: int
    part: int = 0


class Reference:
    """Reference model of the routing.

    Attributes:
        routes: by stream; other streams have no entry.
    """

    def __init__(self, chip: Chip) -> None:
        names = fabric.sinks(chip)
        self._most = fabric.payload_max(chip)
        self.input, self.rx = names.index(fabric.INPUT), names.index(fabric.RX)
        self.local = frozenset((self.input, self.rx))
        self.routes: dict[int, Route] = {}

    def deliveries(self, packet: Packet) -> tuple[dict[int, bytes], list[str]]:
        """Arriving packets by sink, and the reported errors."""
        route = self.routes.get(packet.stream)
        if route is None:
            return {}, [UNKNOWN]
        if not packet.payload:
            return {}, [EMPTY]
        payload = packet.payload[: self._most]
        kept = payload[route.start : route.start + route.length]
        arrives = {sink: packet.first + payload for sink in route.sinks - self.local}
        if kept:
            arrives |= dict.fromkeys(route.sinks & self.local, kept)
        errors = [EMPTY] if route.sinks & self.local and not kept else []
        return arrives, errors + [LONG] * (len(packet.payload) > self._most)

    def places(self, packet: Packet) -> tuple[int, bool] | None:
        """The part that takes a place, and whether the place is returned; None if none is taken."""
        route = self.routes.get(packet.stream)
        if route is None or self.input not in route.sinks or not packet.payload:
            return None
        return route.part, self.input not in self.deliveries(packet)[0]

    def has_turn(self, packet: Packet) -> bool:
        """Whether the packet is for RX, even without content for the tile."""
        route = self.routes.get(packet.stream)
        return route is not None and self.rx in route.sinks and bool(packet.payload)


class Testbed:
    """Drives every source and sink; monitors every clock.

    Attributes:
        most: maximum number of bytes in a packet.
        reference: the reference model; `enter` writes routes to it and to the RTL.
        offered, readiness: by source and by sink, share of clocks with a beat and with room.
        room, rx_room: draw the parts with room at INPUT, and at RX, one bit each, in every clock.
        feed: called for an idle source; may call `send`.
        tx_stream: preamble of the last source.
        expected: packets by sink and source that have not arrived.
        errors: kind and stream of the expected errors, in order.
        exact: only one source at a time sends errors, so that `errors` arrive one by one;
            otherwise reports may coincide, and only `reported` counts their clocks.
        ends: by sink, the clock in which each packet ended, and its source.
        begins: by source, the clocks in which packets began.
        turns: packets that got RX.
        rx_parts: parts of the packets that arrived at RX.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.chip = sized(benches.current())
        self.units, self.most = self.chip.link.units, fabric.payload_max(self.chip)
        self.random = Random(int(benches.generator().integers(1 << 62)))
        self.sources, self.sinks = len(fabric.sources(self.chip)), len(fabric.sinks(self.chip))
        self.offered, self.readiness = [1.0] * self.sources, [1.0] * self.sinks
        self.room: Callable[[], int] = lambda: EVERY_PART
        self.rx_room: Callable[[], int] = lambda: EVERY_PART
        self.feed: Callable[[int], None] | None = None
        self.edge = RisingEdge(dut.clk)
        self.width = 9 * self.units + 1
        self._forget()

    def _forget(self) -> None:
        self.reference = Reference(self.chip)
        self.tx_stream = 0
        self.expected = [[deque() for _ in range(self.sources)] for _ in range(self.sinks)]
        self.waiting = 0  # of `expected`, in total
        self.errors: deque[tuple[str, int]] = deque()
        self.error_stream = 0
        self.exact, self.reported = True, 0
        self.ends: list[list[tuple[int, int]]] = [[] for _ in range(self.sinks)]
        self.begins: list[list[int]] = [[] for _ in range(self.sources)]
        self.clock = self.moved = 0
        self.queues: list[deque] = [deque() for _ in range(self.sources)]
        self.valid = self.ready = 0
        self.words = [0] * self.sources
        self.coming = [bytearray() for _ in range(self.sinks)]
        self.stalled: dict[int, tuple[int, int]] = {}
        self.coming_part: int | None = None
        self.roomy = self.rx_roomy = EVERY_PART
        self.turns, self.awaited_turns = 0, 0
        self.rx_parts: list[int] = []
        self.taken, self.dropped = Counter(), Counter()  # places, by part

    async def start(self) -> None:
        """Start the clock, and reset."""
        await Timer(CLOCK_NS, "ns")
        Clock(self.dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        await self.reset()

    async def reset(self) -> None:
        """Reset, without routes."""
        dut = self.dut
        for name in ("in_valid", "in_beats", "out_ready", "tx_stream", "route_write"):
            getattr(dut, name).value = 0
        for name in ("stream", "mask", "start", "length", "part"):
            getattr(dut, f"route_{name}").value = 0
        dut.credit_room.value = dut.rx_credit_room.value = EVERY_PART
        dut.rst.value = 1
        await self.edge
        await self.edge
        dut.rst.value = 0
        self._forget()

    async def enter(self, stream: int, route: Route | None, instead: Route | None = None) -> None:
        """Write a route, or delete it; the RTL gets `instead`, if given."""
        dut = self.dut
        if route:
            self.reference.routes[stream] = route
        else:
            self.reference.routes.pop(stream, None)
        written = instead or route or Route(frozenset(), 0, 0)
        dut.route_write.value = 1
        dut.route_stream.value = stream
        dut.route_mask.value = sum(1 << sink for sink in written.sinks)
        dut.route_start.value, dut.route_length.value = written.start, written.length
        dut.route_part.value = written.part
        await self.step()
        dut.route_write.value = 0
        await self.step()  # written one clock later

    async def set_tx(self, stream: int, instead: int | None = None) -> None:
        """Set the preamble of results; the RTL may get another one."""
        self.tx_stream = stream
        self.dut.tx_stream.value = stream if instead is None else instead
        await self.step()

    def packet(self, source: int, stream: int, length: int) -> Packet:
        """A packet with random values that carry their source's number."""
        upper = bytes(self.units - 1)
        if source == self.sources - 1:
            stream = self.tx_stream
        else:
            upper = self.random.randbytes(self.units - 1)
        payload = bytes(
            source << SOURCE_SHIFT | self.random.getrandbits(SOURCE_SHIFT) for _ in range(length)
        )
        return Packet(stream, bytes([stream]) + upper, payload)

    def send(self, source: int, packet: Packet, sent: Iterable[Packet] | None = None) -> None:
        """Queue a packet, or `sent` in its place; the reference gets `packet`."""
        words = [word for each in ([packet] if sent is None else sent)
                 for word in self._beats(source, each)]  # fmt: skip
        arrives, errors = self.reference.deliveries(packet)
        self.errors.extend((error, packet.stream) for error in errors)
        place = self.reference.places(packet)
        if place:
            self.taken[place[0]] += 1
            self.dropped[place[0]] += place[1]
        self.awaited_turns += self.reference.has_turn(packet)
        arrives = {
            sink: (data, self.reference.routes[packet.stream].part)
            for sink, data in arrives.items()
        }
        if words:
            words[0] = (words[0][0], arrives)
            self.queues[source].extend(words)
        else:
            self._expect(source, arrives)

    def _beats(self, source: int, packet: Packet) -> list[tuple[int, Arrivals | None]]:
        sent = packet.payload if source == self.sources - 1 else packet.first + packet.payload
        # Bytes behind the packet's end are don't-care.
        return [
            (beat.data | beat.keep << 8 * self.units | beat.last << 9 * self.units, None)
            for beat in beats(sent, self.units, self.random.randbytes)
        ]

    def _expect(self, source: int, arrives: Arrivals) -> None:
        self.begins[source].append(self.clock)
        for sink, data in arrives.items():
            self.expected[sink][source].append(data)
            self.waiting += 1

    def _drive(self) -> None:
        """Offer beats and room in the next clock."""
        random, beats = self.random.random, 0
        for source, queue in enumerate(self.queues):
            if not self.valid >> source & 1:
                if not queue and self.feed:
                    self.feed(source)
                if queue and random() < self.offered[source]:
                    self.valid |= 1 << source
                    self.words[source] = queue[0][0]
                else:
                    self.words[source] = self.random.getrandbits(self.width)
            beats |= self.words[source] << source * self.width
        self.ready = 0
        for sink, share in enumerate(self.readiness):
            self.ready |= (random() < share) << sink
        self.dut.in_valid.value, self.dut.in_beats.value = self.valid, beats
        self.dut.out_ready.value = self.ready
        room, rx_room = self.room(), self.rx_room()
        if room != self.roomy:
            self.roomy = self.dut.credit_room.value = room
        if rx_room != self.rx_roomy:
            self.rx_roomy = self.dut.rx_credit_room.value = rx_room

    async def step(self) -> None:
        """A clock."""
        self._drive()
        await self.edge
        dut = self.dut
        self._look_at_errors()
        self._look_at_places()
        assert dut.busy.value or not self.waiting, "busy is 0 with a packet inside"
        valid = int(dut.out_valid.value)
        beats = int(dut.out_beats.value) if valid else 0
        assert all(valid >> sink & 1 for sink in self.stalled), "tvalid fell before tready"
        for sink in range(self.sinks):
            if valid >> sink & 1:
                self._out(sink, beats >> sink * self.width & (1 << self.width) - 1)
        arrived = self.valid & int(dut.in_ready.value)
        for source in range(self.sources):
            if arrived >> source & 1:
                _, arrives = self.queues[source].popleft()
                if arrives is not None:
                    self._expect(source, arrives)
                self.moved = self.clock
        self.valid &= ~arrived
        self.clock += 1

    def _look_at_places(self) -> None:
        dut = self.dut
        if dut.rx_credit_take.value:
            self.turns, self.awaited_turns = self.turns + 1, self.awaited_turns - 1
            assert self.awaited_turns >= 0, "RX turn without a packet for RX"
            assert self.rx_roomy, "packet for RX admitted without a turn"
        for name, left in (("take", self.taken), ("drop", self.dropped)):
            if not getattr(dut, f"credit_{name}").value:
                continue
            part = int(getattr(dut, f"credit_{name}_part").value)
            left[part] -= 1
            assert left[part] >= 0, f"part {part}: {name} too often"
            assert name == "drop" or self.roomy >> part & 1, f"part {part}: taken without room"

    def _look_at_errors(self) -> None:
        dut, stream = self.dut, int(self.dut.error_stream.value)
        if not self.exact and stream in {each for _, each in self.errors}:
            self.error_stream = stream
        assert stream == self.error_stream, "error_stream differs"
        for kind in (UNKNOWN, EMPTY, LONG):
            if not getattr(dut, kind).value:
                continue
            self.reported, self.moved = self.reported + 1, self.clock
            if self.exact:
                assert self.errors and self.errors[0][0] == kind, f"{kind} was reported"
                self.error_stream = self.errors.popleft()[1]
            else:
                assert kind in {kind for kind, _ in self.errors}, f"{kind} was reported"

    def _out(self, sink: int, word: int) -> None:
        """A sink sees a beat."""
        units, before = self.units, self.stalled.pop(sink, None)
        keep = word >> 8 * units & (1 << units) - 1
        last, count = word >> 9 * units, keep.bit_count()
        assert keep == (1 << count) - 1 and keep, f"sink {sink}: tkeep is {keep:#x}"
        assert last or count == units, f"sink {sink}: partial beat"
        data = (word & (1 << 8 * count) - 1).to_bytes(count, "little")
        part = int(self.dut.part.value) if sink == self.reference.input else 0
        assert before in (None, (word, part)), f"sink {sink}: beat changed before tready"
        if not self.ready >> sink & 1:
            self.stalled[sink] = word, part
            return
        if sink == self.reference.input:
            assert self.coming_part in (None, part), "part changed within a packet"
            self.coming_part = None if last else part
        self.moved = self.clock
        self.coming[sink] += data
        if last:
            message, self.coming[sink] = bytes(self.coming[sink]), bytearray()
            source = message[-1] >> SOURCE_SHIFT
            self.ends[sink].append((self.clock, source))
            assert source < self.sources and self.expected[sink][source], (
                f"sink {sink}: unexpected packet from {source}"
            )
            want, wanted_part = self.expected[sink][source].popleft()
            if sink == self.reference.input:
                assert part == wanted_part, f"expected part {wanted_part}, got {part}"
            elif sink == self.reference.rx:
                self.rx_parts.append(wanted_part)
            assert message == want, f"sink {sink}: expected {want.hex()}, got {message.hex()}"
            self.waiting -= 1

    async def finish(self) -> None:
        """Send the queued packets; wait until all have arrived and the controller sleeps."""
        self.feed, self.moved = None, self.clock
        while (
            any(self.queues) or self.waiting or self.dut.busy.value or (self.exact and self.errors)
        ):
            await self.step()
            assert self.clock < self.moved + PATIENCE, (
                f"{self.waiting} packets and {len(self.errors)} errors are missing"
            )
        for _ in range(5):
            await self.step()
            assert not self.dut.busy.value, "busy without a packet"
            assert not self.dut.out_valid.value, "unexpected beat"
        assert not any(self.coming), "packet without an end"
        assert not self.awaited_turns, "RX turn not reported"
        assert not any(self.taken.values()), "place not taken"
        assert not any(self.dropped.values()), "place not returned"

    def _unfinished(self) -> bool:
        awaited = self.waiting or (self.exact and self.errors)
        return bool(any(self.queues) or awaited or self.dut.busy.value)

    @property
    def packets(self) -> int:
        """Number of packets that began."""
        return sum(len(begins) for begins in self.begins)


def altered(packet: Packet, bit: int) -> Packet:
    """A packet with one payload bit inverted; the source's number stays."""
    value, place = divmod(bit, SOURCE_SHIFT)
    value %= len(packet.payload)
    payload = bytearray(packet.payload)
    payload[value] ^= 1 << place
    return replace(packet, payload=bytes(payload))
