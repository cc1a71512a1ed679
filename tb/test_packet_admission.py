"""Packet gate: packets whole and in order, each only when there is room for its part."""

from collections import deque
from pathlib import Path
from typing import Any

import cocotb

from caduceus.hdl.common.verilog import write
from caduceus.hdl.tile.packet_admission import PacketAdmission
from caduceus.spec.fabric import PARTS
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.one_stream import OneStream

UNITS = 2
EVERY_PART = (1 << PARTS) - 1
Beat = tuple[int, int, int, int]
"""tdata, tkeep, tlast, part."""


def _prepare(variant: Variant, folder: Path) -> Design:
    return Design([write(PacketAdmission(UNITS), "gate", folder / "gate.v")], "gate")


BENCH = Bench(
    name="packet_admission",
    covers=("packet_admission",),
    variants=(Variant("units2", {"packets": 400}),),
    prepare=_prepare,
)


class Testbed(OneStream):
    """Drives both ends at random; monitors every clock.

    Attributes:
        queue: beats before the input.
        sent, got: beats that went in and came out; taken: the clocks of the latter.
        room: parts with room, one bit each.
        let_in: parts of the admitted packets.
    """

    def start_afresh(self) -> None:
        """Reset the bench's state: nothing inside, nothing offered."""
        self.queue: deque[Beat] = deque()
        self.sent: list[Beat] = []
        self.got: list[Beat] = []
        self.taken: list[int] = []
        self.let_in: list[int] = []
        self.room = EVERY_PART
        self.clock = 0
        self.dut.input_part.value = 0
        self.dut.room.value = self.room
        self._offering = False
        self._midway = False

    def bring(self, part: int, beats: int) -> None:
        """Queue another packet."""
        for number in range(beats):
            data = int(self.random.integers(1 << 8 * UNITS))
            self.queue.append((data, (1 << UNITS) - 1, int(number == beats - 1), part))

    async def step(self) -> None:
        """Pass an edge, and check every port before it."""
        dut, random = self.dut, self.random
        if not self._offering:
            self._offering = bool(self.queue) and bool(random.random() < self.offered)
        dut.input_tvalid.value = int(self._offering)
        beat = self.queue[0] if self._offering else (0, 0, 1, int(random.integers(PARTS)))
        for name, value in zip(("tdata", "tkeep", "tlast", "part"), beat, strict=True):
            getattr(dut, f"input_{name}").value = value
        ready = bool(random.random() < self.readiness)
        dut.output_tready.value, dut.room.value = int(ready), self.room
        await self.edge
        taken = self._offering and bool(dut.input_tready.value)
        begins = taken and not self._midway
        assert bool(dut.take.value) == begins, "take differs"
        if begins:
            part = int(dut.take_part.value)
            assert part == beat[-1] and self.room >> part & 1, f"part {part} has no room"
            self.let_in.append(part)
        if taken:
            self.sent.append(self.queue.popleft())
            self._offering, self._midway = False, not beat[2]
        if dut.output_tvalid.value and ready:
            ports = ("output_tdata", "output_tkeep", "output_tlast", "output_part")
            self.got.append(tuple(int(getattr(dut, name).value) for name in ports))
            self.taken.append(self.clock)
        self.clock += 1

    async def finish(self) -> None:
        """Wait until every packet has passed."""
        self.room = EVERY_PART
        while self.queue or len(self.got) < len(self.sent):
            await self.step()
        assert self.got == self.sent


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pressure=["none", "source", "sink", "both"])
async def any_packets(dut: Any, pressure: str) -> None:
    """Packets pass whole and in order, under random pauses and changing room."""
    bed = Testbed(dut)
    bed.offered = 0.5 if pressure in ("source", "both") else 1.0
    bed.readiness = 0.4 if pressure in ("sink", "both") else 1.0
    await bed.start()
    for _ in range(benches.current()["packets"]):
        bed.bring(int(bed.random.integers(PARTS)), int(bed.random.integers(1, 6)))
    while bed.queue:
        bed.room = int(bed.random.integers(EVERY_PART + 1))
        await bed.step()
    await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def rate_and_waiting(dut: Any) -> None:
    """One beat per clock, one clock later; a packet without room waits, and all behind it."""
    bed = Testbed(dut)
    await bed.start()
    for part in range(PARTS):
        bed.bring(part, 3)
    for _ in range(10):
        await bed.step()
    assert bed.taken == list(range(1, 10))
    stuck = bed.let_in[-1] + 1
    bed.room = EVERY_PART & ~(1 << stuck)
    for _ in range(30):
        await bed.step()
    assert bed.let_in[-1] == stuck - 1 and bed.queue[0][-1] == stuck
    await bed.finish()
