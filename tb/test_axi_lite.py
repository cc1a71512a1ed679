"""AXI4-Lite bridge: driven by cocotbext-axi's manager, with a model of registers behind it.

The manager's requests, the requests at the model, and the manager's responses must agree access by
access; every response must hold until its handshake.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.task import Task
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiProt, AxiResp
from cocotbext.axi.axil_channels import AxiLiteAWTransaction, AxiLiteWTransaction

from caduceus.hdl.common.axi_lite import AxiLiteBridge
from caduceus.hdl.common.verilog import write
from tb import benches, clocks
from tb.benches import Bench, Design, Variant

CLOCK_NS = 2
FULL = 0xF
"""Strobes of a whole word."""
MODEL_CLOCKS = 2
"""Clocks with `request` of the model's fastest access; the last one has `done`."""


def _prepare(variant: Variant, folder: Path) -> Design:
    return Design([write(AxiLiteBridge(), "bridge", folder / "bridge.v")], "bridge")


BENCH = Bench(
    name="axi_lite",
    covers=("axi_lite",),
    variants=(
        Variant("bridge", {"accesses": 300}),
        Variant("long", {"accesses": 20_000}, ("verilator",), regress=True),
    ),
    prepare=_prepare,
)


@dataclass(frozen=True)
class Access:
    """One access, as on the register bus or at the manager; `data` is the data transferred."""

    write: bool
    address: int
    data: int
    error: bool


@dataclass
class Registers:
    """A model of registers: 64 words from address 0; the last 16 are read-only.

    Attributes:
        slowness: maximum number of wait clocks per access.
        log: accesses that were done or refused, in order.
    """

    dut: Any
    random: np.random.Generator
    slowness: int = 4
    words: dict[int, int] = field(default_factory=dict)
    log: list[Access] = field(default_factory=list)

    WORDS = 64
    WRITABLE = 48

    def access(self, write: bool, address: int, data: int) -> Access:
        """Do an access; a refused one has no effect, and returns random data."""
        place = address // 4
        if address % 4 or place >= (self.WRITABLE if write else self.WORDS):
            return Access(write, address, int(self.random.integers(1 << 32)), True)
        if write:
            self.words[place] = data
        return Access(write, address, self.words.get(place, 0), False)

    async def serve(self) -> None:
        """Answer requests forever; a waiting request must stay stable."""
        dut, edge = self.dut, RisingEdge(self.dut.clk)
        while True:
            dut.bus_done.value = 0
            # Valid only while `done` is 1.
            dut.bus_error.value = int(self.random.integers(2))
            dut.bus_read_data.value = int(self.random.integers(1 << 32))
            await edge
            if not dut.bus_request.value:
                continue
            asked = self._asked()
            for _ in range(self.random.integers(self.slowness + 1)):
                await edge
                assert dut.bus_request.value, "request fell before done"
                assert self._asked() == asked, "request changed before done"
            done = self.access(*asked)
            self.log.append(done)
            dut.bus_done.value = 1
            dut.bus_error.value = int(done.error)
            dut.bus_read_data.value = done.data
            await edge
            assert dut.bus_request.value, "request fell before done"
            assert self._asked() == asked, "request changed before done"

    def _asked(self) -> tuple[bool, int, int]:
        dut = self.dut
        write = bool(dut.bus_write.value)
        return write, int(dut.bus_address.value), int(dut.bus_write_data.value) if write else 0


@dataclass
class Watch:
    """Monitors the AXI signals: responses hold until their handshake; handshake times, in ps."""

    dut: Any
    times: dict[str, list[int]] = field(
        default_factory=lambda: {channel: [] for channel in ("aw", "w", "b", "ar", "r")}
    )
    read_waited: int = 0  # clocks in which a read waited

    async def run(self) -> None:
        """Monitor forever."""
        dut, edge = self.dut, RisingEdge(self.dut.clk)
        payloads = {"b": ("bresp",), "r": ("rdata", "rresp")}
        held: dict[str, tuple[int, ...]] = {}
        while True:
            await edge
            now = get_sim_time("ps")
            for channel, times in self.times.items():
                valid = bool(getattr(dut, f"axi_{channel}valid").value)
                ready = bool(getattr(dut, f"axi_{channel}ready").value)
                if valid and ready:
                    times.append(now)
                self.read_waited += channel == "ar" and valid and not ready
                if channel not in payloads:
                    continue
                assert valid or channel not in held, f"{channel}valid fell without {channel}ready"
                if valid:
                    payload = tuple(int(getattr(dut, f"axi_{x}").value) for x in payloads[channel])
                    assert held.get(channel, payload) == payload, f"a {channel} response changed"
                    held[channel] = payload
                    if ready:
                        del held[channel]


