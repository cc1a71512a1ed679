"""Driver, monitor and reference state of a GDPU slice with its registers and both streams."""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from numpy.typing import NDArray

from caduceus.golden.reference import gdpu
from caduceus.host.slice import SliceHost
from caduceus.sim.scoreboard import compare
from caduceus.spec import formats, packets
from caduceus.spec.chip import Chip
from caduceus.spec.fabric import NORTH, SOUTH
from caduceus.spec.gdpu_registers import BY_NAME
from caduceus.spec.host_port import OKAY, SLVERR, RegisterPort
from caduceus.spec.program import GdpuConfig, SliceProgram
from tb import benches
from tb.chips import sized
from tb.gdpu_work import described

CLOCK_NS = 2
SIDES = 2
PATIENCE = 4000
"""Clocks before a wait fails."""


@dataclass(frozen=True)
class Beat:
    """A beat of a stream, and the clock of its handshake."""

    data: int
    keep: int
    last: int
    clock: int = 0


class _Port(RegisterPort):
    """Register accesses of the bench, as a host's port."""

    def __init__(self, bench: "SliceBench") -> None:
        self._bench = bench

    async def write(self, address: int, value: int) -> int:
        _, refused = await self._bench.access(True, address, value)
        return SLVERR if refused else OKAY

    async def read(self, address: int) -> tuple[int, int]:
        value, refused = await self._bench.access(False, address)
        return value, SLVERR if refused else OKAY


def bytes_of(values: NDArray[np.int8]) -> list[int]:
    """INT8 values as unsigned bytes."""
    return values.view(np.uint8).tolist()


