"""GDPU datapath: pre-activations to hidden and cell state against golden, with random gaps."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, Timer
from numpy.typing import NDArray

from caduceus.golden.reference import gdpu
from caduceus.hdl.common.verilog import write
from caduceus.hdl.gdpu.gdpu import Gdpu, units_per_group
from caduceus.sim.scoreboard import Mismatch, With, compare
from caduceus.spec import formats
from caduceus.spec.gdpu import GATES
from caduceus.spec.program import GdpuConfig
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.copies import pack, unpack
from tb.gdpu_work import KINDS, described, random_bits, random_config, random_gates

CLOCK_NS = 2
BYTE = formats.ACTIVATION_BITS


def _prepare(variant: Variant, folder: Path) -> Design:
    return Design([write(Gdpu(sized(variant.parameters)), "gdpu", folder / "gdpu.v")], "gdpu")


def _lanes(lanes: int, units: int) -> dict[str, Any]:
    return {"chip": "tiny", "columns": 32, "gdpu_lanes": lanes, "gdpu_units": units, "steps": 4}


BENCH = Bench(
    name="gdpu",
    covers=("gdpu", "state_memory"),
    variants=(
        Variant("tiny", {"chip": "tiny", "steps": 6}, ("icarus",)),
        Variant("lanes2", _lanes(2, 3), ("icarus",)),
        Variant("lanes4", _lanes(4, 5), ("icarus",), regress=True),
        Variant("lanes8", _lanes(8, 6), ("icarus",), regress=True),
        Variant("hermes", {"chip": "hermes", "steps": 12}, ("verilator",)),
        Variant("hermes_wide", {"chip": "hermes_wide", "steps": 300}, ("verilator",), regress=True),
    ),
    prepare=_prepare,
)  # fmt: skip


class Testbed:
    """Drives one GDPU and keeps the expected cell state.

    Attributes:
        cell: uint16 [units].
    """

    def __init__(self, dut: Any) -> None:
        self.dut, self.random = dut, benches.generator()
        self.component = Gdpu(sized(benches.current()))
        self.shape = sized(benches.current()).gdpu
        self.paths = units_per_group(sized(benches.current()))
        self.cell = np.zeros(self.shape.units, dtype=np.uint16)
        self.edge = RisingEdge(dut.clk)

    async def start(self) -> None:
        """Idle inputs, clock and reset."""
        for name in ("valid", "clear", "cell_write", "cell_unit", "group", "values"):
            getattr(self.dut, name).value = 0
        self.configure(random_config(self.random, 1, "plausible"))
        await Timer(CLOCK_NS, "ns")
        Clock(self.dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        await self.reset()

    async def reset(self) -> None:
        """Reset, which also clears the cell state; returns just after the first clock without."""
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0
        await self.edge
        self.cell[:] = 0

    def configure(self, config: GdpuConfig) -> None:
        """Values to drive from here on."""
        dut, self.config = self.dut, config
        for name in ("input_scale", "input_offset"):
            values = np.array(getattr(config, name))
            getattr(dut, name).value = pack(values, formats.FP16_BITS)
        for name in ("units", "output_scale", "output_offset"):
            getattr(dut, name).value = getattr(config, name)

    async def step(self, gates: NDArray[np.int8], gaps: float) -> None:
        """Drive a vector [4 * units], its last group filled up, and check its answer.

        Without gaps, the answer's groups come at the rate of the vector's groups.
        """
        dut, lanes, units = self.dut, self.shape.lanes, self.config.units
        groups = -(-len(gates) // lanes)
        filled = self.random.integers(-127, 128, groups * lanes, dtype=np.int8)
        filled[: len(gates)] = np.maximum(gates, -formats.INT8_MAX)
        words = [pack(row.view(np.uint8), BYTE) for row in filled.reshape(groups, lanes)]
        results, times, ended, clock, sent = [], [], 0, 0, 0
        patience = 10 * groups + self.component.latency + 10
        finished = -(-units // self.paths)
        while len(results) < finished:
            goes = sent < groups and self.random.random() >= gaps
            dut.valid.value = goes
            dut.values.value = words[sent] if goes else int(self.random.integers(1 << lanes * 7))
            dut.group.value = min(sent, groups - 1)
            await self.edge
            if dut.result_valid.value:
                assert int(dut.result_group.value) == len(results), "results out of order"
                results.append(unpack(int(dut.result.value), BYTE, self.paths))
                times.append(clock)
            if goes:
                sent, ended = sent + 1, clock
            clock += 1
            assert clock < patience, f"{len(results)} groups of results in {clock} clocks"
        dut.valid.value = 0
        took = times[-1] - ended
        assert took == self.component.latency, f"the last result came {took} clocks later"
        if not gaps:
            period = max(1, len(GATES) // lanes)
            assert (np.diff(times) == period).all(), f"not one group in {period} clocks: {times}"
        got = np.concatenate(results).astype(np.uint8).view(np.int8)[:units]
        hidden, cell = gdpu.step(self.config, gates[np.newaxis], self.cell[np.newaxis, :units])
        before = self.cell.copy()
        compare(
            hidden[0], got,
            lambda i: With(
                f"unit {i[0]}, hidden state", described(self.config, i[0], gates, before)
            ),
        )  # fmt: skip
        self.cell[:units] = cell[0]

    async def write_cell(self, values: NDArray[np.uint16]) -> None:
        """Write every unit's cell state, in random order."""
        dut = self.dut
        for unit in self.random.permutation(len(values)).tolist():
            dut.cell_unit.value, dut.cell_data.value = unit, int(values[unit])
            dut.cell_write.value = 1
            await self.edge
        dut.cell_write.value = 0
        self.cell = values.copy()

    async def check_cell(self) -> None:
        """Read every unit's cell state and compare; NaNs that the host wrote stay bit by bit."""
        got = np.empty_like(self.cell)
        for unit in self.random.permutation(len(got)).tolist():
            self.dut.cell_unit.value = unit
            await ClockCycles(self.dut.clk, 2)
            got[unit] = int(self.dut.cell_value.value)
        compare(self.cell, got, lambda i: With(f"unit {i[0]}, cell state", described(self.config)))


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(kind=list(KINDS), gaps=[0.0, 0.3])
async def steps(dut: Any, kind: str, gaps: float) -> None:
    """Consecutive steps, each from the state of the last one, for all units and for some."""
    bed = Testbed(dut)
    await bed.start()
    for number in range(benches.current()["steps"]):
        if number % 2 == 0:
            some = int(bed.random.integers(1, bed.shape.units + 1))
            units = bed.shape.units if number % 4 == 0 else some
            bed.configure(random_config(bed.random, units, kind))
        await bed.step(random_gates(bed.random, bed.config.units), gaps)
        if number % 2 == 1:
            await bed.check_cell()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def cell_state(dut: Any) -> None:
    """The host writes, reads and clears the state; the next step starts from it."""
    bed = Testbed(dut)
    await bed.start()
    await bed.check_cell()
    for kind in ("corners", "any"):
        bed.configure(random_config(bed.random, bed.shape.units, "plausible"))
        await bed.write_cell(random_bits(bed.random, kind, bed.shape.units))
        await bed.check_cell()
        await bed.step(random_gates(bed.random, bed.shape.units), 0.0)
        await bed.check_cell()
    dut.clear.value = 1
    await bed.edge
    dut.clear.value = 0
    bed.cell[:] = 0
    await bed.check_cell()
    await bed.step(random_gates(bed.random, bed.shape.units), 0.0)
    await bed.check_cell()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def one_bit(dut: Any) -> None:
    """The comparison finds an inverted bit in golden's inputs."""
    bed = Testbed(dut)
    await bed.start()
    units = bed.shape.units
    config = random_config(bed.random, units, "plausible")
    bed.configure(config)
    for gate in range(len(GATES)):
        for name in ("input_scale", "input_offset"):
            values = list(getattr(config, name))
            values[gate] ^= 1 << formats.FP16_BITS - 1  # the sign
            bed.config = replace(config, **{name: tuple(values)})
            try:
                # Not at 0: the gates' products would hide a gate's effect.
                await bed.write_cell(np.full(units, 0x3A00, dtype=np.uint16))
                await bed.step(np.full(len(GATES) * units, 60, dtype=np.int8), 0.0)
                await bed.check_cell()
            except Mismatch:
                await ClockCycles(dut.clk, bed.component.latency)
                continue
            raise AssertionError(f"{name} of gate {GATES[gate]} has no effect")


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_in_between(dut: Any) -> None:
    """A reset clears the pipeline and the cell state."""
    bed = Testbed(dut)
    await bed.start()
    units = bed.shape.units
    bed.configure(random_config(bed.random, units, "plausible"))
    for moment in (3, 20, bed.component.latency - 3):
        await bed.step(random_gates(bed.random, units), 0.0)
        groups = len(GATES) * units // bed.shape.lanes
        for clock in range(moment):
            dut.valid.value = clock < groups
            dut.group.value = min(clock, groups - 1)
            await bed.edge
        dut.valid.value = 0
        await bed.reset()
        for _ in range(bed.component.latency + 2):
            await bed.edge
            assert not dut.result_valid.value, "result from before the reset"
        await bed.check_cell()
