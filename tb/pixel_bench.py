"""Bench of the pixel receiver: a reference model, packets, and models of both neighbors.

The reference model follows the receiver's docstring.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from caduceus.hdl.tile.pixel_receiver import UNDERWAY_MAX
from caduceus.spec.fabric import PARTS
from tb import benches

CLOCK_NS = 2
PATIENCE = 3000
"""Clocks without progress before the bench counts as hung."""


@dataclass(frozen=True)
class Beat:
    """A beat of the stream: its bytes, one keep bit per byte, and its last flag."""

    data: bytes
    keep: int
    last: bool


@dataclass
class Packet:
    """An admitted packet; one without beats will be dropped."""

    beats: deque[Beat]


@dataclass(frozen=True)
class Job:
    """Configuration of the receiver.

    Attributes:
        lengths: bytes of each part, in turn.
        packets: number of packets per pixel.
        ring: capacity in pixels.
    """

    lengths: tuple[int, ...]
    packets: int
    ring: int

    @property
    def pixel(self) -> int:
        """Bytes of a pixel: equal for all pixels."""
        return sum(self.lengths[: self.packets])

    def length(self, number: int) -> int:
        """Bytes of packet `number`, counted over all packets."""
        return self.lengths[number % len(self.lengths)]


@dataclass
class Expected:
    """Expected outputs of a clock; `writes` are the written bytes, with their address."""

    room: int
    holds: bool
    ready: bool
    busy: bool
    address: int = 0
    writes: bytes = b""
    arrived: bool = False
    short: bool = False
    long: bool = False


@dataclass
class Model:
    """Reference model of the receiver, one clock at a time.

    Attributes:
        come: admitted packets. gone: packets that arrived or were skipped.
        held: pixels between the admission of their first packet and their release.
        dropping: the packet admitted last was dropped, and is not skipped yet.
    """

    job: Job
    units: int
    come: int = 0
    gone: int = 0
    held: int = 0
    dropping: bool = False
    address: int = 0
    had: int = 0
    """Bytes of the present packet that are written."""
    damaged: bool = False
    filling: bool = False
    discarding: bool = False

    def room(self) -> int:
        """Parts that may be admitted, one bit each."""
        first = self.come % self.job.packets == 0
        fits = not first or self.held < self.job.ring
        admits = fits and not self.dropping and self.come - self.gone < UNDERWAY_MAX
        return admits << self.come % len(self.job.lengths)

    def clock(
        self, accept: bool, beat: Beat | None, take: bool, drop: bool, release: bool
    ) -> Expected:
        """Expected outputs of a clock with these inputs; advances the model by the clock."""
        skips = self.dropping and self.come - self.gone == 1
        found = Expected(
            room=self.room(),
            holds=self.held > 0,
            ready=accept and not self.filling,
            busy=self.had > 0 or self.discarding or skips,
            address=self.address,
        )
        ends = skips
        length = self.job.length(self.gone)
        if skips:
            self._move(length)
        if accept and (self.filling or beat):
            # Together with a skipped packet: the surplus of a long packet.
            ends |= self._store(found, length, beat)
        if ends:
            found.arrived = self.gone % self.job.packets == self.job.packets - 1
            self.gone += 1
        self.held += (take and self.come % self.job.packets == 0) - release
        self.come += take
        self.dropping = drop or (self.dropping and not skips)
        return found

    def _store(self, found: Expected, length: int, beat: Beat | None) -> bool:
        """Take a beat, or fill up; returns whether the packet is complete."""
        if self.discarding:
            self.discarding = not beat.last
            return False
        wanted = min(self.units, length - self.had)
        keep = 0 if self.filling else beat.keep
        found.writes = bytes(beat.data[u] if keep >> u & 1 else 0 for u in range(wanted))
        self._move(wanted)
        self.had += wanted
        self.damaged |= keep & (1 << wanted) - 1 != (1 << wanted) - 1
        ends = self.had == length
        if not self.filling:
            found.long = ends and (bool(keep >> wanted) or not beat.last)
            found.short = (ends and self.damaged) or (not ends and beat.last)
            self.discarding = ends and not beat.last
            self.filling = not ends and beat.last
        if ends:
            self.had, self.damaged, self.filling = 0, False, False
        return ends

    def _move(self, step: int) -> None:
        self.address = (self.address + step) % (self.job.ring * self.job.pixel)


@dataclass
class Rates:
    """Shares of clocks: with an admission if possible, a beat offered, accepted, a release."""

    eager: float = 1.0
    offered: float = 1.0
    accepted: float = 1.0
    released: float = 1.0


@dataclass
class Testbed:
    """Drives the receiver as link controller and gather unit; monitors every clock.

    Attributes:
        rates: of the events.
        wrong: share of packets of a wrong length, with holes, or dropped.
        waiting: packets before admission, in order, each with the bytes that it should leave in the
            ring; None if it leaves the old ones.
        expected: these bytes, for admitted packets whose pixel has not arrived.
        ring, wanted: the ring as written, and as expected.
        arrivals: clocks in which pixels arrived.
    """

    dut: Any
    rates: Rates = field(default_factory=Rates)
    wrong: float = 0.0

    def __post_init__(self) -> None:
        self.random = Random(int(benches.generator().integers(1 << 62)))
        self.sizes = benches.current()
        self.units = self.sizes["units"]
        self.edge = RisingEdge(self.dut.clk)
        self._driven: dict[str, int] = {}

    def put(self, **values: int) -> None:
        """Drive inputs; only changes are written, which saves time."""
        for name, value in values.items():
            if self._driven.get(name) != value:
                getattr(self.dut, name).value = self._driven[name] = int(value)

    async def start(self) -> None:
        """Start the clock."""
        self.put(**dict.fromkeys((*self.idle(), "config_enable", "table_write", "parts"), 0), rst=1)
        await Timer(CLOCK_NS, "ns")
        Clock(self.dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        await self.edge

    @staticmethod
    def idle() -> dict[str, int]:
        """Idle inputs."""
        names = ("stream_tvalid", "credit_take", "credit_drop", "release", "accept")
        return dict.fromkeys(names, 0)

    def draw_job(self) -> Job:
        """Any configuration that the registers accept."""
        random, size, rows = self.random, self.sizes["size"], self.sizes["rows"]
        packets = random.choice((1, 1, 2, 3))
        if random.random() < 0.3:  # a packet is a pixel of maximum length
            lengths = (random.randint(1, min(size, self.sizes["payload"])),)
            packets = 1
        else:
            pixel = random.randint(
                packets, min(size, rows if packets == 1 else packets * rows // 2)
            )
            lengths = ()
            for _ in range(random.randint(1, PARTS // packets)):
                lengths += self._split(pixel, packets, rows)
        most = size // sum(lengths[:packets])
        return Job(lengths, packets, random.choice((1, most, random.randint(1, most))))

    def _split(self, pixel: int, packets: int, most: int) -> tuple[int, ...]:
        """Lengths of a pixel's packets, within the maximum length of a part."""
        while True:
            cuts = sorted(self.random.sample(range(1, pixel), packets - 1))
            found = tuple(b - a for a, b in zip([0, *cuts], [*cuts, pixel], strict=True))
            if max(found) <= most:
                return found

    async def configure(self, job: Job, instead: dict[str, int] | None = None) -> None:
        """Reset, and configure; the RTL gets the values of `instead`, if given."""
        self.put(**self.idle(), rst=1, config_enable=0)
        await self.edge
        for number in range(PARTS):
            length = job.lengths[number] if number < len(job.lengths) else 1
            self.put(table_write=1, table_part=number, table_length=min(length, self.sizes["rows"]))
            await self.edge
        values = {
            "config_enable": 1, "config_pixel_bytes": job.pixel, "parts": len(job.lengths),
            "config_pixel_packets": job.packets, "config_ring_pixels": job.ring,
            "config_ring_size": job.ring * job.pixel,
        }  # fmt: skip
        self.put(table_write=0, rst=0, **(values | (instead or {})))
        self.model = Model(job, self.units)
        self.waiting: deque[tuple[bytes | None, Packet]] = deque()
        self.underway: deque[Packet] = deque()
        self.ring = bytearray(job.ring * job.pixel)
        self.wanted = bytearray(job.ring * job.pixel)
        self.expected: deque[bytes | None] = deque()
        self.arrivals: list[int] = []
        self.clocks = self.still = 0
        self._to_drop = self._offering = False

    def bring(self, pixels: int) -> None:
        """Queue the packets of that many pixels."""
        job = self.model.job
        first = self.model.come + len(self.waiting)
        for number in range(first, first + pixels * job.packets):
            length = job.length(number)
            kind = "right"
            if self.random.random() < self.wrong:
                kind = self.random.choice(("short", "long", "longer", "hole", "empty"))
            self.waiting.append(self._packet(length, kind))

    def _packet(self, length: int, kind: str) -> tuple[bytes | None, Packet]:
        """The bytes that a packet should leave, and the packet."""
        random, units = self.random, self.units
        sent = {
            "short": random.randint(1, length),
            "long": length + random.randint(1, units),
            "longer": length + random.randint(1, 5 * units),
        }.get(kind, length)
        payload = random.randbytes(sent)
        if kind == "empty":
            return None, Packet(deque())
        beats, kept = deque(), bytearray(payload)
        for at in range(0, sent, units):
            count = min(units, sent - at)
            keep = (1 << count) - 1
            if kind == "hole" and random.random() < 0.5:
                lost = random.randrange(count)
                keep &= ~(1 << lost)
                kept[at + lost] = 0
            data = payload[at : at + count] + random.randbytes(units - count)  # don't-care
            beats.append(Beat(data, keep, at + units >= sent))
        return bytes(kept[:length]).ljust(length, b"\0"), Packet(beats)

    def _let_in(self) -> tuple[bool, bool]:
        """Whether a packet is admitted in this clock, and whether the last one is dropped."""
        if self._to_drop:
            drops = self.random.random() < 0.5
            self._to_drop = not drops
            return False, drops
        if not (self.waiting and self.model.room() and self.random.random() < self.rates.eager):
            return False, False
        content, packet = self.waiting.popleft()
        self.expected.append(content)
        self._to_drop = not packet.beats
        if packet.beats:
            self.underway.append(packet)
        return True, False

    def _offer(self, ready: Sequence[Packet]) -> Beat | None:
        """The beat on the stream; an offered beat stays until it is taken."""
        if ready and (self._offering or self.random.random() < self.rates.offered):
            self._offering = True
            return ready[0].beats[0]
        return None

    async def step(self) -> None:
        """Pass a clock: drive, monitor everything, and check the pixels that have arrived."""
        draw, rates, model = self.random.random, self.rates, self.model
        come = tuple(self.underway)  # a packet departs in the clock after its admission
        beat = self._offer(come)
        take, drop = self._let_in()
        accept = draw() < rates.accepted
        release = model.held > 0 and draw() < rates.released
        shown = beat or Beat(self.random.randbytes(self.units), self.random.getrandbits(1), False)
        self.put(
            stream_tvalid=beat is not None, stream_tdata=int.from_bytes(shown.data, "little"),
            stream_tkeep=shown.keep, stream_tlast=shown.last, accept=accept, credit_take=take,
            credit_drop=drop, release=release,
        )  # fmt: skip
        await self.edge
        want = model.clock(accept, beat, take, drop, release)
        self._look(want)
        if beat and want.ready:
            self._offering = False
            come[0].beats.popleft()
            if beat.last:
                self.underway.popleft()
        moves = take or want.arrived or want.writes or (beat and want.ready)
        self.still = 0 if moves else self.still + 1
        assert self.still < PATIENCE, "nothing moves"
        self.clocks += 1

    def _look(self, want: Expected) -> None:
        """Check the outputs of a clock."""
        dut = self.dut
        for port, value in (
            ("credit_room", want.room), ("holds", want.holds), ("stream_tready", want.ready),
            ("busy", want.busy), ("write_enable", bool(want.writes)), ("arrived", want.arrived),
            ("too_short", want.short), ("too_long", want.long),
        ):  # fmt: skip
            got = int(getattr(dut, port).value)
            assert got == value, (
                f"clock {self.clocks}: {port}: expected {int(value):#x}, got {got:#x}"
            )
        if want.writes:
            at, count = int(dut.write_address.value), int(dut.write_count.value)
            assert (at, count) == (want.address, len(want.writes)), (
                f"{count} bytes are written at {at}: expected {len(want.writes)} at {want.address}"
            )
            data = int(dut.write_data.value.resolve("zeros")).to_bytes(self.units, "little")
            self.ring[at : at + count] = data[:count]
        if want.arrived:
            self._look_at_pixel()

    def _look_at_pixel(self) -> None:
        """Check the ring's bytes of the pixel that has arrived against its packets."""
        job = self.model.job
        number = len(self.arrivals)
        at = number % job.ring * job.pixel
        place = at
        for packet in range(job.packets):
            length, content = job.length(number * job.packets + packet), self.expected.popleft()
            if content is not None:
                self.wanted[place : place + length] = content
            place += length
        got, wanted = (bytes(ring[at : at + job.pixel]) for ring in (self.ring, self.wanted))
        assert got == wanted, f"pixel {number}: expected {wanted.hex()}, got {got.hex()}"
        self.arrivals.append(self.clocks)

    async def finish(self) -> None:
        """Wait until all packets have arrived and are released; then check that all is idle."""
        while self.waiting or self.model.gone < self.model.come or self.model.held:
            await self.step()
        assert len(self.arrivals) == self.model.come // self.model.job.packets
        for _ in range(4):
            await self.step()
