"""RX buffer: order, capacity, stability, and latency."""

from pathlib import Path
from typing import Any

import cocotb

from caduceus.hdl.common.verilog import write
from caduceus.hdl.tile.rx_buffer import RxBuffer
from caduceus.spec.formats import ACTIVATION_BITS
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.one_stream import Beat, OneStream

MEMORY_CLOCKS = 2
"""Clocks from the arrival of a beat in the memory to its earliest read."""


def _prepare(variant: Variant, folder: Path) -> Design:
    component = RxBuffer(sized(variant.parameters))
    return Design([write(component, "rx_buffer", folder / "rx_buffer.v")], "rx_buffer")


BENCH = Bench(
    name="rx_buffer",
    covers=("rx_buffer",),
    variants=(
        Variant("units1", {"chip": "tiny", "rx": 24, "beats": 2000}),
        Variant("units16", {"chip": "tiny", "lanes": 16, "gather": 16, "rx": 16, "beats": 2000},
                ("icarus",)),
        Variant("hermes", {"chip": "hermes", "beats": 3000}, ("verilator",), True),
    ),
    prepare=_prepare,
)  # fmt: skip


class Testbed(OneStream):
    """Drives both ends at random; monitors every clock.

    Attributes:
        sent, got: beats that went in and that came out.
        inside: number of beats in between.
        taken: the clocks in which beats came out.
        clock: clocks so far.
    """

    def __init__(self, dut: Any) -> None:
        chip = sized(benches.current())
        self.places = chip.buffers.rx // chip.link.units
        self.widths = {"tdata": ACTIVATION_BITS * chip.link.units, "tkeep": chip.link.units,
                       "tlast": 1}  # fmt: skip
        super().__init__(dut)

    def start_afresh(self) -> None:
        """Reset the bench's state: nothing inside, nothing offered."""
        self.sent: list[Beat] = []
        self.got: list[Beat] = []
        self.taken: list[int] = []
        self.clock = 0
        self.offering: Beat | None = None
        self.held_back: Beat | None = None
        self.inside = 0
        self._waited = 0

    def _beat(self) -> Beat:
        widths = self.widths.values()
        bits = [int.from_bytes(self.random.bytes(width // 8 + 1), "little") for width in widths]
        return tuple(b & ((1 << width) - 1) for b, width in zip(bits, widths, strict=True))

    async def step(self, may_offer: bool = True) -> None:
        """Pass an edge, and check every promise of the docstring before it."""
        dut, random = self.dut, self.random
        if self.offering is None and may_offer and random.random() < self.offered:
            self.offering = self._beat()
        beat = self.offering or self._beat()  # invalid beats are don't-care
        dut.input_tvalid.value = int(self.offering is not None)
        for name, value in zip(self.widths, beat, strict=True):
            getattr(dut, f"input_{name}").value = value
        ready = bool(random.random() < self.readiness)
        dut.output_tready.value = int(ready)
        await self.edge
        valid, accepts = bool(dut.output_tvalid.value), bool(dut.input_tready.value)
        assert bool(dut.holds.value) == bool(self.inside), "holds differs"
        began = bool(self.sent) and not self.sent[-1][-1]
        assert bool(dut.midway.value) == began, "midway differs"
        assert accepts or self.inside >= self.places, "tready is 0 with a free place"
        if self.inside:
            self._waited = 0 if valid else self._waited + 1
            assert self._waited <= MEMORY_CLOCKS, "tvalid is 0 though a beat is due"
        else:
            assert valid == (self.offering is not None), "an empty buffer does not pass the beat"
        arrived = accepts and self.offering is not None
        if arrived:
            self.sent.append(self.offering)
            self.inside += 1
            self.offering = None
        came = None
        if valid:
            came = tuple(int(getattr(dut, f"output_{name}").value) for name in self.widths)
        assert self.held_back in (None, came), "beat changed or left before tready"
        self.held_back = None if ready else came
        if came and ready:
            self.got.append(came)
            self.taken.append(self.clock)
            self.inside -= 1
        self.clock += 1

    async def finish(self) -> None:
        """Let all beats out and compare."""
        self.readiness = 1.0
        while self.offering is not None or self.inside:
            await self.step(may_offer=False)
        assert self.got == self.sent


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(pressure=["none", "source", "sink", "both"])
async def order(dut: Any, pressure: str) -> None:
    """No beat is lost, doubled, reordered or changed under any back-pressure."""
    bed = Testbed(dut)
    await bed.start()
    while len(bed.sent) < benches.current()["beats"]:
        bed.offered = bed.random.choice((0.1, 0.6)) if pressure in ("source", "both") else 1.0
        bed.readiness = bed.random.choice((0.1, 0.6)) if pressure in ("sink", "both") else 1.0
        for _ in range(100):
            await bed.step()
    await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def rate_and_latency(dut: Any) -> None:
    """Beats pass at once, one per clock; waiting beats leave one per clock, with one gap."""
    bed = Testbed(dut)
    await bed.start()
    for _ in range(50):
        await bed.step()
    assert bed.taken == list(range(50))
    bed.readiness = 0.0
    while bed.places < 200 and bed.inside <= bed.places:
        await bed.step()
    for _ in range(20):
        await bed.step()
    bed.readiness, before = 1.0, len(bed.taken)
    for _ in range(20):
        await bed.step()
    came = bed.taken[before:]
    assert len(came) >= 20 - MEMORY_CLOCKS and came[-1] - came[MEMORY_CLOCKS] + 1 == len(
        came[MEMORY_CLOCKS:]
    )
    await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def full(dut: Any) -> None:
    """It accepts its capacity in bytes before any read, and stops then."""
    bed = Testbed(dut)
    await bed.start()
    bed.readiness = 0.0
    for _ in range(bed.places + 10):
        await bed.step()
    assert bed.places <= bed.inside <= bed.places + 1
    assert not dut.input_tready.value
    await bed.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_midway(dut: Any) -> None:
    """After a reset with anything inside it is empty, and works."""
    bed = Testbed(dut)
    await bed.start()
    for _ in range(30):
        bed.offered, bed.readiness = 0.7, 0.4
        for _ in range(int(bed.random.integers(1, 30))):
            await bed.step()
        await bed.reset()
        for _ in range(5):
            await bed.step()
        await bed.finish()