class Testbed:
    """The manager, the model behind the bridge, and the monitor."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.random = benches.generator()
        self.registers = Registers(dut, self.random)
        self.watch = Watch(dut)
        self._tasks: list[Task] = []

    async def start(self) -> None:
        """Start clock, reset, model and monitor."""
        dut = self.dut
        dut.rst.value = 1
        self.manager = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "axi"), dut.clk, dut.rst)
        for half in (self.manager.write_if, self.manager.read_if):
            half.log.setLevel("ERROR")  # it logs every access otherwise
        await Timer(CLOCK_NS, "ns")
        Clock(dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        await self.restart()

    async def restart(self) -> None:
        """Reset; drops accesses in flight; registers keep their contents."""
        dut = self.dut
        for task in self._tasks:
            task.cancel()
        for name in ("done", "error", "read_data"):
            getattr(dut, f"bus_{name}").value = 0
        dut.rst.value = 1
        await ClockCycles(dut.clk, 4)
        dut.rst.value = 0
        await RisingEdge(dut.clk)
        self.registers.log.clear()
        self.watch = Watch(dut)
        self._tasks = [cocotb.start_soon(self.registers.serve())]
        self._tasks.append(cocotb.start_soon(self.watch.run()))

    def pause(self, **shares: float) -> None:
        """Pause channels in these shares of the clocks, for example `pause(aw=0.5, r=0.9)`."""

        def draws(share: float) -> Iterator[bool]:
            while True:
                yield bool(self.random.random() < share)

        halves = {"a": self.manager.read_if, "r": self.manager.read_if}
        for channel, share in shares.items():
            half = self.manager.write_if if channel in ("aw", "w", "b") else halves[channel[0]]
            getattr(half, f"{channel}_channel").set_pause_generator(draws(share))

    def address(self) -> int:
        """An address of the model; sometimes one outside of it."""
        if self.random.random() < 0.1:
            return 4 * int(self.random.integers(Registers.WORDS, 1 << 14))
        return 4 * int(self.random.integers(Registers.WORDS))

    async def write(self, address: int, data: int) -> Access:
        """Write a whole word; returns the manager's access."""
        writing = self.manager.write(address, data.to_bytes(4, "little"))
        seen = await clocks.patiently(writing, f"response to a write to {address:#x}")
        assert seen.resp in (AxiResp.OKAY, AxiResp.SLVERR)
        return Access(True, address, data, seen.resp == AxiResp.SLVERR)

    async def read(self, address: int) -> Access:
        """Read a word; returns the manager's access."""
        reading = self.manager.read(address, 4)
        seen = await clocks.patiently(reading, f"response to a read of {address:#x}")
        assert seen.resp in (AxiResp.OKAY, AxiResp.SLVERR)
        data = int.from_bytes(seen.data, "little")
        return Access(False, address, data, seen.resp == AxiResp.SLVERR)

    def check(self, seen: list[Access]) -> None:
        """Compare the writes, or the reads, of manager and model, in order."""
        did = [access for access in self.registers.log if access.write == seen[0].write]
        assert len(seen) == len(did), f"expected {len(seen)} accesses, got {len(did)}"
        for number, (one, other) in enumerate(zip(seen, did, strict=True)):
            refused_write = one.write and one.error and other.error
            same = one == other or (refused_write and one.address == other.address)
            assert same, f"access {number}: manager {one}, registers {other}"


