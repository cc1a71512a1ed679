"""Bench of the gather unit: feature maps as packets, reference vectors, a modulator model.

The golden model gives the vectors; `caduceus.spec.feature_map.Window` gives the room for packets.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np
from cocotb.triggers import Timer
from numpy.typing import NDArray

from caduceus.golden.reference import gather
from caduceus.hdl.tile.gather_config import FIELDS
from caduceus.hdl.tile.pixel_receiver import UNDERWAY_MAX
from caduceus.sim.scoreboard import With, compare, named
from caduceus.spec.fabric import PARTS
from caduceus.spec.packets import Beat, beats
from tb import benches
from tb.chips import sized
from tb.gather_jobs import Job

PATIENCE = 400
"""Clocks without a packet or a vector before the unit counts as hung."""
Packet = NDArray[np.int8] | None
"""Content of a packet; None if it has nothing for the tile."""


class Testbed:
    """Drives the unit as link controller, clock gate and modulator; monitors every clock.

    Attributes:
        eager, offered, accepted: share of clocks in which an admissible packet is admitted, a beat
            is offered, and a beat may be taken.
        hold: clocks for which the modulator is full.
        ahead: maximum number of packets between admission and arrival.
        gated: the clock stops while the unit is idle and nothing arrives.
        waiting: packets before admission.
        vectors: expected vectors, with the rows whose content is specified.
        committed: clocks with a commit.
        arrived: clocks in which packets ended.
        quiet: clocks since the last admission, end of a packet, commit, or full modulator.
        full: remaining clocks for which the modulator is full.
        stopped: number of stopped clocks.
    """

    def __init__(self, dut: Any) -> None:
        self.dut, self.chip = dut, sized(benches.current())
        self.random = Random(int(benches.generator().integers(1 << 62)))
        self.units, self.lanes = self.chip.link.units, self.chip.buffers.gather
        self.eager = self.offered = self.accepted = 1.0
        self.hold: Callable[[], int] = lambda: 1
        self.ahead = 2
        self.gated = False
        self.clock = self.stopped = 0
        self._driven: dict[str, int] = {}

    def _forget(self, job: Job) -> None:
        self.job = job
        self.waiting: deque[Packet] = deque()
        self.vectors: deque[tuple[NDArray[np.int8], NDArray[np.bool_]]] = deque()
        self.came = self.made = 0  # packets and vectors
        self.committed: list[int] = []
        self.errors: Counter = Counter()
        self.seen: Counter = Counter()
        self._underway: deque[deque[Beat]] = deque()  # beats of each packet
        self.full = self.quiet = self._still = self._stuck = self._writes = 0
        self.arrived: list[int] = []
        self._offering = self._midway = self._dropping = self._idle = False
        self._staged: NDArray[np.int8] | None = None

    def put(self, **values: int) -> None:
        """Drive ports."""
        for name, value in values.items():
            if self._driven.get(name) != value:
                getattr(self.dut, name).value = int(value)
                self._driven[name] = value

    async def half(self) -> None:
        """First half of a clock: outputs follow the driven inputs."""
        await Timer(1, "ns")

    async def tick(self, runs: bool = True) -> None:
        """Second half of a clock, which `runs` or is stopped."""
        self.dut.clk.value = int(runs)
        await Timer(1, "ns")
        self.dut.clk.value = 0
        self.clock += 1

    async def start(self) -> None:
        """Reset; no configuration."""
        self.put(
            rst=1, clk=0, stream_tvalid=0, stream_tdata=0, stream_tkeep=0, stream_tlast=0,
            accept=0, restart=0, full=0, rows=1, parts=1,
            table_write=0, table_part=0, table_start=0, table_length=0,
            credit_take=0, credit_take_part=0, credit_drop=0, credit_drop_part=0,
            **{f"config_{name}": 0 for name in FIELDS},
        )  # fmt: skip
        for _ in range(2):
            await self.half()
            await self.tick()
        self.put(rst=0)

    async def configure(self, job: Job, **instead: int) -> None:
        """Restart with another job; ports in `instead` get other values.

        Registers are written in random order, before and after the restart.
        """
        settings = [{name: value} for name, value in {**job.ports(self.chip), **instead}.items()]
        for part in range(PARTS):
            # With a single part, and for undefined parts, the table is don't-care.
            known = len(job.parts) > 1 and part < len(job.parts)
            length = job.parts[part] if known else self.random.randint(1, self.chip.array.rows)
            settings.append({"table_write": 1, "table_part": part, "table_length": length})
        settings.append({"restart": 1})
        self.put(stream_tvalid=0, credit_take=0, credit_drop=0, full=0)
        for setting in self.random.sample(settings, len(settings)):
            self.put(**{"table_write": 0, "restart": 0, **setting})
            await self.half()
            await self.tick()
        self.put(table_write=0, restart=0)
        self._forget(job)

    def bring_map(self, wrong: float = 0.0) -> None:
        """Queue another map; a share of its packets is empty or of a wrong length."""
        window, random = self.job.window, self.random
        first = (self.came + len(self.waiting)) % len(self.job.parts)
        contents, unknown = [], []
        for number in range(window.pixels * window.packets):
            length = self.job.parts[(first + number) % len(self.job.parts)]
            kind = random.choice(("short", "long", "empty")) if random.random() < wrong else ""
            sent = length
            if kind == "short":
                sent = random.randint(1, max(1, length - 1))
            elif kind == "long":
                sent += random.randint(1, 3 * self.units)
            payload = np.frombuffer(random.randbytes(sent), np.int8)
            self.waiting.append(None if kind == "empty" else payload)
            if kind != "empty":
                self.errors["short"] += sent < length
                self.errors["long"] += sent > length
            contents.append(np.pad(payload[:length], (0, max(0, length - sent))))
            unknown.append(np.full(length, kind == "empty", np.int8))
        shape = 1, window.height, window.width, window.channels
        made, unspecified = (
            gather.vectors(window, self.job.rows, np.concatenate(values).reshape(shape))
            for values in (contents, unknown)
        )
        self.vectors.extend(zip(made, unspecified == 0, strict=True))

    def _may_set_off(self) -> bool:
        return bool(self.waiting) and len(self._underway) < self.ahead

    def _let_in(self) -> None:
        """Assign the next packet its outputs."""
        packet = self.waiting.popleft()
        self.came += 1
        if packet is None:
            self._dropping = True
            return
        # Bytes behind the packet's end are don't-care.
        self._underway.append(deque(beats(packet.tobytes(), self.units, self.random.randbytes)))

    def _drive(self) -> Iterator[str]:
        """Drive all ports; returns the credit pulses."""
        random = self.random
        here = bool(self._underway)  # not in the clock of its admission
        room = int(self.dut.credit_room.value)
        if self._dropping:
            if random.random() < 0.5:
                self._dropping = False
                yield "drop"
        elif room and self._may_set_off() and random.random() < self.eager:
            self._let_in()
            yield "take"
        if not self._offering:
            self._offering = here and random.random() < self.offered
        # Invalid beats are don't-care.
        data, keep = random.getrandbits(8 * self.units), random.getrandbits(self.units)
        last = random.getrandbits(1)
        if self._offering:
            data, keep, last = self._underway[0][0]
        self.put(
            stream_tvalid=self._offering, stream_tdata=data, stream_tkeep=keep, stream_tlast=last,
            accept=random.random() < self.accepted, full=self.full > 0,
        )  # fmt: skip

    async def step(self) -> None:
        """Pass one clock, or the time of a stopped one."""
        dut = self.dut
        self._look_at_room()
        pulses = set(self._drive())
        self.put(credit_take="take" in pulses, credit_drop="drop" in pulses)
        await self.half()
        busy, accept = bool(dut.busy.value), bool(self._driven["accept"])
        assert busy or not self._midway, "busy is 0 within a packet"
        comes = self._offering or bool(pulses) or self.full > 0
        runs = busy or comes or not self.gated
        self.stopped += not runs
        self._idle = not (busy or comes)
        writes, commits = self._look_at_writes()
        self._still = 0 if pulses or self._offering or writes else self._still + 1
        self.quiet = 0 if pulses or commits or self.full else self.quiet + 1
        assert self.quiet < PATIENCE or not self.waiting, f"packet {self.came} is never admitted"
        for kind in ("short", "long"):
            self.seen[kind] += int(getattr(dut, f"too_{kind}").value)
        self._look_at_stream(accept)
        await self.tick(runs)

    def _look_at_room(self) -> None:
        """Check `room`: only the part whose turn it is, and only with a free place."""
        job, window = self.job, self.job.window
        turn, room = self.came % len(job.parts), int(self.dut.credit_room.value)
        assert room in (0, 1 << turn), f"room is {room:x}, expected part {turn}"
        if self.came % window.packets:
            allowed = needed = True
        else:
            # Rows are read one clock ahead.
            left = job.accesses(self.made % window.results, self.lanes) - self._writes
            allowed = self._has_place(self.made + (left <= 1))
            needed = self._has_place(self.made)
        # The surplus of a long packet follows its arrival.
        allowed &= len(self._underway) + self._dropping - self._midway < UNDERWAY_MAX
        assert allowed or not room, f"packet {self.came} is admitted too early"
        settled = self._idle or self._still > job.ring + window.pixels
        if settled and not self._underway and not self._dropping:
            assert room or not needed, f"packet {self.came} is not admitted"

    def _has_place(self, result: int) -> bool:
        """Whether the next pixel has a place, with all pixels of `result` held."""
        window, pixel = self.job.window, self.came // self.job.window.packets
        number, rest = divmod(result, window.results)
        needed = number * window.pixels + self.job.oldest(rest)
        return pixel - min(pixel, needed) < self.job.ring

    def _look_at_stream(self, accept: bool) -> None:
        taken = bool(self.dut.stream_tready.value)
        assert accept or not taken, "beat accepted without `accepted`"
        if self._offering and taken:
            _, _, last = self._underway[0].popleft()
            self._offering, self._midway, self._stuck = False, not last, 0
            if last:
                self._underway.popleft()
                self.arrived.append(self.clock)
                self.quiet = 0
        elif self._offering and accept:
            # Only while the unit fills up a short packet.
            self._stuck += 1
            assert self._stuck <= max(self.job.parts) / self.units, "packet stalls"

    def _look_at_writes(self) -> tuple[bool, bool]:
        """Act as the modulator; returns whether it sees row writes, and whether a commit."""
        dut = self.dut
        writes, commits = bool(dut.write_enable.value), bool(dut.commit.value)
        assert not (self.full and (writes or commits)), "write to a full modulator"
        assert writes or not commits, "commit without a write"
        self.full = max(0, self.full - 1)
        self._writes += writes
        if writes:
            if dut.write_first.value:
                self._staged = np.zeros(self.chip.array.rows, np.int8)
                self._written = np.zeros(self.chip.array.rows, bool)
            assert self._staged is not None, "first write of a vector without the first flag"
            first, count = int(dut.write_row.value), int(dut.write_count.value)
            rows = np.arange(first, first + count)
            assert not self._written[rows].any(), "row written twice"
            self._written[rows] = True
            # Lanes without a row are don't-care.
            data = int(dut.write_data.value.resolve("zeros")).to_bytes(self.lanes, "little")
            self._staged[rows] = np.frombuffer(data, np.int8)[rows % self.lanes]
        if commits:
            self._look_at_vector(self._staged)
            self._staged, self._writes, self.full = None, 0, self.hold()
            self.made += 1
            self.committed.append(self.clock)
        return writes, commits

    def _look_at_vector(self, vector: NDArray[np.int8]) -> None:
        assert self.vectors, "unexpected vector"
        expected, specified = self.vectors.popleft()
        number, result = divmod(self.made, self.job.window.results)
        got, where = vector[: self.job.rows], f"map {number}, result {result}"
        rows = np.flatnonzero(specified)
        compare(
            expected[specified], got[specified],
            lambda at: With(f"{where}, row {rows[at[0]]}", named(**self.job.described())),
        )  # fmt: skip
        assert not vector[self.job.rows :].any(), f"{where}: writes to undefined rows"
        began = self.came > number * self.job.window.pixels * self.job.window.packets
        assert began, f"{where} without its map"

    async def land(self) -> None:
        """Admit no more packets, until none is in flight."""
        eager, self.eager = self.eager, 0.0
        while self._underway or self._dropping or self._midway:
            await self.step()
        self.eager = eager

    async def finish(self) -> None:
        """Wait until every packet has arrived."""
        self.quiet = 0
        while self.waiting or self.vectors or self._underway or self._dropping or not self._idle:
            await self.step()
            assert self.quiet < PATIENCE, "vectors are missing"
        for _ in range(5):
            await self.step()
            assert self._idle, "busy without work"
        errors = {kind: self.errors[kind] for kind in ("short", "long")}
        assert self.seen == Counter(errors), f"errors: expected {errors}, got {self.seen}"
