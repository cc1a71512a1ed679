"""Bench of the input assembler: packet stimulus, reference vectors, a modulator model.

The reference model follows the assembler's docstring: packet k of a part belongs to vector k.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer
from numpy.typing import NDArray

from caduceus.spec.fabric import PARTS
from caduceus.spec.packets import Beat, beats
from caduceus.spec.program import InputPart
from tb import benches
from tb.chips import sized

CLOCK_NS = 2
PLACES = 2
"""Maximum number of packets of a part inside."""


@dataclass
class Packet:
    """A packet on its way: the part number that the RTL gets, and its beats.

    A packet without beats had nothing for the tile and returns its place.
    """

    part: int
    beats: deque[Beat] = field(default_factory=deque)


class Assembly:
    """Reference model of the assembler.

    Attributes:
        parts: rows of each part; with a single part, as ROWS says.
        vectors: complete vectors that the monitor has not seen.
        incomplete: whether some part waits for others.
        errors: numbers of too short and too long packets.
    """

    def __init__(self, rows: int, parts: list[InputPart]) -> None:
        self.rows, self.parts = rows, parts
        self._came = [deque() for _ in parts]
        self.vectors: deque[NDArray[np.int8]] = deque()
        self.errors: Counter = Counter()

    @property
    def incomplete(self) -> bool:
        """Whether some part waits for others."""
        return any(self._came)

    def take(self, part: int, payload: NDArray[np.int8]) -> None:
        """Account for a packet's arrival."""
        if part >= len(self.parts):
            self.errors["long"] += 1
            return
        length = self.parts[part].length
        self.errors["short"] += len(payload) < length
        self.errors["long"] += len(payload) > length
        self._came[part].append(np.maximum(payload[:length], -127))
        if all(self._came):
            vector = np.zeros(self.rows, dtype=np.int8)
            for place, came in zip(self.parts, self._came, strict=True):
                values = came.popleft()
                vector[place.start : place.start + len(values)] = values
            self.vectors.append(vector)


