"""Vector receiver: every group, flag and handshake of good and bad vectors, in any order."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, connect, flipped
from cocotb.clock import Clock
from cocotb.task import Task
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from numpy.typing import NDArray

from caduceus.hdl.common.vector_receiver import VectorReceiver
from caduceus.hdl.common.verilog import write
from caduceus.sim.scoreboard import compare
from caduceus.spec import formats
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.copies import pack, unpack

CLOCK_NS = 2


class Receiver(Component):
    """The receiver, with port names that are no C++ keywords, for Verilator."""

    RENAMED = {"short": "too_short", "long": "too_long"}

    def __init__(self, units: int, groups: int, raw: bool) -> None:
        self._receiver = VectorReceiver(units, groups, raw)
        members = self._receiver.signature.members.items()
        super().__init__({self.RENAMED.get(name, name): member for name, member in members})

    def elaborate(self, platform: object) -> Module:
        """The receiver alone."""
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        for name, member in receiver.signature.members.items():
            inner, outer = getattr(receiver, name), getattr(self, self.RENAMED.get(name, name))
            if member.is_signature:
                connect(m, flipped(outer), inner)
            else:
                m.d.comb += inner.eq(outer) if member.flow == In else outer.eq(inner)
        return m


def _prepare(variant: Variant, folder: Path) -> Design:
    component = Receiver(*(variant.parameters[name] for name in ("units", "groups", "raw")))
    return Design([write(component, "receiver", folder / "receiver.v")], "receiver")


def _parameters(units: int, groups: int, vectors: int = 150, raw: bool = False) -> dict[str, int]:
    return {"units": units, "groups": groups, "vectors": vectors, "raw": raw}


BENCH = Bench(
    name="vector_receiver",
    covers=("vector_receiver",),
    variants=(
        Variant("units1", _parameters(units=1, groups=16)),
        Variant("units2", _parameters(units=2, groups=10), ("icarus",)),
        Variant("units4", _parameters(units=4, groups=4), ("icarus",)),
        Variant("raw", _parameters(units=4, groups=5, raw=True), ("icarus",)),
        Variant("one_group", _parameters(units=4, groups=1), ("icarus",)),
        Variant("hermes", _parameters(units=1, groups=256, vectors=30), ("verilator",), True),
        Variant(
            "long", _parameters(units=4, groups=8, vectors=20_000), ("verilator",), regress=True
        ),
    ),
    prepare=_prepare,
)


@dataclass(frozen=True)
class Packet:
    """A packet of the stream: uint8 [beats, units], and bool [beats, units] of kept units."""

    data: NDArray[np.uint8]
    keep: NDArray[np.bool_]


@dataclass
class Received:
    """The receiver's outputs for one vector; `want` follows from the packet, `got` is monitored."""

    groups: list[list[int]] = field(default_factory=list)
    short: int = 0
    long: int = 0
    padding: int = 0  # groups of padding

    @property
    def good(self) -> bool:
        """Whether it had the right length."""
        return not self.short and not self.long


