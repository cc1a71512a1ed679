"""Play input vectors through a chip between players and recorders (`sim.chip_harness`), by files.

Python does nothing per clock: that would be the slowest part of a simulation.
"""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer
from cocotb.utils import get_sim_time
from numpy.typing import NDArray

from caduceus.sim import beats
from caduceus.sim.moments import SyncClock
from caduceus.sim.played import LOOK_EVERY_CLOCKS, PATIENCE, Played
from caduceus.spec.chip import Chip
from caduceus.spec.host_packets import OutputVectors, leaving
from caduceus.spec.packets import beat_count, framed, unframed
from caduceus.spec.program import Program

STREAMS = Path("streams")
"""Folder of the players' and recorders' files."""
_CLOCK_BITS = 64


def write_inputs(folder: Path, program: Program, chip: Chip, x: NDArray[np.int8]) -> None:
    """Write the host's packets of each stream: for every vector its parts, in order."""
    units = chip.link.units
    for port in range(len(chip.host.inputs)):
        parts = [
            beats.lines(
                framed(part.stream, x[:, part.start : part.start + part.length], units), units
            )
            for part in program.inputs
            if part.port == port
        ]
        text = "".join("".join(of_vector) for of_vector in zip(*parts, strict=True))
        (folder / f"input_{port}.txt").write_text(text, encoding="ascii")


def expected_beats(program: Program, chip: Chip, vectors: int) -> list[int]:
    """Number of beats on each host output for a number of input vectors."""
    units = chip.link.units
    return [
        vectors
        * sum(1 + beat_count(part.length, units) for part in program.outputs if part.port == port)
        for port in range(len(chip.host.outputs))
    ]


def read_outputs(
    folder: Path, program: Program, chip: Chip, vectors: int
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """The recorded output vectors, and the clock in which each of their values left.

    Returns:
        int8 and int64 [vectors, output_length].

    Raises:
        UserError, AssertionError: the packets do not match the program's outputs.
    """
    units = chip.link.units
    result = OutputVectors(program, vectors, units)
    clocks = np.zeros((vectors, program.output_length), np.int64)
    for port in range(len(chip.host.outputs)):
        path, parts = folder / f"output_{port}.txt", leaving(program, port)
        packets = beats.read_packets(path, units)
        for packet, taken in zip(packets, beats.packet_clocks(path), strict=True):
            vector = result.take(port, packet)
            part = parts[unframed(packet, units)[0]]
            # The first beat is the preamble.
            values = np.repeat(taken[1:], units)[: part.length]
            clocks[vector, part.start : part.start + part.length] = values
    assert not result.missing, f"{result.missing} output packets are missing"
    return result.vectors, clocks


class ChipPlayer:
    """The harness around a chip that is loaded with `program`."""

    def __init__(self, dut: object, chip: Chip, program: Program, sync_half_ps: int) -> None:
        self._dut, self._chip, self._program = dut, chip, program
        self._half_ps = sync_half_ps
        self._look_ps = LOOK_EVERY_CLOCKS * 2 * sync_half_ps
        self._folder = STREAMS
        self._folder.mkdir(exist_ok=True)
        self.expected = 0
        dut.start.value = 0
        for port in range(len(chip.host.inputs)):
            packets_a_vector = sum(part.port == port for part in program.inputs)
            getattr(dut, f"first_{port}").value = packets_a_vector * program.input_pixels

    async def play(
        self,
        x: NDArray[np.int8],
        progress: Callable[[int], None] | None = None,
        outputs: int | None = None,
        count: Callable[[], Awaitable[int]] | None = None,
        patience: int = PATIENCE,
    ) -> Played:
        """Send vectors, int8 [n, input_length], and record the outputs; all streams at full rate.

        Args:
            x: at least one vector.
            progress: called at each check with the number of finished vectors, or the result of
                `count`.
            outputs: number of output vectors; as many as inputs if None.
            count: progress inside the chip, for runs with a long time to the first output.
            patience: checks without progress before the chip counts as hung.

        Raises:
            AssertionError: the chip stopped, or sent packets that the program does not have.
        """
        dut, program, chip = self._dut, self._program, self._chip
        outputs = len(x) if outputs is None else outputs
        write_inputs(self._folder, program, chip, x)
        expected = expected_beats(program, chip, outputs)
        self.expected = sum(expected)
        for port, beats_wanted in enumerate(expected):
            getattr(dut, f"expected_{port}").value = beats_wanted
        started, before = time.monotonic(), self.clocks()
        await self._start()
        recorded, idle = (0, 0), 0
        while not int(dut.done.value):
            await First(RisingEdge(dut.done), Timer(self._look_ps, "ps"))
            beats_out = int(dut.recorded.value)
            now = beats_out, await count() if count else 0
            idle = 0 if now != recorded else idle + 1
            assert idle < patience, f"the chip stopped after {beats_out} of {self.expected} beats"
            recorded = now
            if progress:
                progress(now[1] if count else beats_out * len(x) // self.expected)
        after = self.clocks()
        answered, mask = int(dut.answered.value), (1 << _CLOCK_BITS) - 1
        seconds = time.monotonic() - started
        assert not int(dut.surplus.value), "more beats than expected"
        vectors, clocks = read_outputs(self._folder, program, chip, outputs)
        return Played(
            outputs=vectors,
            began=int(dut.began.value),
            fed=int(dut.fed.value),
            answered=[answered >> _CLOCK_BITS * n & mask for n in range(chip.gdpu.slices)],
            clocks=clocks,
            cycles={name: after[name] - before[name] for name in after},
            seconds=seconds,
            clock=await self.sync_clock(),
        )

    @property
    def recorded(self) -> int:
        """Beats recorded since `play` began."""
        return int(self._dut.recorded.value)

    async def stop(self) -> None:
        """Stop the players. The last packet inside may be partial, so reset the chip."""
        for port in range(len(self._chip.host.inputs)):
            (self._folder / f"input_{port}.txt").write_text("", encoding="ascii")
        for port in range(len(self._chip.host.outputs)):
            getattr(self._dut, f"expected_{port}").value = 0
        await self._start()

    async def _start(self) -> None:
        """Have players and recorders open their files, at a clock of an even number.

        At 400 MHz and 1 GHz the clocks then have the same phase in every run, and packets the same
        latency, however long the host's register accesses took before.
        """
        dut = self._dut
        await RisingEdge(dut.aclk)
        if int(dut.aclk_cycles.value) % 2:
            await RisingEdge(dut.aclk)
        dut.start.value = 1
        await RisingEdge(dut.aclk)
        dut.start.value = 0
        await RisingEdge(dut.aclk)
        await RisingEdge(dut.aclk)

    async def sync_clock(self) -> SyncClock:
        """Simulated time of the harness's rising `sync` edges."""
        await FallingEdge(self._dut.aclk)
        edges, half_ps = int(self._dut.aclk_cycles.value), self._half_ps
        latest_ps = int(get_sim_time("ps")) - half_ps
        return SyncClock(latest_ps - (edges - 1) * 2 * half_ps, 2 * half_ps)

    def clocks(self) -> dict[str, int]:
        """Rising edges of `sync` and `mvm` since the simulation began."""
        dut = self._dut
        return {"sync": int(dut.aclk_cycles.value), "mvm": int(dut.mvm_cycles.value)}
