"""The bridge against its golden twin, with the models of cocotbext-axi in the chip's place."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cobs import cobs
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteSlave,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from caduceus.golden.serial_bridge import SerialBridge as Golden
from caduceus.hdl.common.verilog import write
from caduceus.hdl.host.serial_bridge import CONTROL, FIFO_BYTES, SerialBridge
from caduceus.spec import serial_protocol as protocol
from caduceus.spec.chip import Chip
from caduceus.spec.host_port import OKAY, SLVERR, HostPort, finish
from caduceus.spec.serial_protocol import Operation, Reply, Request, Status
from tb import benches, byte_streams
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.tile_bench import pauses

CLOCK_NS = 2
WORDS = 64
"""Registers from address 0 on; no others exist."""
PATIENCE = 40_000


def _prepare(variant: Variant, folder: Path) -> Design:
    bridge = SerialBridge(sized(variant.parameters))
    verilog = write(bridge, "serial_bridge", folder / "serial_bridge.v")
    return Design([CONTROL, verilog], "serial_bridge")


BENCH = Bench(
    name="serial_bridge",
    covers=("serial_bridge",),
    variants=(
        Variant("tiny", {"chip": "tiny", "requests": 70}, regress=("verilator",)),
        Variant("wide", {"chip": "tiny", "lanes": 4, "requests": 70}, ("verilator",)),
        Variant("long", {"chip": "tiny", "lanes": 2, "requests": 3000}, ("verilator",), True),
    ),
    prepare=_prepare,
)


@dataclass
class Memory(HostPort):
    """The chip behind the golden bridge: some registers, and unconnected streams.

    Attributes:
        got: packets sent, by port.
        open: bytes of a packet without its end so far, by port.
        waiting: packets to be received, by port.
    """

    ports: tuple[int, int]
    words: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        inputs, outputs = self.ports
        self.got: list[list[bytes]] = [[] for _ in range(inputs)]
        self.open = [b""] * inputs
        self.waiting: list[deque[bytes]] = [deque() for _ in range(outputs)]

    async def write(self, address: int, value: int) -> int:
        """Write a register."""
        if address >= WORDS * 4:
            return SLVERR
        self.words[address] = value
        return OKAY

    async def read(self, address: int) -> tuple[int, int]:
        """Read a register."""
        return (0, SLVERR) if address >= WORDS * 4 else (self.words.get(address, 0), OKAY)

    async def send(self, port: int, data: bytes, last: bool) -> int:
        """Take everything."""
        self.open[port] += data
        if last:
            self.got[port].append(self.open[port])
            self.open[port] = b""
        return len(data)

    async def receive(self, port: int, most: int) -> tuple[bytes, bool]:
        """Return bytes of the first waiting packet."""
        if not self.waiting[port]:
            return b"", False
        first = self.waiting[port].popleft()
        if len(first) > most:
            self.waiting[port].appendleft(first[most:])
        return first[:most], len(first) <= most

    async def reset(self) -> None:
        """Drop the packets."""
        self.__post_init__()


class _Target:
    """The registers as an AXI4-Lite subordinate, which signals an error by an exception."""

    def __init__(self) -> None:
        self.words: dict[int, int] = {}

    async def write(self, address: int, data: bytes) -> None:
        assert len(data) == 4 and not address % 4
        if address >= WORDS * 4:
            raise IndexError(address)
        self.words[address] = int.from_bytes(data, "little")

    async def read(self, address: int, length: int) -> bytes:
        if address >= WORDS * 4:
            raise IndexError(address)
        return self.words.get(address, 0).to_bytes(length, "little")


class Testbed:
    """The bridge with everything around it, and its golden twin."""

    def __init__(self, dut: Any, chip: Chip, random: np.random.Generator) -> None:
        self.dut, self.chip, self.random = dut, chip, random
        self.units = chip.link.units
        ports = len(chip.host.inputs), len(chip.host.outputs)
        self.memory = Memory(ports)
        self.golden = Golden(chip, self.memory)
        self.target = _Target()
        slave = AxiLiteSlave(AxiLiteBus.from_prefix(dut, "axil"), dut.clk, dut.rst, self.target)
        self.sinks = [
            AxiStreamSink(AxiStreamBus.from_prefix(dut, f"to_chip_{p}"), dut.clk, dut.rst)
            for p in range(ports[0])
        ]
        self.sources = [
            AxiStreamSource(AxiStreamBus.from_prefix(dut, f"from_chip_{p}"), dut.clk, dut.rst)
            for p in range(ports[1])
        ]
        for model in (slave.write_if, slave.read_if, *self.sinks, *self.sources):
            model.log.setLevel("ERROR")
        for channel in ("aw", "w", "b"):
            getattr(slave.write_if, f"{channel}_channel").set_pause_generator(pauses(random, 0.3))
        for channel in ("ar", "r"):
            getattr(slave.read_if, f"{channel}_channel").set_pause_generator(pauses(random, 0.3))
        self._line: list[int] = []
        self.sequence = 0

    @classmethod
    async def start(cls, dut: Any) -> "Testbed":
        """Clock and reset."""
        dut.rst.value, dut.input_valid.value, dut.output_ready.value = 1, 0, 0
        chip = sized(benches.current())
        for p in range(len(chip.host.inputs)):
            getattr(dut, f"to_chip_{p}_tready").value = 0
        for p in range(len(chip.host.outputs)):
            getattr(dut, f"from_chip_{p}_tvalid").value = 0
        for name in ("awready", "wready", "arready", "bvalid", "rvalid"):
            getattr(dut, f"axil_{name}").value = 0
        await Timer(CLOCK_NS, "ns")
        Clock(dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        await ClockCycles(dut.clk, 2)
        bed = cls(dut, chip, benches.generator())
        await ClockCycles(dut.clk, 4)
        dut.rst.value = 0
        await ClockCycles(dut.clk, 2)
        random = bed.random
        taking = byte_streams.take(dut, "output", bed._line, lambda: random.random() < 0.1)
        cocotb.start_soon(taking)
        return bed

    async def exchange(self, content: bytes) -> bytes:
        """Send a frame with this content to both bridges; returns their common answer."""
        frame = b"\0" + cobs.encode(content) + b"\0"
        expected = finish(self.golden.take(frame))
        await byte_streams.put(self.dut, "input", frame)
        for _ in range(PATIENCE):
            if len(self._line) >= len(expected):
                break
            await RisingEdge(self.dut.clk)
        got, self._line[:] = bytes(self._line), []
        assert got == expected, f"{content.hex()}: expected {expected.hex()}, got {got.hex()}"
        return got

    async def request(
        self, operation: int, payload: bytes = b"", sequence: int | None = None
    ) -> Reply:
        """Send a request; without `sequence` it has the next sequence number."""
        if sequence is None:
            self.sequence = sequence = (self.sequence + 1) % protocol.SEQUENCES
        frame = await self.exchange(Request(sequence, operation, payload).content())
        return Reply.parse(cobs.decode(frame[1:-1]))

    async def hello(self) -> Reply:
        """Begin a session at some sequence number."""
        self.sequence = int(self.random.integers(256))
        payload = self.random.bytes(4)
        return await self.request(Operation.HELLO, payload, self.sequence)

    async def arrive(self, port: int, packet: bytes) -> None:
        """Have the chip send a packet, if the bridge has room, and wait until it has arrived."""
        taken = sum(-(-len(each) // self.units) for each in [*self.memory.waiting[port], packet])
        if taken * self.units > FIFO_BYTES:
            return
        self.memory.waiting[port].append(packet)
        await self.sources[port].send(AxiStreamFrame(packet))
        await self.sources[port].wait()
        await ClockCycles(self.dut.clk, 4)

    async def check_packets(self) -> None:
        """Compare the packets to the chip with those of the golden bridge."""
        for sink, expected in zip(self.sinks, self.memory.got, strict=True):
            for _ in range(PATIENCE // 50):
                if sink.count() >= len(expected):
                    break
                await ClockCycles(self.dut.clk, 50)
        for number, (sink, expected) in enumerate(zip(self.sinks, self.memory.got, strict=True)):
            got = [bytes(sink.recv_nowait().tdata) for _ in range(sink.count())]
            assert got == expected, f"input {number}: expected {expected}, got {got}"
            expected.clear()


def _words(words: Sequence[int]) -> bytes:
    return b"".join(int(word).to_bytes(4, "little") for word in words)


def _drawn(bed: Testbed, operation: Operation) -> bytes:
    """A random payload of an operation."""
    random, units = bed.random, bed.units
    size = int(random.choice([1, 2, 3, 20, 60]))
    step = int(random.choice([0, 4, 8, -4]))
    address = 4 * int(
        random.choice([random.integers(WORDS), WORDS - 2, 1 << 28], p=[0.8, 0.1, 0.1])
    )
    match operation:
        case Operation.WRITE:
            words = _words(random.integers(0, 1 << 32, size))
            extra = random.bytes(int(random.random() < 0.1))
            return protocol.arguments(operation, address=address, step=step) + words + extra
        case Operation.READ:
            count = size if random.random() < 0.95 else 2000
            return protocol.arguments(operation, address=address, step=step, count=count)
        case Operation.SEND:
            port, last = int(random.integers(3)), int(random.integers(2))
            length = int(random.integers(1, 300))
            if not last and random.random() < 0.9:
                length = -(-length // units) * units
            return protocol.arguments(operation, port=port, last=last) + random.bytes(length)
        case Operation.RECEIVE:
            return protocol.arguments(operation, port=int(random.choice([0, 1, 1, 2])))
        case Operation.HELLO:
            return random.bytes(4)
    return b""


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def any_requests(dut: Any) -> None:
    """Both bridges answer and act alike on any request, in order or not."""
    bed = await Testbed.start(dut)
    random = bed.random
    seen = dict.fromkeys(Status, 0)
    assert (await bed.request(Operation.READ, bytes(8), 77)).status == Status.LOST
    await bed.hello()
    for _ in range(benches.current()["requests"]):
        operation = Operation(int(random.choice(Operation, p=[0.04, 0.06, 0.3, 0.2, 0.2, 0.2])))
        payload = _drawn(bed, operation)
        if operation is Operation.RECEIVE and random.random() < 0.7:
            length = int(random.choice([1, 2, 7, 100, 505, 506, 507, 508, 509, 1100]))
            await bed.arrive(payload[0] % 2, random.bytes(max(length, 1)))
        kind = random.random()
        if kind < 0.05:
            payload = payload[: int(random.integers(len(payload) + 1))]
        elif kind < 0.1:
            operation = int(random.choice([0, 7, 127, 200]))
        if operation == Operation.RESET:
            # The models on the streams have no reset, and would continue a packet.
            for port, packet in enumerate(bed.memory.open):
                if packet:
                    end = protocol.arguments(Operation.SEND, port=port, last=1) + b"end"
                    await bed.request(Operation.SEND, end)
            await bed.check_packets()
        sequence = None
        if operation == Operation.HELLO:
            bed.sequence = sequence = int(random.integers(256))
        reply = await bed.request(operation, payload, sequence)
        seen[Status(reply.status)] += 1
        kind = random.random()
        if kind < 0.2:
            await bed.request(operation, payload, bed.sequence)
        elif kind < 0.25:
            lost = await bed.request(operation, payload, (bed.sequence + 2) % 256)
            seen[Status(lost.status)] += 1
            await bed.hello()
        elif kind < 0.35:
            broken = bytearray(Request(bed.sequence + 1 & 255, 3, bytes(10)).content())
            broken[int(random.integers(len(broken)))] ^= 0x10
            assert await bed.exchange(bytes(broken)) == b""
    await bed.check_packets()
    assert bed.target.words == bed.memory.words
    assert all(seen.values()), f"a status is missing among the answers: {seen}"
    assert int.from_bytes((await bed.hello()).payload[5:7], "little") == bed.golden.broken > 0


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def addresses_wrap(dut: Any) -> None:
    """Addresses of a request have 32 bits, all of them decoded, and wrap at both ends."""
    bed = await Testbed.start(dut)
    await bed.hello()
    read, write = Operation.READ, Operation.WRITE
    whole = 1 << 32
    # No registers below 0 or beyond the last one: the words before are done.
    ends = [(8, -4, 3), (0, -0x8000, 1), (4 * WORDS - 8, 4, 2), (whole - 4, 4, 0), (0, 0x7FFC, 1)]
    for address, step, done in [*ends, *((1 << bit, 4, 0) for bit in range(8, 32))]:
        address %= whole
        words = _words(bed.random.integers(0, whole, 5))
        payload = protocol.arguments(write, address=address, step=step) + words
        reply = await bed.request(write, payload)
        assert (reply.status, int.from_bytes(reply.payload, "little")) == (Status.BUS_ERROR, done)
        payload = protocol.arguments(read, address=address, step=step, count=5)
        reply = await bed.request(read, payload)
        assert (reply.status, len(reply.payload)) == (Status.BUS_ERROR, 4 * done)
        assert reply.payload == words[: 4 * done]
    assert bed.target.words == bed.memory.words


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def no_room(dut: Any) -> None:
    """A packet without room is refused; when sent again, it arrives whole and once."""
    bed = await Testbed.start(dut)
    await bed.hello()
    bed.sinks[0].pause = True
    packet = bed.random.bytes(FIFO_BYTES + 600)
    rest, refused = packet, 0
    while rest:
        piece = rest[: protocol.send_max(bed.units)]
        last = int(len(piece) == len(rest))
        payload = protocol.arguments(Operation.SEND, port=0, last=last) + piece
        bed.sequence = (bed.sequence + 1) % 256
        content = Request(bed.sequence, Operation.SEND, payload).content()
        # Twice: the board must not accept anything again.
        for _ in range(2):
            bed._line.clear()
            await byte_streams.put(dut, "input", b"\0" + cobs.encode(content) + b"\0")
            while len(bed._line) < 2 or bed._line[-1]:
                await ClockCycles(dut.clk, 5)
        reply = Reply.parse(cobs.decode(bytes(bed._line).strip(b"\0")))
        taken = int.from_bytes(reply.payload, "little")
        assert taken % bed.units == 0 or (last and taken == len(piece))
        refused += taken < len(piece)
        if refused > 3:
            bed.sinks[0].pause = False
            await ClockCycles(dut.clk, 600)
        rest = rest[taken:]
    assert refused > 3
    got = await bed.sinks[0].recv()
    assert bytes(got.tdata) == packet and bed.sinks[0].empty()


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def part_of_a_beat(dut: Any) -> None:
    """Only the last beat of a packet may be partial: all whole beats before are sent."""
    bed = await Testbed.start(dut)
    await bed.hello()
    data = bed.random.bytes(5 * bed.units)
    sent = b""
    for length in range(1, 3 * bed.units):
        payload = protocol.arguments(Operation.SEND, port=0, last=0) + data[:length]
        reply = await bed.request(Operation.SEND, payload)
        part = length % bed.units
        assert reply.status == (Status.REFUSED if part else Status.DONE)
        assert int.from_bytes(reply.payload, "little") == length - part
        sent += data[: length - part]
    payload = protocol.arguments(Operation.SEND, port=0, last=1) + data[:-1]
    assert (await bed.request(Operation.SEND, payload)).status == Status.DONE
    assert bed.memory.got[0] == [sent + data[:-1]]
    await bed.check_packets()


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def chip_waits(dut: Any) -> None:
    """No packet of the chip is lost while nobody receives it."""
    bed = await Testbed.start(dut)
    await bed.hello()
    packets = [bed.random.bytes(700) for _ in range(2 * FIFO_BYTES // 700)]
    for packet in packets:
        bed.memory.waiting[1].append(packet)
        await bed.sources[1].send(AxiStreamFrame(packet))
    await ClockCycles(dut.clk, FIFO_BYTES + 100)
    assert not int(dut.from_chip_1_tready.value), "the FIFO never fills up"
    found, packet = [], b""
    while len(found) < len(packets):
        reply = await bed.request(Operation.RECEIVE, b"\1")
        await ClockCycles(dut.clk, 600)
        packet += reply.payload[:-1]
        if reply.payload[-1]:
            found.append(packet)
            packet = b""
    assert found == packets
