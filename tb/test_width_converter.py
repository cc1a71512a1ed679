"""Width converter: bytes, packets and order kept, full beats, full rate, and latency."""

from collections import deque
from pathlib import Path
from typing import Any

import cocotb

from caduceus.hdl.common.verilog import write
from caduceus.hdl.common.width_converter import WidthConverter
from caduceus.sim.scoreboard import compare
from caduceus.spec.packets import Beat, beats
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.one_stream import OneStream


def _prepare(variant: Variant, folder: Path) -> Design:
    component = WidthConverter(variant.parameters["from"], variant.parameters["to"])
    return Design([write(component, "width_converter", folder / "converter.v")], "width_converter")


def _variant(source: int, sink: int, *simulators: str) -> Variant:
    parameters = {"from": source, "to": sink, "packets": 400}
    return Variant(f"{source}to{sink}", parameters, simulators or ("icarus", "verilator"))


BENCH = Bench(
    name="width_converter",
    covers=("width_converter",),
    variants=(
        _variant(1, 4),
        _variant(2, 16, "icarus"),
        _variant(4, 1),
        _variant(16, 2, "icarus"),
    ),
    prepare=_prepare,
)


class Testbed(OneStream):
    """Drives both ends at random; monitors every clock.

    Attributes:
        got: beats at the output; taken: their clocks.
        clock: clocks so far.
    """

    def __init__(self, dut: Any) -> None:
        self.source, self.sink = benches.current()["from"], benches.current()["to"]
        super().__init__(dut)

    def start_afresh(self) -> None:
        """Reset the bench's state: nothing inside, nothing offered."""
        self.queue: deque[Beat] = deque()
        self.got: list[Beat] = []
        self.taken: list[int] = []
        self.clock = 0
        self.offering = False
        self.held_back: Beat | None = None

    def packet(self, most: int) -> bytes:
        """Random bytes, 1 to `most` of them."""
        return self.random.bytes(int(self.random.integers(1, most + 1)))

    async def step(self) -> None:
        """Pass an edge, and check every port before it."""
        dut = self.dut
        if not self.offering:
            self.offering = bool(self.queue) and bool(self.random.random() < self.offered)
        # Invalid beats are don't-care.
        junk = tuple(int.from_bytes(self.random.bytes(self.source), "little") for _ in range(2))
        data, keep, last = (
            self.queue[0] if self.offering else (junk[0], junk[1] & ((1 << self.source) - 1), 1)
        )
        dut.input_tvalid.value = int(self.offering)
        dut.input_tdata.value, dut.input_tkeep.value, dut.input_tlast.value = data, keep, last
        ready = bool(self.random.random() < self.readiness)
        dut.output_tready.value = int(ready)
        await self.edge
        beat = None
        if dut.output_tvalid.value:
            keep = int(dut.output_tkeep.value)
            data = int(dut.output_tdata.value)
            # Bytes without keep are don't-care.
            kept = sum(0xFF << 8 * i for i in range(self.sink) if keep >> i & 1)
            beat = Beat(data & kept, keep, int(dut.output_tlast.value))
        assert self.held_back in (None, beat), "beat changed or left before tready"
        if beat and ready:
            self.got.append(beat)
            self.taken.append(self.clock)
        self.held_back = beat if not ready else None
        if self.offering and dut.input_tready.value:
            self.queue.popleft()
            self.offering = False
        self.clock += 1

    async def run(self, packets: list[bytes]) -> None:
        """Send packets and compare the beats at the output."""
        for packet in packets:
            self.queue += beats(packet, self.source)
        expected = [beat for packet in packets for beat in beats(packet, self.sink)]
        idle = 0
        while len(self.got) < len(expected):
            before = len(self.got), len(self.queue)
            await self.step()
            idle = idle + 1 if before == (len(self.got), len(self.queue)) else 0
            assert idle < 200, f"{len(self.got)} of {len(expected)} beats arrived"
        self.offering = False
        for _ in range(5):
            await self.step()
            assert not self.dut.holds.value, "`holds` is 1 after the last beat"
        names = (*(f"byte {byte}" for byte in range(self.sink)), "tkeep", "tlast")
        compare(
            self._fields(expected),
            self._fields(self.got),
            lambda at: f"beat {at[0]}, {names[at[1]]}",
        )

    def _fields(self, found: list[Beat]) -> list[list[int]]:
        return [[*data.to_bytes(self.sink, "little"), keep, last] for data, keep, last in found]


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pressure=["none", "source", "sink", "both"])
async def bytes_and_order(dut: Any, pressure: str) -> None:
    """No byte is lost, doubled, reordered or changed under back-pressure; packets stay apart."""
    bed = Testbed(dut)
    bed.offered = 0.5 if pressure in ("source", "both") else 1.0
    bed.readiness = 0.4 if pressure in ("sink", "both") else 1.0
    await bed.start()
    most = 3 * max(bed.source, bed.sink)
    await bed.run([bed.packet(most) for _ in range(benches.current()["packets"])])


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def rate_and_latency(dut: Any) -> None:
    """The narrower side has one beat per clock; the first arrives as in the docstring."""
    bed = Testbed(dut)
    await bed.start()
    ratio, widens = max(bed.source, bed.sink) // min(bed.source, bed.sink), bed.sink > bed.source
    await bed.run([bed.random.bytes(8 * max(bed.source, bed.sink)) for _ in range(5)])
    step, first = (ratio, ratio) if widens else (1, 0)
    assert bed.taken == [first + step * k for k in range(len(bed.taken))]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def missing_bytes_stay_missing(dut: Any) -> None:
    """A gap before a packet's end neither moves other bytes nor ends the packet."""
    bed = Testbed(dut)
    await bed.start()
    widest = max(bed.source, bed.sink)
    packet = bed.random.bytes(3 * widest)
    sent = beats(packet, bed.source)
    sent[0] = sent[0]._replace(keep=0)
    bed.queue += sent
    while bed.queue or dut.holds.value:
        await bed.step()
    await bed.step()
    kept = [keep >> i & 1 for _, keep, _ in bed.got for i in range(bed.sink)]
    assert kept == [0] * bed.source + [1] * (len(packet) - bed.source)
    assert [last for *_, last in bed.got] == [0] * (len(bed.got) - 1) + [1]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_midway(dut: Any) -> None:
    """After a reset within a packet it is empty, and works."""
    bed = Testbed(dut)
    await bed.start()
    most = 3 * max(bed.source, bed.sink)
    for _ in range(30):
        bed.offered, bed.readiness = 0.7, 0.4
        for _ in range(5):
            bed.queue += beats(bed.packet(most), bed.source)
        for _ in range(int(bed.random.integers(1, 12))):
            await bed.step()
        await bed.reset()
        await bed.step()
        assert not dut.holds.value and not dut.output_tvalid.value
        await bed.run([bed.packet(most) for _ in range(3)])