async def _some(bed: Testbed, writes: bool, count: int) -> list[Access]:
    seen = []
    for _ in range(count):
        if writes:
            seen.append(await bed.write(bed.address(), int(bed.random.integers(1 << 32))))
        else:
            seen.append(await bed.read(bed.address()))
        await ClockCycles(bed.dut.clk, int(bed.random.integers(1, 6)))
    return seen


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def write_then_read(dut: Any) -> None:
    """Single accesses: reads return what was written, refused accesses have no effect."""
    bed = Testbed(dut)
    await bed.start()
    kept = {}
    for _ in range(benches.current()["accesses"] // 2):
        address, data = bed.address(), int(bed.random.integers(1 << 32))
        wrote = await bed.write(address, data)
        assert wrote.error == (address >= 4 * Registers.WRITABLE), f"write to {address:#x}"
        if not wrote.error:
            kept[address] = data
        address = bed.address()
        got = await bed.read(address)
        assert got.error == (address >= 4 * Registers.WORDS), f"read of {address:#x}"
        assert got.error or got.data == kept.get(address, 0), f"read of {address:#x}"


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(
    (
        ("first", "shares"),
        [
            ("either", {}),
            ("either", {"aw": 0.5, "w": 0.5, "b": 0.5, "ar": 0.5, "r": 0.5}),
            ("aw", {"w": 0.9, "r": 0.3}),
            ("w", {"aw": 0.9, "ar": 0.3}),
            ("either", {"b": 0.9, "r": 0.9}),
        ],
    )
)
async def reads_and_writes(dut: Any, first: str, shares: dict[str, float]) -> None:
    """Concurrent reads and writes, with pauses on any channel, address or data first."""
    bed = Testbed(dut)
    await bed.start()
    bed.pause(**shares)
    count = benches.current()["accesses"] // 2
    writing = cocotb.start_soon(_some(bed, True, count))
    bed.check(await _some(bed, False, count))
    bed.check(await writing)
    answers = {channel: len(times) for channel, times in bed.watch.times.items()}
    assert set(answers.values()) == {count}, f"handshakes: {answers}"
    pairs = list(zip(bed.watch.times["aw"], bed.watch.times["w"], strict=True))
    earlier = {"aw": sum(a < w for a, w in pairs), "w": sum(a > w for a, w in pairs)}
    if first != "either":
        assert earlier[first] > count // 2, f"which came earlier: {earlier}"
    assert bed.watch.read_waited, "no read ever waited for a write"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def latency(dut: Any) -> None:
    """An access takes the declared latency from address to response."""
    bed = Testbed(dut)
    await bed.start()
    bed.registers.slowness = 0
    for _ in range(10):
        await bed.write(bed.address(), 1)
        await bed.read(bed.address())
    times = {name: np.array(values) / (1000 * CLOCK_NS) for name, values in bed.watch.times.items()}
    writing = times["b"] - np.maximum(times["aw"], times["w"])
    assert set(writing - MODEL_CLOCKS) == {AxiLiteBridge.WRITE_LATENCY}
    assert set(times["r"] - times["ar"] - MODEL_CLOCKS) == {AxiLiteBridge.READ_LATENCY}


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def queued_accesses(dut: Any) -> None:
    """The manager issues its next access before the last response."""
    bed = Testbed(dut)
    await bed.start()
    bed.registers.slowness = 0
    bed.pause(b=0.2, r=0.2)
    seen = []
    for writes in (True, False, True):
        for _ in range(benches.current()["accesses"] // 30):
            tasks = []
            for _ in range(10):
                # The manager takes accesses in the order of the tasks.
                address, data = bed.address(), int(bed.random.integers(1 << 32))
                access = bed.write(address, data) if writes else bed.read(address)
                tasks.append(cocotb.start_soon(access))
            seen += [await task for task in tasks]
    for writes in (True, False):
        bed.check([access for access in seen if access.write == writes])


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def partial_strobes(dut: Any) -> None:
    """A write without all four strobes gets SLVERR and never reaches the registers."""
    bed = Testbed(dut)
    await bed.start()
    bed.pause(aw=0.3, w=0.3)
    half = bed.manager.write_if
    for strobes in range(FULL + 1):
        address = 4 * (strobes + 1)
        whole = await bed.write(address, 0xA5A5_0000 | strobes)
        assert not whole.error, f"write to {address:#x}"
        accesses = len(bed.registers.log)
        await half.aw_channel.send(AxiLiteAWTransaction(awaddr=address, awprot=AxiProt.NONSECURE))
        await half.w_channel.send(AxiLiteWTransaction(wdata=0x1234_5678, wstrb=strobes))
        # The manager does not wait for the response to a write that it did not issue.
        response = int((await clocks.patiently(half.b_channel.recv(), "the answer")).bresp)
        refused = strobes != FULL
        assert response == (AxiResp.SLVERR if refused else AxiResp.OKAY), f"strobes {strobes:04b}"
        assert len(bed.registers.log) == accesses + (not refused), f"strobes {strobes:04b}"
        got = await bed.read(address)
        kept = 0xA5A5_0000 | strobes if refused else 0x1234_5678
        assert got == Access(False, address, kept, False), f"strobes {strobes:04b}: {got}"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_midway(dut: Any) -> None:
    """After a reset within a read or a write there is no request and no response."""
    bed = Testbed(dut)
    await bed.start()
    bed.registers.slowness = 3
    bed.pause(b=0.7, r=0.7, w=0.5)
    seen = set()
    for number in range(40):
        if number % 2:
            bed.manager.init_write(4, b"\1\2\3\4")
        else:
            bed.manager.init_read(8, 4)
        await ClockCycles(dut.clk, int(bed.random.integers(2, 12)))
        signals = ("bus_request", "axi_bvalid", "axi_rvalid")
        seen |= {name for name in signals if getattr(dut, name).value}
        await bed.restart()
        for name in signals:
            assert not getattr(dut, name).value, f"{name} after a reset"
        data = int(bed.random.integers(1 << 32))
        assert await bed.write(12, data) == Access(True, 12, data, False)
        assert await bed.read(12) == Access(False, 12, data, False)
        assert len(bed.registers.log) == 2, f"unexpected accesses: {bed.registers.log}"
    assert seen == set(signals), f"only {seen} were interrupted"