class Testbed:
    """Drives the assembler as link controller and modulator; monitors every clock.

    Attributes:
        assembly: the reference model.
        offered, enabled: share of clocks with a beat offered, and with `enable`.
        hold: clocks for which the modulator is full.
        ahead: maximum number of packets between departure and arrival.
        feed: called when a packet may depart; may call `send`.
        used: by part, departed packets that hold its places.
        committed: clocks with a commit.
        waited: clocks in which a beat waited though the modulator was not full.
    """

    def __init__(self, dut: Any) -> None:
        self.dut, self.chip = dut, sized(benches.current())
        self.random = Random(int(benches.generator().integers(1 << 62)))
        self.rows, self.units = self.chip.array.rows, self.chip.link.units
        self.edge = RisingEdge(dut.clk)
        self.offered = self.enabled = 1.0
        self.hold: Callable[[], int] = lambda: 1
        self.feed: Callable[[], None] | None = None
        self.ahead = 2
        self.clock = 0
        self._forget([InputPart(0, self.rows)])

    def _forget(self, parts: list[InputPart]) -> None:
        self.assembly = Assembly(self.rows, parts)
        self.used = [0] * PARTS
        self.underway: deque[Packet] = deque()
        self.committed: list[int] = []
        self.waited = 0
        self.stuck = 0
        self.full = 0
        self.offering = False
        self.midway = False
        self.staged: NDArray[np.int8] | None = None
        self.seen: Counter = Counter()
        self.pulses: dict[str, int] = {}
        self.last_sent: dict[str, int] = {}

    async def start(self) -> None:
        """Start the clock, and reset."""
        await Timer(CLOCK_NS, "ns")
        Clock(self.dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        await self.reset()

    async def reset(self) -> None:
        """Reset; afterwards a packet of all rows is one vector."""
        dut = self.dut
        for name in ("stream_tvalid", "stream_tdata", "stream_tkeep", "stream_tlast", "part",
                     "full", "enable", "restart", "table_write", "table_part", "table_start",
                     "table_length", "credit_take", "credit_take_part", "credit_drop",
                     "credit_drop_part"):  # fmt: skip
            getattr(dut, name).value = 0
        dut.parts.value, dut.rows.value = 1, self.rows
        dut.rst.value = 1
        await self.edge
        await self.edge
        dut.rst.value = 0
        self._forget([InputPart(0, self.rows)])

    async def configure(
        self,
        parts: list[InputPart],
        rows: int | None = None,
        instead: list[InputPart] | None = None,
    ) -> None:
        """Change the parts, and drop waiting packets; the RTL gets `instead`, if given.

        With one part, `rows` is the length of a vector.
        """
        dut = self.dut
        entries = list(instead or parts)
        while len(entries) < PARTS:  # of undefined parts
            entries.append(InputPart(0, self.random.randrange(1, self.rows + 1)))
        dut.stream_tvalid.value = 0
        for number, entry in enumerate(entries):
            dut.table_write.value, dut.table_part.value = 1, number
            dut.table_start.value, dut.table_length.value = entry.start, entry.length
            await self.edge
            self.clock += 1
        dut.table_write.value = 0
        dut.parts.value, dut.restart.value = len(parts), 1
        dut.rows.value = rows or self.random.randrange(1, self.rows + 1)
        dut.full.value = 0
        await self.edge
        self.clock += 1
        dut.restart.value = 0
        self._forget(parts)

    async def configure_one(self, rows: int) -> None:
        """Configure vectors of one packet with `rows` elements."""
        await self.configure([InputPart(0, rows)], rows, [InputPart(0, 1)])

    def draw_parts(self, count: int) -> list[InputPart]:
        """Random parts, with gaps between them, in random order."""
        groups = self.rows // self.units
        cuts = sorted(self.random.sample(range(1, groups), count - 1)) if count > 1 else []
        parts = []
        for start, end in zip([0, *cuts], [*cuts, groups], strict=True):
            first = self.random.randrange(start, end)
            room = (end - first) * self.units
            length = self.random.choice((1, room, self.random.randrange(1, room + 1)))
            parts.append(InputPart(first * self.units, length))
        return self.random.sample(parts, count)

    def payload(self, length: int) -> NDArray[np.int8]:
        """Random values, -128 among them."""
        values = [
            self.random.choice((-128, self.random.randrange(-128, 128))) for _ in range(length)
        ]
        return np.array(values, dtype=np.int8)

    def send(
        self, part: int, payload: NDArray[np.int8], instead: int | None = None,
        sent: NDArray[np.int8] | None = None,
    ) -> None:  # fmt: skip
        """A packet departs; the RTL gets `instead` as its part number, or `sent` as its beats."""
        self.assembly.take(part, payload)
        values = payload if sent is None else sent
        # Bytes behind the packet's end are don't-care.
        sent_beats = beats(values.tobytes(), self.units, self.random.randbytes)
        self._set_off(Packet(part if instead is None else instead, deque(sent_beats)))

    def send_empty(self, part: int) -> None:
        """A packet without content for the tile departs."""
        self._set_off(Packet(part))

    def _set_off(self, packet: Packet) -> None:
        assert "take" not in self.pulses, "only one packet per clock may depart"
        self.pulses["take"] = packet.part
        self.underway.append(packet)

    async def bring(self, part: int, payload: NDArray[np.int8], *altered: Any) -> None:
        """Send a packet, arguments as of `send`, once few enough are in flight."""

        def feed() -> None:
            self.send(part, payload, *altered)
            self.feed = None

        self.feed = feed
        while self.feed:
            await self.step()

    def counts(self, part: int) -> bool:
        """Whether `part` has places to count."""
        return len(self.assembly.parts) > 1 and part < len(self.assembly.parts)

    def room(self, part: int) -> bool:
        """Whether a packet of `part` may depart."""
        return self.used[part] < PLACES

    def _drive(self) -> None:
        dut, draw = self.dut, self.random.random
        self.pulses = {}
        ready = [packet for packet in self.underway]
        if self.feed and len(self.underway) < self.ahead:
            self.feed()
        while ready and not ready[0].beats:  # not in the clock of its departure
            if "drop" in self.pulses:
                break
            self.pulses["drop"] = ready.pop(0).part
            self.underway.popleft()
        if not self.offering:
            self.offering = bool(ready and ready[0].beats) and draw() < self.offered
        self.enable = draw() < self.enabled
        if self.offering:
            packet = ready[0]
            data, keep, last = packet.beats[0]
            part = packet.part
        else:  # invalid beats are don't-care
            data, keep = (
                self.random.getrandbits(8 * self.units),
                self.random.getrandbits(self.units),
            )
            last, part = self.random.getrandbits(1), self.random.randrange(PARTS)
        values = {
            "stream_tvalid": self.offering, "stream_tdata": data, "stream_tkeep": keep,
            "stream_tlast": last, "part": part, "enable": self.enable, "full": self.full > 0,
        }  # fmt: skip
        for name in ("take", "drop"):
            values[f"credit_{name}"] = name in self.pulses
            values[f"credit_{name}_part"] = self.pulses.get(name, self.random.randrange(PARTS))
        for name, value in values.items():
            if self.last_sent.get(name) != value:
                getattr(dut, name).value = int(value)
        self.last_sent = values

    async def step(self) -> None:
        """A clock."""
        self._drive()
        await self.edge
        dut = self.dut
        want = sum(1 << part for part in range(PARTS) if self.room(part))
        assert int(dut.credit_room.value) == want, "room differs from the reference"
        assert bool(dut.busy.value) or not self.midway, "busy is 0 within a packet"
        self._look_at_writes()
        for kind in ("short", "long"):
            self.seen[kind] += int(getattr(dut, f"too_{kind}").value)
        taken = bool(dut.stream_tready.value)
        assert self.enable or not taken, "beat accepted without enable"
        if self.offering and taken:
            _, _, last = self.underway[0].beats.popleft()
            self.offering = False
            self.midway = not last
            if last:
                self.underway.popleft()
            self.stuck = 0
        elif self.offering and self.enable and not self.full:
            self.waited += 1
            self.stuck += 1
            limit = self.rows // self.units + 2 * len(self.assembly.parts) + 4
            assert self.stuck <= limit, "packet stalls behind another one"
        for part, change in ((self.pulses.get("take"), 1), (self.pulses.get("drop"), -1)):
            if part is not None and self.counts(part):
                self.used[part] += change
        self.clock += 1

    def _look_at_writes(self) -> None:
        dut = self.dut
        writes, commits = bool(dut.write_enable.value), bool(dut.commit.value)
        assert not (self.full and writes), "write to a full modulator"
        self.full = max(0, self.full - 1)
        if writes:
            first = int(dut.write_group.value) * self.units
            if dut.write_first.value:
                self.staged = np.zeros(self.rows, dtype=np.int8)
            assert self.staged is not None, "first write of a vector without the first flag"
            values = int(dut.write_data.value).to_bytes(self.units, "little")
            self.staged[first : first + self.units] = np.frombuffer(values, np.int8)
        if commits:
            assert writes, "commit without a write"
            assert self.assembly.vectors, "unexpected vector"
            vector = self.assembly.vectors.popleft()
            got = self.staged.tolist()
            assert got == vector.tolist(), f"expected {vector.tolist()}, got {got}"
            self.staged, self.full = None, self.hold()
            self.committed.append(self.clock)
            for part in range(len(self.assembly.parts)):
                self.used[part] -= self.counts(part)

    async def finish(self) -> None:
        """Wait until every packet has arrived; incomplete vectors keep their parts."""
        self.feed = None
        began = self.clock
        while self.underway or self.assembly.vectors or self.dut.busy.value or self.full:
            await self.step()
            assert self.clock < began + 100_000, "vectors are missing"
        for _ in range(5):
            await self.step()
            assert not self.dut.busy.value, "busy without work"
        wanted = {kind: self.assembly.errors[kind] for kind in ("short", "long")}
        got = {kind: self.seen[kind] for kind in wanted}
        assert got == wanted, f"errors: expected {wanted}, got {got}"
