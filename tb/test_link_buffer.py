"""Link buffer: order, capacity, stability, full rate, and `next_data`."""

from collections import deque
from pathlib import Path
from typing import Any

import cocotb

from caduceus.hdl.common.verilog import write
from caduceus.hdl.fabric.link_buffer import LinkBuffer
from caduceus.sim.scoreboard import compare
from caduceus.spec.formats import ACTIVATION_BITS
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.one_stream import Beat, OneStream

PLACES = 2


def _prepare(variant: Variant, folder: Path) -> Design:
    component = LinkBuffer(variant.parameters["units"], variant.parameters["user"])
    return Design([write(component, "link_buffer", folder / "link_buffer.v")], "link_buffer")


BENCH = Bench(
    name="link_buffer",
    covers=("link_buffer",),
    variants=(
        Variant("units1", {"units": 1, "user": 0, "beats": 3000}, regress=("verilator",)),
        Variant("units4", {"units": 4, "user": 3, "beats": 3000}),
        Variant("long", {"units": 4, "user": 4, "beats": 200_000}, ("verilator",), regress=True),
    ),
    prepare=_prepare,
)


class Testbed(OneStream):
    """Drives both ends at random; monitors every clock.

    Attributes:
        inside: beats inside.
        clock: clocks so far; taken: the clocks in which beats left.
    """

    def __init__(self, dut: Any) -> None:
        self.widths = {
            "tdata": ACTIVATION_BITS * benches.current()["units"],
            "tkeep": benches.current()["units"],
            "tlast": 1,
        }
        if benches.current()["user"]:
            self.widths["user"] = benches.current()["user"]
        super().__init__(dut)

    def start_afresh(self) -> None:
        """Reset the bench's state: nothing inside, nothing offered."""
        self.inside: deque[Beat] = deque()
        self.sent: list[Beat] = []
        self.got: list[Beat] = []
        self.taken: list[int] = []
        self.clock = 0
        self.offering: Beat | None = None
        self.ready = False
        self.held_back: Beat | None = None  # at the output, not taken
        self.was_ready = False  # the buffer, without a beat at its input
        self.announced: int | None = None  # tdata of this clock, if valid

    def _drive(self, may_offer: bool) -> None:
        dut, random = self.dut, self.random
        if self.offering is None and may_offer and random.random() < self.offered:
            self.offering = self._beat()
        beat = self.offering or self._beat()  # invalid beats are don't-care
        dut.input_tvalid.value = int(self.offering is not None)
        for name, value in zip(self.widths, beat, strict=True):
            getattr(dut, f"input_{name}").value = value
        self.ready = bool(random.random() < self.readiness)
        dut.output_tready.value = int(self.ready)

    def _beat(self) -> Beat:
        return tuple(int(self.random.integers(1 << width)) for width in self.widths.values())

    async def step(self, may_offer: bool = True) -> None:
        """Pass an edge, and check every promise of the docstring before it."""
        dut, inside = self.dut, self.inside
        self._drive(may_offer)
        await self.edge
        valid, accepts = bool(dut.output_tvalid.value), bool(dut.input_tready.value)
        assert valid == bool(inside), "tvalid differs from its reference: a beat is inside"
        assert bool(dut.empty.value) == (not inside), "empty differs"
        assert accepts or len(inside) == PLACES, "tready is 0 with a free place"
        assert not (accepts and len(inside) == PLACES), "tready is 1 without a free place"
        assert accepts or not self.was_ready, "tready fell without a beat"
        beat = None
        if valid:
            beat = tuple(int(getattr(dut, f"output_{name}").value) for name in self.widths)
            assert self.held_back in (None, beat), "beat changed before tready"
            assert beat[0] == self.announced, "next_data differs from the next clock's tdata"
        else:
            assert self.held_back is None, "tvalid fell before tready"
        self.announced = int(dut.next_data.value)
        taken = valid and self.ready
        if taken:
            self.got.append(beat)
            inside.popleft()
            self.taken.append(self.clock)
        self.held_back = beat if valid and not taken else None
        arrived = accepts and self.offering is not None
        if arrived:
            inside.append(self.offering)
            self.sent.append(self.offering)
            self.offering = None
        self.was_ready = accepts and not arrived
        self.clock += 1

    async def finish(self) -> None:
        """Let all beats out and compare."""
        self.readiness = 1.0
        while self.offering is not None or self.inside:
            await self.step(may_offer=False)
        compare(self.sent, self.got, lambda at: f"beat {at[0]}")


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pressure=["none", "source", "sink", "both"])
async def order(dut: Any, pressure: str) -> None:
    """No beat is lost, doubled, reordered or changed under any back-pressure."""
    bed = Testbed(dut)
    bed.offered = 0.5 if pressure in ("source", "both") else 1.0
    bed.readiness = 0.4 if pressure in ("sink", "both") else 1.0
    await bed.start()
    while len(bed.sent) < benches.current()["beats"]:
        await bed.step()
    await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def rate_and_latency(dut: Any) -> None:
    """The first beat leaves one clock after its arrival, then one per clock."""
    bed = Testbed(dut)
    await bed.start()
    for _ in range(50):
        await bed.step()
    assert bed.taken == list(range(1, 50))
    await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def full(dut: Any) -> None:
    """It holds two beats, and goes on at full rate once they can leave."""
    bed = Testbed(dut)
    await bed.start()
    bed.readiness = 0.0
    for _ in range(10):
        await bed.step()
    assert len(bed.inside) == PLACES
    bed.readiness = 1.0
    for _ in range(20):
        await bed.step()
    assert len(bed.got) == 20
    await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_midway(dut: Any) -> None:
    """After a reset with none, one or two beats inside it is empty, and works."""
    bed = Testbed(dut)
    await bed.start()
    seen = set()
    for _ in range(30):
        bed.offered, bed.readiness = 0.7, 0.4
        for _ in range(int(bed.random.integers(1, 8))):
            await bed.step()
        seen.add(len(bed.inside))
        await bed.reset()
        for _ in range(5):
            await bed.step()
        await bed.finish()
    assert seen == {0, 1, 2}
