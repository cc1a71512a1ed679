"""What the bench of the gather unit stands on: maps as packets, their vectors, the modulator.

What a vector should be is the golden model's word; what there is room for follows from
`caduceus.spec.feature_map.Window`.
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
"""Clocks without a packet or a vector after which the unit is taken to hang."""
Packet = NDArray[np.int8] | None
"""What a packet brings; None for one that has nothing for the tile."""


class Testbed:
    """Is the link controller, the clock's gate and the modulator, and looks at every clock.

    Attributes:
        eager, offered, accepted: share of clocks in which a packet that may be let in is, and in
            which a beat is offered, and may be taken.
        hold: clocks for which the modulator is full.
        ahead: packets that may have been let in and not have arrived.
        gated: the clock stops whenever there is nothing to do and nothing comes.
        waiting: packets that have not been let in.
        vectors: those that should be committed, with the rows of which the content is specified.
        committed: clocks in which some were.
        arrived: clocks in which packets ended.
        quiet: clocks since a packet was let in or ended, a vector was committed, or the modulator
            was full.
        full: clocks for which the modulator will be full yet.
        stopped: clocks that were left out.
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
        self._underway: deque[deque[Beat]] = deque()  # by packet, its beats
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
        """The first half of a clock, after which outputs follow what was put."""
        await Timer(1, "ns")

    async def tick(self, runs: bool = True) -> None:
        """The second half of a clock, which `runs` or stands still."""
        self.dut.clk.value = int(runs)
        await Timer(1, "ns")
        self.dut.clk.value = 0
        self.clock += 1

    async def start(self) -> None:
        """Reset; nothing is configured."""
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
        """Start anew with another job; ports in `instead` have other values.

        Registers are written in any order, before and after the restart.
        """
        settings = [{name: value} for name, value in {**job.ports(self.chip), **instead}.items()]
        for part in range(PARTS):
            # With one part, and of parts that there are not, the table may say anything.
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
        """Have another map sent, a share of whose packets is of a wrong length or empty."""
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
        """The next packet gets its outputs."""
        packet = self.waiting.popleft()
        self.came += 1
        if packet is None:
            self._dropping = True
            return
        # What is behind the packet's end must not matter.
        self._underway.append(deque(beats(packet.tobytes(), self.units, self.random.randbytes)))

    def _drive(self) -> Iterator[str]:
        """Put values on all ports; gives the credit's pulses."""
        random = self.random
        here = bool(self._underway)  # not in the clock in which it was let in
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
        # What is not valid may not matter.
        data, keep = random.getrandbits(8 * self.units), random.getrandbits(self.units)
        last = random.getrandbits(1)
        if self._offering:
            data, keep, last = self._underway[0][0]
        self.put(
            stream_tvalid=self._offering, stream_tdata=data, stream_tkeep=keep, stream_tlast=last,
            accept=random.random() < self.accepted, full=self.full > 0,
        )  # fmt: skip

    async def step(self) -> None:
        """A clock, or the time of one that is stopped."""
        dut = self.dut
        self._look_at_room()
        pulses = set(self._drive())
        self.put(credit_take="take" in pulses, credit_drop="drop" in pulses)
        await self.half()
        busy, accept = bool(dut.busy.value), bool(self._driven["accept"])
        assert busy or not self._midway, "not busy in the middle of a packet"
        comes = self._offering or bool(pulses) or self.full > 0
        runs = busy or comes or not self.gated
        self.stopped += not runs
        self._idle = not (busy or comes)
        writes, commits = self._look_at_writes()
        self._still = 0 if pulses or self._offering or writes else self._still + 1
        self.quiet = 0 if pulses or commits or self.full else self.quiet + 1
        assert self.quiet < PATIENCE or not self.waiting, f"packet {self.came} is never let in"
        for kind in ("short", "long"):
            self.seen[kind] += int(getattr(dut, f"too_{kind}").value)
        self._look_at_stream(accept)
        await self.tick(runs)

    def _look_at_room(self) -> None:
        """Only the part that has the turn may come, and only if there is a place for it."""
        job, window = self.job, self.job.window
        turn, room = self.came % len(job.parts), int(self.dut.credit_room.value)
        assert room in (0, 1 << turn), f"room is {room:x}, and part {turn} has the turn"
        if self.came % window.packets:
            allowed = needed = True
        else:
            # Rows are read one clock ahead.
            left = job.accesses(self.made % window.results, self.lanes) - self._writes
            allowed = self._has_place(self.made + (left <= 1))
            needed = self._has_place(self.made)
        # The rest of a packet that is too long comes after it has arrived.
        allowed &= len(self._underway) + self._dropping - self._midway < UNDERWAY_MAX
        assert allowed or not room, f"packet {self.came} is let in too early"
        settled = self._idle or self._still > job.ring + window.pixels
        if settled and not self._underway and not self._dropping:
            assert room or not needed, f"packet {self.came} is not let in"

    def _has_place(self, result: int) -> bool:
        """Whether the next pixel has a place while what `result` needs is held."""
        window, pixel = self.job.window, self.came // self.job.window.packets
        number, rest = divmod(result, window.results)
        needed = number * window.pixels + self.job.oldest(rest)
        return pixel - min(pixel, needed) < self.job.ring

    def _look_at_stream(self, accept: bool) -> None:
        taken = bool(self.dut.stream_tready.value)
        assert accept or not taken, "a beat was taken without leave"
        if self._offering and taken:
            _, _, last = self._underway[0].popleft()
            self._offering, self._midway, self._stuck = False, not last, 0
            if last:
                self._underway.popleft()
                self.arrived.append(self.clock)
                self.quiet = 0
        elif self._offering and accept:
            # While a short packet is being filled up, and no longer.
            self._stuck += 1
            assert self._stuck <= max(self.job.parts) / self.units, "a packet has to wait"

    def _look_at_writes(self) -> tuple[bool, bool]:
        """Be the modulator; returns whether rows are written, and a vector is committed."""
        dut = self.dut
        writes, commits = bool(dut.write_enable.value), bool(dut.commit.value)
        assert not (self.full and (writes or commits)), "a write to a full modulator"
        assert writes or not commits, "a commit without a write"
        self.full = max(0, self.full - 1)
        self._writes += writes
        if writes:
            if dut.write_first.value:
                self._staged = np.zeros(self.chip.array.rows, np.int8)
                self._written = np.zeros(self.chip.array.rows, bool)
            assert self._staged is not None, "the first write of a vector is not marked"
            first, count = int(dut.write_row.value), int(dut.write_count.value)
            rows = np.arange(first, first + count)
            assert not self._written[rows].any(), "a row was written twice"
            self._written[rows] = True
            # Lanes without a row may hold anything.
            data = int(dut.write_data.value.resolve("zeros")).to_bytes(self.lanes, "little")
            self._staged[rows] = np.frombuffer(data, np.int8)[rows % self.lanes]
        if commits:
            self._look_at_vector(self._staged)
            self._staged, self._writes, self.full = None, 0, self.hold()
            self.made += 1
            self.committed.append(self.clock)
        return writes, commits

    def _look_at_vector(self, vector: NDArray[np.int8]) -> None:
        assert self.vectors, "a vector too many"
        expected, specified = self.vectors.popleft()
        number, result = divmod(self.made, self.job.window.results)
        got, where = vector[: self.job.rows], f"map {number}, result {result}"
        rows = np.flatnonzero(specified)
        compare(
            expected[specified], got[specified],
            lambda at: With(f"{where}, row {rows[at[0]]}", named(**self.job.described())),
        )  # fmt: skip
        assert not vector[self.job.rows :].any(), f"{where}: rows that there are not"
        began = self.came > number * self.job.window.pixels * self.job.window.packets
        assert began, f"{where} without its map"

    async def land(self) -> None:
        """Let nothing more in until nothing is on its way."""
        eager, self.eager = self.eager, 0.0
        while self._underway or self._dropping or self._midway:
            await self.step()
        self.eager = eager

    async def finish(self) -> None:
        """See everything arrive."""
        self.quiet = 0
        while self.waiting or self.vectors or self._underway or self._dropping or not self._idle:
            await self.step()
            assert self.quiet < PATIENCE, "vectors did not come"
        for _ in range(5):
            await self.step()
            assert self._idle, "busy with nothing to do"
        errors = {kind: self.errors[kind] for kind in ("short", "long")}
        assert self.seen == Counter(errors), f"errors: expected {errors}, got {self.seen}"