class SliceBench:
    """Drives one slice, one clock at a time, and keeps the expected state.

    Attributes:
        hidden: int8 [units]. cell: uint16 [units].
        config, enabled, streams, length: its configuration; `enabled` by side, `streams` are the
            preambles `first`, `stream`, `last`.
        running, steps: as the registers of these names.
        counts: VECTORS_IN and VECTORS_OUT.
        offered, readiness: share of clocks with a beat offered, and with `tready`.
        sources: queued beats, by side; `taken`: accepted beats, by side.
        clock: clocks since the start.
        host: the host's procedures on the registers.
    """

    def __init__(self, dut: Any) -> None:
        self.dut, self.random = dut, benches.generator()
        self.chip: Chip = sized(benches.current())
        self.units, self.beat = self.chip.gdpu.units, self.chip.link.units
        self.edge = RisingEdge(dut.clk)
        self.host = SliceHost(_Port(self))
        self.offered = self.readiness = 1.0
        self.clock = 0
        self._forget()

    def _forget(self) -> None:
        """Reset the bench's state."""
        self.hidden = np.zeros(self.units, dtype=np.int8)
        self.cell = np.zeros(self.units, dtype=np.uint16)
        self.running, self.steps, self.counts = False, 0, Counter()
        self.sources: list[deque[Beat]] = [deque() for _ in range(SIDES)]
        self.taken: list[list[Beat]] = [[] for _ in range(SIDES)]
        self.got: list[deque[Beat]] = [deque() for _ in range(SIDES)]
        self._offering, self._ready = [False] * SIDES, [False] * SIDES
        self._held: list[Beat | None] = [None] * SIDES

    async def start(self) -> None:
        """Start the clock, reset, and start the tasks that run in every clock."""
        for name in ("bus_request", "bus_write", "bus_address", "bus_write_data", "in_tdata",
                     "in_tkeep", "in_tlast", "in_tvalid", "out_tready"):  # fmt: skip
            getattr(self.dut, name).value = 0
        self.dut.rst.value = 1
        await Timer(CLOCK_NS, "ns")
        Clock(self.dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        await self.reset()
        cocotb.start_soon(self._streams())

    async def reset(self) -> None:
        """Reset the bench's state and the RTL."""
        dut = self.dut
        dut.rst.value = 1
        dut.in_tvalid.value = dut.out_tready.value = dut.bus_request.value = 0
        self._forget()
        await ClockCycles(dut.clk, 3)
        self._forget()
        dut.rst.value = 0
        await self.edge

    # --- streams ---------------------------------------------------------------------------------

    async def _streams(self) -> None:
        """Transfer beats in every clock."""
        dut = self.dut
        while True:
            await self.edge
            self.clock += 1
            if dut.rst.value:
                continue
            self._look()
            data = keep = last = valid = ready = 0
            for side in range(SIDES):
                source = self.sources[side]
                if not self._offering[side]:
                    self._offering[side] = bool(source) and self.random.random() < self.offered
                if self._offering[side]:
                    beat = source[0]
                    data |= beat.data << side * 8 * self.beat
                    keep |= beat.keep << side * self.beat
                    last |= beat.last << side
                    valid |= 1 << side
                self._ready[side] = bool(self.random.random() < self.readiness)
                ready |= self._ready[side] << side
            dut.in_tdata.value, dut.in_tkeep.value = data, keep
            dut.in_tlast.value, dut.in_tvalid.value = last, valid
            dut.out_tready.value = ready

    def _look(self) -> None:
        """Record the handshakes of the clock that ends now."""
        dut = self.dut
        taken, valid = int(dut.in_tready.value), int(dut.out_tvalid.value)
        for side in range(SIDES):
            if self._offering[side] and taken >> side & 1:
                beat = self.sources[side].popleft()
                self.taken[side].append(Beat(beat.data, beat.keep, beat.last, self.clock))
                self._offering[side] = False
            if not valid >> side & 1:
                assert self._held[side] is None, f"side {side}: tvalid fell before tready"
                continue
            beat = Beat(
                int(dut.out_tdata.value) >> side * 8 * self.beat & (1 << 8 * self.beat) - 1,
                int(dut.out_tkeep.value) >> side * self.beat & (1 << self.beat) - 1,
                int(dut.out_tlast.value) >> side & 1,
            )
            held = self._held[side]
            assert held in (None, beat), f"side {side}: {held} became {beat} before tready"
            self._held[side] = None if self._ready[side] else beat
            if self._ready[side]:
                self.got[side].append(Beat(beat.data, beat.keep, beat.last, self.clock))

    def send(self, side: int, payload: list[int], holes: bool = False) -> None:
        """Queue a packet of bytes; with `holes`, its first payload beat lacks a byte."""
        size = self.beat
        preamble = int(self.random.integers(1 << 8 * min(size, 7)))
        packet = preamble.to_bytes(size, "little") + bytes(payload)
        for number, beat in enumerate(packets.beats(packet, size)):
            keep = beat.keep & ~int(holes and number == 1)
            self.sources[side].append(Beat(beat.data, keep, beat.last))

    async def until(self, what: str, condition: Any) -> None:
        """Wait until the condition holds."""
        for _ in range(PATIENCE):
            if condition():
                return
            await self.edge
        raise AssertionError(f"waited {PATIENCE} clocks for: {what}")

    async def quiet(self) -> None:
        """Wait until every beat was taken and the slice sleeps; no answer may be left over."""
        await self.until("all beats taken", lambda: not any(self.sources))
        await self.until("the slice sleeps", lambda: not int(self.dut.awake.value))
        await ClockCycles(self.dut.clk, 3)
        assert not any(self.got), f"{self.got} without a cause"

    async def packet(self, side: int) -> list[Beat]:
        """Beats of the next packet to a side."""
        got = self.got[side]
        await self.until(f"a packet to side {side}", lambda: any(beat.last for beat in got))
        beats = [got.popleft()]
        while not beats[-1].last:
            beats.append(got.popleft())
        return beats

    async def expect(self, preamble: int) -> list[Beat]:
        """The hidden state as a packet to every enabled side, and to no other."""
        self.counts["VECTORS_OUT"] += 1
        units, size = self.config.units, self.beat
        wanted = bytes_of(self.hidden[:units])
        beats: list[Beat] = []
        for side in range(SIDES):
            if not self.enabled[side]:
                assert not self.got[side], f"side {side} is not enabled"
                continue
            beats = await self.packet(side)
            head, *values = beats
            assert (head.data, head.keep) == (preamble, (1 << size) - 1), f"{head}: no {preamble}"
            keeps = [keep for keep, _ in packets.marks(units, size)]
            assert [beat.keep for beat in values] == keeps, f"wrong tkeep in {values}"
            got = [byte for beat in values for byte in beat.data.to_bytes(size, "little")]
            compare(
                wanted,
                got[:units],
                lambda i: f"unit {i[0]}, hidden state, {described(self.config)}",
            )
            if self.readiness == 1:
                clocks = np.array([beat.clock for beat in beats])
                assert (np.diff(clocks) == 1).all(), f"gaps in a packet: {clocks}"
        return beats

    # --- registers -------------------------------------------------------------------------------

    async def access(self, write: bool, address: int, data: int = 0) -> tuple[int, bool]:
        """Run one access; returns the read data, and whether it was refused."""
        dut = self.dut
        dut.bus_address.value, dut.bus_write_data.value = address, data
        dut.bus_write.value, dut.bus_request.value = write, 1
        for _ in range(PATIENCE):
            await self.edge
            if dut.bus_done.value:
                break
        else:
            raise AssertionError("register access without an end")
        dut.bus_request.value = 0
        value, error = int(dut.bus_read_data.value), bool(dut.bus_error.value)
        await self.edge
        return value, error

    async def status(self, field: str) -> int:
        """A field of STATUS."""
        place = BY_NAME["STATUS"].field(field)
        return await self.host.read("STATUS") >> place.low & 1

    async def configure(
        self,
        config: GdpuConfig,
        enabled: tuple[int, int] = (1, 1),
        streams: tuple[int, int, int] = (1, 2, 3),
        length: int = 0,
    ) -> None:
        """Write the whole configuration; no sequence may be running."""
        self.config, self.enabled, self.streams, self.length = config, enabled, streams, length
        sides = tuple(side for side, on in zip((NORTH, SOUTH), enabled, strict=True) if on)
        await self.host.configure(SliceProgram(0, config, sides, *streams))
        await self.host.write("LENGTH", length)

    async def begin(self, clear: bool = False) -> None:
        """Start a sequence, and check its initial hidden state."""
        if clear:
            self.hidden[:], self.cell[:] = 0, 0
        self.running, self.steps = True, 0
        await self.host.write("CONTROL", int(clear) | 2)
        await self.expect(self.streams[0])

    async def load(self, hidden: NDArray[np.int8], cell: NDArray[np.uint16]) -> None:
        """Write both states."""
        await self.host.load_state(hidden, cell)
        self.hidden, self.cell = np.maximum(hidden, -formats.INT8_MAX), cell.copy()

    def advance(self, gates: NDArray[np.int8]) -> int:
        """Apply one step to the reference state; returns the preamble of its answer."""
        units = self.config.units
        hidden, cell = gdpu.step(self.config, gates[np.newaxis], self.cell[np.newaxis, :units])
        self.hidden[:units], self.cell[:units] = hidden[0], cell[0]
        self.steps += 1
        self.counts["VECTORS_IN"] += 1
        ended = self.length != 0 and self.steps >= self.length
        self.running = not ended
        return self.streams[2 if ended else 1]

    async def check(self, errors: int = 0) -> None:
        """Read back all registers and states, once the slice is idle."""
        await self.quiet()
        hidden, cell = await self.host.state(self.units)
        compare(self.hidden, hidden, lambda i: f"hidden state of unit {i[0]} in its register")
        compare(self.cell, cell, lambda i: f"cell state of unit {i[0]} in its register")
        for name in ("VECTORS_IN", "VECTORS_OUT"):
            assert await self.host.read(name) == self.counts[name], name
        assert await self.host.read("STEPS") == self.steps
        expected = int(self.running) << 1 | (errors != 0) << 2
        assert await self.host.read("STATUS") == expected, "STATUS"
        assert await self.host.read("ERROR") == errors, "ERROR"
        assert int(self.dut.error.value) == (errors != 0)
        await self.host.write("ERROR", errors)
        assert await self.host.read("ERROR") == 0