def understood(packet: Packet, length: int, units: int) -> Received:
    """Expected outputs for `packet`, with vectors of `length` elements."""
    groups = -(-length // units)
    beats = len(packet.data)
    wanted = (np.arange(groups * units) < length).reshape(groups, units)
    data = np.zeros((groups, units), dtype=np.uint8)
    taken = min(groups, beats)
    kept = packet.keep[:taken] & wanted[:taken]
    values = packet.data
    if not benches.current()["raw"]:
        values = np.where(values == 0x80, 0x81, values)  # -128 is read as -127
    data[:taken] = np.where(kept, values[:taken], 0)
    short = beats < groups or bool((wanted[:taken] & ~packet.keep[:taken]).any())
    long = beats > groups or bool((~wanted[:taken] & packet.keep[:taken]).any())
    return Received(data.tolist(), int(short), int(long), max(0, groups - beats))


class Testbed:
    """Drives packets, takes groups, and monitors every clock.

    Attributes:
        want, got: of every vector, in order.
    """

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.random = benches.generator()
        self.units = benches.current()["units"]
        self.most = self.units * benches.current()["groups"]
        self.want: list[Received] = []
        self.got: list[Received] = []
        self.length = 1
        self.offered = self.readiness = 1.0
        self.edge = RisingEdge(dut.clk)
        self._watcher: Task | None = None

    async def start(self) -> None:
        """Start the clock and all tasks."""
        await Timer(CLOCK_NS, "ns")
        Clock(self.dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        self.dut.length.value = self.length
        await self.restart()

    async def restart(self) -> None:
        """Drive idle inputs, reset; the monitor starts anew."""
        if self._watcher:
            self._watcher.cancel()
        for name in ("stream_tvalid", "stream_tlast", "stream_tkeep", "stream_tdata", "ready"):
            getattr(self.dut, name).value = 0
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0
        await self.edge
        self.want, self.got = [], []
        self._watcher = cocotb.start_soon(self._take())

    async def set_length(self, length: int) -> None:
        """Wait until the receiver is between vectors, then change its configuration."""
        while len(self.got) < len(self.want) or self.dut.midway.value:
            await self.edge
        self.length = length
        self.dut.length.value = length
        await self.edge

    async def send(self, packet: Packet) -> None:
        """Send a packet with random pauses; `tvalid` holds until the handshake."""
        dut, beats = self.dut, len(packet.data)
        self.want.append(understood(packet, self.length, self.units))
        for beat in range(beats):
            while self.random.random() > self.offered:
                # All of this is invalid, and so don't-care.
                dut.stream_tdata.value = int(self.random.integers(256))
                dut.stream_tlast.value = int(self.random.integers(2))
                await self.edge
            dut.stream_tvalid.value = 1
            dut.stream_tdata.value = pack(packet.data[beat], formats.ACTIVATION_BITS)
            dut.stream_tkeep.value = pack(packet.keep[beat], 1)
            dut.stream_tlast.value = int(beat == beats - 1)
            await self.edge
            while not dut.stream_tready.value:
                await self.edge
            dut.stream_tvalid.value = 0

    async def _take(self) -> None:
        """Take groups when ready, and reassemble them."""
        dut, current = self.dut, Received()
        leftover = False  # the surplus of a long vector passes
        ready = 0
        while True:
            await self.edge
            valid, last = bool(dut.valid.value), bool(dut.last.value)
            offered, ended = bool(dut.stream_tvalid.value), bool(dut.stream_tlast.value)
            padding, taken = bool(dut.padding.value), bool(dut.stream_tready.value)
            assert bool(dut.midway.value) == (bool(current.groups) or leftover), "midway differs"
            assert not (valid and leftover), "group from the surplus of a long vector"
            assert taken == (leftover or (ready and not padding)), "stream_tready differs"
            assert valid == ((offered or padding) and not leftover), "valid differs"
            errors = int(dut.too_short.value), int(dut.too_long.value)
            if not (valid and ready):
                assert errors == (0, 0), "error flag without a handshake"
            else:
                assert int(dut.group.value) == len(current.groups), "group differs"
                current.groups.append(
                    unpack(int(dut.data.value), formats.ACTIVATION_BITS, self.units).tolist()
                )
                current.short += errors[0]
                current.long += errors[1]
                current.padding += padding
                if last:
                    self.got.append(current)
                    current = Received()
                    leftover = not padding and not ended
            if leftover and offered and taken and ended and not valid:
                leftover = False
            ready = int(self.random.random() < self.readiness)
            dut.ready.value = ready

    async def finish(self) -> None:
        """Wait for the last vector's end, and compare all."""
        await self.set_length(1)
        assert len(self.got) == len(self.want)
        for number, (want, got) in enumerate(zip(self.want, self.got, strict=True)):
            compare(
                want.groups,
                got.groups,
                lambda i, n=number: f"vector {n}, group {i[0]}, unit {i[-1]}",
            )
            assert want == got, f"vector {number}: expected {want}, got {got}"

    def packet(self, kind: str) -> Packet:
        """A random packet, good or bad, for vectors of the present length."""
        random, units, length = self.random, self.units, self.length
        groups = -(-length // units)
        keep = (np.arange(groups * units) < length).reshape(groups, units)
        if kind == "short":  # at least one element is missing at the end
            less = int(random.integers(0, length))
            beats = max(1, -(-less // units))
            keep = (np.arange(beats * units) < less).reshape(beats, units)
        elif kind == "long":  # in the last beat, or in further beats
            more = length + int(random.integers(1, 2 * units + 1))
            beats = -(-more // units)
            keep = (np.arange(beats * units) < more).reshape(beats, units)
        elif kind == "holes":
            keep = keep & (random.random(keep.shape) < 0.9)
            keep[random.integers(groups), :] = False
        elif kind == "anything":
            beats = int(random.integers(1, groups + 4))
            keep = random.random((beats, units)) < random.choice([0.5, 0.95])
        data = random.integers(0, 256, keep.shape, dtype=np.uint8)
        data[random.random(keep.shape) < 0.1] = 0x80
        return Packet(data, keep)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pressure=["none", "stream", "consumer", "both"])
async def good_vectors(dut: Any, pressure: str) -> None:
    """Vectors of every length, back to back and with pauses on either side."""
    bed = Testbed(dut)
    bed.offered = 0.5 if pressure in ("stream", "both") else 1.0
    bed.readiness = 0.4 if pressure in ("consumer", "both") else 1.0
    await bed.start()
    lengths = {
        1,
        bed.units,
        bed.most - 1,
        bed.most,
        *bed.random.integers(1, bed.most + 1, 4).tolist(),
    }
    for length in sorted(lengths - {0}):
        await bed.set_length(length)
        for _ in range(6):
            await bed.send(bed.packet("good"))
    await bed.finish()
    assert all(vector.good for vector in bed.got)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(kind=["short", "long", "holes", "anything"])
async def bad_vectors(dut: Any, kind: str) -> None:
    """After each bad vector the next good one arrives right; each kind sets its own error."""
    bed = Testbed(dut)
    await bed.start()
    vectors = benches.current()["vectors"]
    for number in range(vectors):
        if number % 8 == 0:
            bed.offered, bed.readiness = bed.random.choice([0.4, 1.0], 2)
            await bed.set_length(int(bed.random.integers(1, bed.most + 1)))
        await bed.send(bed.packet(kind))
        if bed.random.random() < 0.5:  # sometimes two bad ones in a row
            await bed.send(bed.packet("good"))
    await bed.finish()
    bad = [vector for vector in bed.got if not vector.good]
    assert len(bad) >= vectors // 2, "too few bad vectors"
    assert len(bed.got) > len(bad), "no good vector"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_midway(dut: Any) -> None:
    """A reset within a vector, its padding or its surplus: the next vector is the first."""
    bed = Testbed(dut)
    bed.readiness = 0.5
    await bed.start()
    for kind in ("good", "short", "long", "anything") * 5:
        await bed.set_length(int(bed.random.integers(1, bed.most + 1)))
        sending = cocotb.start_soon(bed.send(bed.packet(kind)))
        await ClockCycles(dut.clk, int(bed.random.integers(1, 12)))
        sending.cancel()
        await bed.restart()
        await bed.send(bed.packet("good"))
        await bed.finish()
