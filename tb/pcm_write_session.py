"""A written array, and the golden model's copy: orders, results, MVMs, comparisons."""

from collections import Counter
from dataclasses import replace
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import Shape
from amaranth.lib import data
from cocotb.triggers import FallingEdge, RisingEdge, with_timeout
from numpy.typing import ArrayLike, NDArray

from caduceus.golden.reference import adc
from caduceus.golden.reference.pcm_array import Crossbar
from caduceus.golden.reference.pcm_writer import PcmWriter, PcmWritten
from caduceus.hdl.array.device_update import RESULT
from caduceus.sim.scoreboard import compare
from caduceus.spec import formats, pcm_state, pcm_write
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.pcm_write import Procedure
from tb import benches, clocks
from tb.pcm_macro import PcmMacro, array_chip, pwm_windows

PATIENCE = (20, "ms")
"""Simulated time before the PCM write of a diagonal is an error."""


def random_targets(
    random: np.random.Generator, chip: Chip, largest: int, sparsity: float = 0.3
) -> NDArray[np.int64]:
    """Targets of a diagonal, [lines]; a share of them is 0."""
    targets = random.integers(-largest, largest + 1, pcm_write.lines(chip))
    return targets * (random.random(targets.shape) >= sparsity)


def random_procedure(random: np.random.Generator, devices: int, longest: int) -> Procedure:
    """The default procedure, or a random one of at most `longest` iterations, 7 or more."""
    if random.random() < 0.5:
        return Procedure(devices)
    return Procedure(
        devices,
        margin=int(random.choice([0, 1, 3, 20, 255])),
        iterations=int(random.choice([0, 1, 2, 7, longest])),
        step=int(random.choice([0, 1, 5, 30, 255])),
        first=int(random.integers(pcm_write.AMPLITUDE_MAX + 1)),
    )


def programmable_state(random: np.random.Generator, chip: Chip, ideal: bool = False) -> PcmState:
    """A state to write to: any codes; converters near nominal and noisy, or ideal."""
    rows, columns = chip.array.rows, chip.array.columns
    codes = random.integers(0, 256, (1, rows, columns, 4), dtype=np.uint8)
    seed = int(random.integers(1 << 64, dtype=np.uint64))
    state = pcm_state.ideal(chip, codes, seed)
    if not ideal:
        for gain in (state.gain_p, state.gain_n):
            gain[:] = gain * random.uniform(0.8, 1.2, columns)
        for offset in (state.offset_p, state.offset_n):
            offset[:] = random.integers(-500, 500, columns)
        state.noise[:] = random.integers(0, 400, columns)
    return state


def exact_state(random: np.random.Generator, chip: Chip) -> PcmState:
    """A state whose verify reads, two counts per code, reveal every code; without noise."""
    state = programmable_state(random, chip, ideal=True)
    top = (1 << formats.GAIN_BITS) - 1
    return replace(
        state, gain_p=np.full_like(state.gain_p, top), gain_n=np.full_like(state.gain_n, top)
    )


