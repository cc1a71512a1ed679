"""Frames: RTL against the package `cobs` and Python's own CRC, with broken frames in between."""

from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from cobs import cobs
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Timer

from caduceus.hdl.common.verilog import write
from caduceus.hdl.host.serial_link import BYTE, CONTENT, COUNT_BITS, FrameReceiver, FrameSender
from caduceus.spec import serial_protocol as protocol
from tb import benches, byte_streams
from tb.benches import Bench, Design, Variant

LAST = 1 << BYTE


class BothEnds(Component):
    """An independent receiver and sender."""

    line_in: In(stream.Signature(BYTE))
    content_out: Out(stream.Signature(CONTENT))
    broken: Out(COUNT_BITS)
    content_in: In(stream.Signature(CONTENT))
    again: In(1)
    busy: Out(1)
    line_out: Out(stream.Signature(BYTE))

    def elaborate(self, platform: object) -> Module:
        """Wires alone."""
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.sender = sender = FrameSender()
        connect(m, flipped(self.line_in), receiver.input)
        connect(m, receiver.output, flipped(self.content_out))
        connect(m, flipped(self.content_in), sender.input)
        connect(m, sender.output, flipped(self.line_out))
        m.d.comb += [
            self.broken.eq(receiver.broken),
            sender.again.eq(self.again),
            self.busy.eq(sender.busy),
        ]
        return m


BENCH = Bench(
    name="serial_link",
    covers=("serial_link",),
    variants=(
        Variant("short", {"frames": 60}),
        Variant("long", {"frames": 2000}, ("verilator",), regress=True),
    ),
    prepare=lambda variant, folder: Design(
        [write(BothEnds(), "both_ends", Path(folder) / "both_ends.v")], "both_ends"
    ),
)


def contents(random: np.random.Generator, count: int) -> list[bytes]:
    """Contents without CRC: of every corner length; without, with some, and with many zeros."""
    most = protocol.CONTENT_MAX - protocol.CRC_BYTES
    lengths = [2, 3, 252, 253, 254, 255, 256, 257, 506, 507, 508, 509, most]
    found = [bytes(lengths_) for lengths_ in (2, most)]
    found += [b"\x01" * length for length in lengths]
    while len(found) < count:
        length = (
            int(random.choice(lengths)) if random.random() < 0.3 else int(random.integers(2, 300))
        )
        drawn = random.integers(0, 256, length)
        drawn[random.random(length) < random.choice([0, 0.01, 0.3, 0.9])] = 0
        found.append(drawn.astype(np.uint8).tobytes())
    return found


def frame(body: bytes) -> bytes:
    """A body with its CRC, encoded, between delimiters."""
    return b"\0" + cobs.encode(body + protocol.crc(body)) + b"\0"


def tokens(body: bytes) -> list[int]:
    """The tokens of a content's stream."""
    return [*body[:-1], body[-1] | LAST]


async def _start(dut: Any) -> None:
    dut.rst.value = 1
    for name in ("line_in_valid", "content_in_valid", "again", "content_out_ready"):
        getattr(dut, name).value = 0
    dut.line_out_ready.value = 0
    await Timer(2, "ns")
    Clock(dut.clk, 2, "ns", impl="gpi").start()
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 1)


def _damaged(random: np.random.Generator, whole: bytes) -> tuple[bytes, int]:
    """A damaged version of a frame, and the number of broken frames that it causes."""
    inner = bytearray(whole[1:-1])
    kind = int(random.integers(6))
    if kind == 5:
        inner.append(1)  # a damaged delimiter, which looks like a zero at the content's end
    elif kind == 0:
        inner[int(random.integers(len(inner)))] ^= 1 << int(random.integers(8))
    elif kind == 1:
        del inner[int(random.integers(len(inner)))]
    elif kind == 2:
        at = int(random.integers(len(inner)))
        inner.insert(at, inner[at])
    elif kind == 3:
        inner = inner[: int(random.integers(1, len(inner)))]
    else:
        inner = bytearray(random.integers(1, 256, int(random.integers(1, 900))).astype(np.uint8))
    broken = 0
    for piece in bytes(inner).split(b"\0"):
        try:
            found = cobs.decode(piece)
        except cobs.DecodeError:
            found = b""
        if protocol.is_whole(found):
            return whole, 0  # the damage had no effect
        broken += bool(piece)
    return b"\0" + bytes(inner) + b"\0", broken


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def received(dut: Any) -> None:
    """Whole frames arrive unchanged; broken ones are dropped and counted."""
    random = benches.generator()
    await _start(dut)
    got: list[int] = []
    cocotb.start_soon(byte_streams.take(dut, "content_out", got, lambda: random.random() < 0.2))
    broken = 0
    for body in contents(random, benches.current()["frames"]):
        if random.random() < 0.5:
            damaged, seen = _damaged(random, frame(body))
            if seen:
                await byte_streams.put(dut, "line_in", damaged)
                broken += seen
        await byte_streams.put(dut, "line_in", frame(body))
        await ClockCycles(dut.clk, 4 * len(body) + 20)
        assert got == tokens(body), f"expected {body.hex()}, got {got}"
        got.clear()
        assert int(dut.broken.value) == broken, f"{broken} broken frames, {int(dut.broken.value)}"
    assert broken > 10


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def dropped_while_busy(dut: Any) -> None:
    """A frame that begins while a content waits is dropped whole; the next one arrives."""
    random = benches.generator()
    await _start(dut)
    first, second, third = contents(random, 23)[-3:]
    await byte_streams.put(dut, "line_in", frame(first))
    cut = len(second) // 2
    await byte_streams.put(dut, "line_in", frame(second)[:cut])
    got: list[int] = []
    cocotb.start_soon(byte_streams.take(dut, "content_out", got))
    await ClockCycles(dut.clk, 4 * len(first) + 20)
    await byte_streams.put(dut, "line_in", frame(second)[cut:])
    await byte_streams.put(dut, "line_in", frame(third))
    await ClockCycles(dut.clk, 4 * len(third) + 20)
    assert got == tokens(first) + tokens(third)
    assert int(dut.broken.value) == 0


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def sent(dut: Any) -> None:
    """Frames equal those of the package, also when sent again."""
    random = benches.generator()
    await _start(dut)
    got: list[int] = []
    cocotb.start_soon(byte_streams.take(dut, "line_out", got, lambda: random.random() < 0.3))
    for body in contents(random, benches.current()["frames"]):
        await byte_streams.put(dut, "content_in", tokens(body), lambda: random.random() < 0.2)
        for again in (False, True):
            dut.again.value = int(again)
            await ClockCycles(dut.clk, 2)
            dut.again.value = 0
            while dut.busy.value:
                await ClockCycles(dut.clk, 1)
            assert bytes(got) == frame(body), f"{body.hex()}, again: {again}"
            got.clear()
