"""The serial port against the UART of cocotbext-uart, at divisors from the smallest on."""

from pathlib import Path
from typing import Any

import cocotb
from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Timer
from cocotbext.uart import UartSink, UartSource

from caduceus.hdl.common.verilog import write
from caduceus.hdl.host.uart import DATA_BITS, DIVISOR_MIN, UartReceiver, UartTransmitter
from tb import benches, byte_streams
from tb.benches import Bench, Design, Variant

CLOCK_NS = 10


class Port(Component):
    """An independent receiver and transmitter."""

    rx: In(1, init=1)
    tx: Out(1, init=1)
    received: Out(stream.Signature(DATA_BITS))
    sent: In(stream.Signature(DATA_BITS))

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        """Wires alone."""
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        connect(m, receiver.output, flipped(self.received))
        connect(m, flipped(self.sent), transmitter.input)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        return m


def _prepare(variant: Variant, folder: Path) -> Design:
    port = Port(variant.parameters["divisor"])
    return Design([write(port, "uart", folder / "uart.v")], "uart")


BENCH = Bench(
    name="uart",
    covers=("uart",),
    variants=(
        Variant("quickest", {"divisor": DIVISOR_MIN, "bytes": 300}),
        Variant("odd", {"divisor": 7, "bytes": 300}, regress=("verilator",)),
        Variant("slow", {"divisor": 868, "bytes": 20}, ("verilator",), True),
    ),
    prepare=_prepare,
)


def _baud(share: float = 1.0) -> float:
    return 1e9 / (CLOCK_NS * benches.current()["divisor"]) * share


def _quiet(model: Any) -> Any:
    model.log.setLevel("WARNING")
    return model


async def _start(dut: Any) -> None:
    dut.rst.value, dut.rx.value, dut.sent_valid.value, dut.received_ready.value = 1, 1, 0, 0
    await Timer(CLOCK_NS, "ns")
    Clock(dut.clk, CLOCK_NS, "ns", impl="gpi").start()
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    # The host's clock has any phase to the board's.
    await Timer(3, "ns")


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(share=[0.98, 1.0, 1.02])
async def receives(dut: Any, share: float) -> None:
    """Bytes arrive unchanged, also from a host whose clock is 2 % slower or faster."""
    random = benches.generator()
    await _start(dut)
    source = _quiet(UartSource(dut.rx, baud=_baud(share)))
    got: list[int] = []
    cocotb.start_soon(byte_streams.take(dut, "received", got))
    sent = random.bytes(benches.current()["bytes"])
    for start in range(0, len(sent), 10):
        await source.write(sent[start : start + 10])
        await source.wait()
        await Timer(int(random.integers(1, 20 * CLOCK_NS)), "ns")
    await ClockCycles(dut.clk, 2 * benches.current()["divisor"])
    assert bytes(got) == sent


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def transmits(dut: Any) -> None:
    """Bytes leave unchanged."""
    random = benches.generator()
    await _start(dut)
    sink = _quiet(UartSink(dut.tx, baud=_baud()))
    sent = random.bytes(benches.current()["bytes"])
    await byte_streams.put(dut, "sent", sent, lambda: random.random() < 0.9)
    await ClockCycles(dut.clk, 12 * benches.current()["divisor"])
    assert bytes(sink.read_nowait()) == sent


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def disturbances(dut: Any) -> None:
    """A glitch is no byte, nor is a line that stays low; after both, bytes arrive again."""
    await _start(dut)
    bit = CLOCK_NS * benches.current()["divisor"]
    got: list[int] = []
    cocotb.start_soon(byte_streams.take(dut, "received", got))
    dut.rx.value = 0
    await Timer(CLOCK_NS, "ns")
    dut.rx.value = 1
    await Timer(20 * bit, "ns")
    dut.rx.value = 0
    await Timer(50 * bit, "ns")
    dut.rx.value = 1
    await Timer(2 * bit, "ns")
    assert got == []
    source = _quiet(UartSource(dut.rx, baud=_baud()))
    await source.write(b"\x00\xff\x55")
    await source.wait()
    await Timer(2 * bit, "ns")
    assert bytes(got) == b"\x00\xff\x55"