class Session:
    """Applies every operation to both sides, and compares them."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.parameters = benches.current()
        self.chip = array_chip(self.parameters)
        array = self.chip.array
        self.macro = PcmMacro(
            dut, array.rows, array.columns, self.chip.ldpu.lanes, "mvm_clk", "clk"
        )
        self.random = benches.generator()
        self.golden: PcmWriter
        self.compared = 0
        self.seen = Counter()

    async def start(self, state: PcmState) -> None:
        """Start clocks, reset, and load `state`."""
        dut = self.dut
        sync_ps, mvm_ps, phase_ps = clocks.RATIOS[self.parameters["clocks"]]
        self.macro.idle()
        self.macro.mvm_ps = mvm_ps
        for name in ("start", "target_write", "result_line"):
            getattr(dut, f"order_{name}").value = 0
        await clocks.start(dut, sync_ps, mvm_ps, phase_ps)
        for name in ("pulsed", "verified"):
            cocotb.start_soon(self._count(name))
        await self.load(state)

    async def load(self, state: PcmState) -> None:
        """Load `state` on both sides."""
        # An order ends on an edge of the other clock, which may coincide with one of this clock.
        await self.macro.clocks(1)
        await self.macro.load(state)
        self.golden = PcmWriter(self.chip, state)
        self.seen.clear()

    async def _count(self, name: str) -> None:
        """Count the unit's pulse or read strobes; there are clocks between them."""
        while True:
            await RisingEdge(getattr(self.dut, name))
            self.seen[name] += 1

    async def order(self, diagonal: int, devices: int, device: int, procedure: Procedure) -> None:
        """Give the unit an order, and wait until it is done."""
        dut = self.dut
        # The last wait may have ended on an edge of the other clock, at this very time.
        await FallingEdge(dut.clk)
        values = {
            "diagonal": diagonal, "devices": devices, "read_device": device,
            "margin": procedure.margin, "iterations": procedure.iterations,
            "step": procedure.step, "first": procedure.first,
        }  # fmt: skip
        for name, value in values.items():
            getattr(dut, f"order_{name}").value = value
        dut.order_start.value = 1
        await RisingEdge(dut.clk)
        dut.order_start.value = 0
        # Registers change after a rising edge; on the falling edge all signals have settled.
        await FallingEdge(dut.clk)
        assert int(dut.busy.value), "order not accepted"
        await with_timeout(FallingEdge(dut.busy), *PATIENCE)
        await RisingEdge(dut.clk)

    async def results(self) -> PcmWritten:
        """The unit's result of every line."""
        dut, words = self.dut, []
        for line in range(pcm_write.lines(self.chip)):
            dut.order_result_line.value = line
            await RisingEdge(dut.clk)
            await FallingEdge(dut.clk)
            words.append(int(dut.order_result.value))
        return unpacked(np.array(words))

    async def program(
        self,
        diagonal: int,
        targets: NDArray[np.int64],
        procedure: Procedure,
        expected: Procedure | None = None,
    ) -> PcmWritten:
        """Program a diagonal on both sides; every reported value must be equal.

        With `expected`, golden follows that procedure.
        """
        dut = self.dut
        await FallingEdge(dut.clk)
        dut.order_target_write.value = 1
        for line, target in enumerate(targets.tolist()):
            dut.order_target_line.value = line
            dut.order_target.value = target % (1 << pcm_write.TARGET_BITS)
            await RisingEdge(dut.clk)
        dut.order_target_write.value = 0
        await self.order(diagonal, procedure.devices, 0, procedure)
        wanted = self.golden.program(diagonal, targets, expected or procedure)
        got = await self.results()
        for name, values in vars(wanted).items():
            self.check(values, getattr(got, name), f"diagonal {diagonal}, {name}")
        self.check(self.golden.pulses, self.seen["pulsed"], f"diagonal {diagonal}, pulses")
        self.check(self.golden.reads, self.seen["verified"], f"diagonal {diagonal}, reads")
        return wanted

    async def read(self, diagonal: int, device: int) -> NDArray[np.int64]:
        """Run a verify read on both sides; the counts must be equal."""
        await self.order(diagonal, 0, device, Procedure(0))
        expected = self.golden.read(diagonal, device)
        got = await self.results()
        self.check(expected, got.error, f"read of device {device}, diagonal {diagonal}")
        self.check(np.full_like(expected, device), got.device, f"device read, {diagonal}")
        return expected

    async def mvm(self, x: NDArray[np.int8], mode: ReadMode, bank: int = 0) -> None:
        """Run an MVM on both sides; all counters must be equal."""
        golden, state = self.golden, self.golden.state()
        counts = adc.convert(
            Crossbar(state, 0).charges(x[np.newaxis], mode), state, 0, mode,
            self.chip.adc.phase_limit, golden.reads,
        )  # fmt: skip
        golden.reads += 1
        self.seen["verified"] += 1  # golden counts MVMs and verify reads together
        await self.macro.clocks(1)
        await self.macro.mvm(pwm_windows(x, mode), bank)
        self.check(np.concatenate(counts), await self.macro.read(bank), f"{mode} MVM")

    async def compare_devices(self) -> None:
        """Read every device; with a state of `exact_state` this reveals every bit of its code."""
        for diagonal in range(pcm_write.diagonals(self.chip)):
            for device in range(len(formats.DEVICES)):
                await self.read(diagonal, device)

    def check(self, expected: ArrayLike, got: ArrayLike, what: str) -> None:
        """Demand equality."""

        def describe(index: tuple[int, ...]) -> str:
            return f"{what}, {index[0]}"

        self.compared += compare(np.atleast_1d(expected), np.atleast_1d(got), describe).compared


def fields(layout: data.StructLayout, words: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Fields of words in this layout, each in the shape of the words."""
    found = {}
    for name, field in layout:
        shape = Shape.cast(field.shape)
        value = words >> field.offset & (1 << shape.width) - 1
        found[name] = value - ((value >> shape.width - 1) << shape.width) * shape.signed
    return found


def unpacked(words: NDArray[np.int64]) -> PcmWritten:
    """Fields of results, [lines] each."""
    found = fields(RESULT, words)
    return PcmWritten(**{**found, "within": found["within"].astype(bool)})
