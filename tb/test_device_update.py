"""Device update: diagonals of records through all stages, with random reads, against golden."""

from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import Shape
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer
from numpy.typing import NDArray

from caduceus.golden.reference.pcm_writer import PcmWriter
from caduceus.hdl.array.device_update import RECORD, DeviceUpdate, Stage
from caduceus.hdl.common.verilog import write
from caduceus.sim.scoreboard import Mismatch, compare
from caduceus.spec import formats, pcm_write
from caduceus.spec.pcm_write import Procedure, Pulse
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.pcm_macro import array_chip
from tb.pcm_write_session import fields, programmable_state, random_procedure, random_targets

CLOCK_NS = 2
DEVICES = range(len(formats.DEVICES))
Lines = NDArray[np.int64]
"""A value for every line of a diagonal."""


def _prepare(variant: Variant, folder: Path) -> Design:
    path = folder / "device_update.v"
    return Design([write(DeviceUpdate(), "device_update", path)], "device_update")


BENCH = Bench(
    name="device_update",
    covers=("device_update",),
    variants=(
        Variant("tiny", {"rows": 16, "columns": 16, "diagonals": 8}),
        Variant("hermes", {"rows": 256, "columns": 256, "diagonals": 4}, ("verilator",)),
        Variant("long", {"rows": 64, "columns": 64, "diagonals": 300}, ("verilator",), True),
    ),
    prepare=_prepare,
)


class Script(PcmWriter):
    """Golden's procedure on random reads; logs its pulses, and changes no device.

    Attributes:
        reads_of: of every read, the device and the counts [lines].
        pulses_of: of every pulse, the device, the shape, the pulsed lines, and the amplitudes.
    """

    def __init__(self, random: np.random.Generator, goals: Lines) -> None:
        chip = array_chip(benches.current())
        super().__init__(chip, programmable_state(random, chip, ideal=True))
        self._random, self._goals = random, goals
        self.reads_of: list[tuple[int, Lines]] = []
        self.pulses_of: list[tuple[int, Pulse, NDArray[np.bool_], Lines]] = []

    def read(self, diagonal: int, device: int) -> Lines:
        """Random counts, or counts near the target of a line."""
        random, goals = self._random, self._goals
        anywhere = random.integers(formats.COUNT_MAX + 1, size=goals.shape)
        near = (goals + random.integers(-12, 13, goals.shape)).clip(0, formats.COUNT_MAX)
        counts = np.where(random.random(goals.shape) < 0.3, anywhere, near)
        self.reads_of.append((device, counts))
        return counts

    def _pulse(
        self, diagonal: int, device: int, shape: Pulse, on: NDArray[np.bool_], amplitudes: Lines
    ) -> None:
        self.pulses_of.append((device, shape, on.copy(), amplitudes.copy()))


def pack(values: dict[str, Lines]) -> Lines:
    """Records from fields."""
    words = np.zeros_like(next(iter(values.values())))
    for name, field in RECORD:
        words |= (values[name] & (1 << Shape.cast(field.shape).width) - 1) << field.offset
    return words


class Testbed:
    """Drives the lines as the PCM writer does.

    Attributes:
        records: as updated, [lines].
        offered: share of clocks with a record.
    """

    def __init__(self, dut: Any) -> None:
        self.dut, self.random = dut, benches.generator()
        self.lines = pcm_write.lines(array_chip(benches.current()))
        self.offered = 1.0
        self.edge = RisingEdge(dut.clk)
        self.records = self._anything(RECORD.size)
        self.targets = np.zeros(self.lines, np.int64)

    def _anything(self, bits: int) -> Lines:
        return self.random.integers(1 << bits, size=self.lines)

    async def start(self) -> None:
        """Start the clock, and reset."""
        self.dut.valid.value = 0
        self.dut.rst.value = 1
        await Timer(CLOCK_NS, "ns")
        Clock(self.dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        await self.edge
        self.dut.rst.value = 0
        await self.edge

    def configure(self, procedure: Procedure, targets: Lines) -> None:
        """Drive the inputs that are quasi-static during a diagonal."""
        self.targets = targets
        self.dut.two.value = int(procedure.devices == pcm_write.DEVICES_MAX)
        for name in ("margin", "iterations", "step", "first"):
            getattr(self.dut, name).value = getattr(procedure, name)

    async def run(
        self, stage: Stage, device: int = 0, count: Lines | None = None, known: Lines | None = None
    ) -> dict[str, Lines]:
        """Pass all lines once; returns `uses` and `pulse` of each, and updates the records.

        A line's answer comes `LATENCY` clocks after the line; without a line there is no answer.
        """
        dut = self.dut
        dut.stage.value, dut.device.value = stage, device
        inputs = {
            "record": self.records, "target": self.targets % (1 << pcm_write.TARGET_BITS),
            "count": self._anything(formats.COUNT_BITS) if count is None else count,
            "known": self._anything(2 * formats.COUNT_BITS) if known is None else known,
        }  # fmt: skip
        found: dict[str, list[int]] = {"new_record": [], "uses": [], "pulse": []}
        inside: deque[bool] = deque([False] * DeviceUpdate.LATENCY)
        line = 0
        while line < self.lines or any(inside):
            valid = line < self.lines and self.random.random() < self.offered
            dut.valid.value = int(valid)
            for name, values in inputs.items():
                # Invalid values are don't-care.
                at = line if valid else int(self.random.integers(self.lines))
                getattr(dut, name).value = int(values[at])
            line += valid
            await self.edge
            comes = inside.popleft()
            assert bool(dut.new_valid.value) == comes, f"new_valid is not {comes}"
            if comes:
                for name, values in found.items():
                    values.append(int(getattr(dut, name).value))
            inside.append(valid)
        result = {name: np.array(values, np.int64) for name, values in found.items()}
        self.records = result.pop("new_record")
        return result

    async def diagonal(self, procedure: Procedure, targets: Lines, other: Procedure) -> None:
        """Run all stages of a diagonal on both sides; golden may follow the `other` procedure."""
        script = Script(self.random, np.abs(targets))
        wanted = script.program(0, targets, other)
        reads, pulses = iter(script.reads_of), iter(script.pulses_of)
        self.configure(procedure, targets)
        self.records = self._anything(RECORD.size)
        for _ in DEVICES:
            next(pulses)  # all devices are RESET
        seen = await self.run(Stage.SCAN)
        in_use = [next(pulses) for _ in DEVICES]
        self.check(_bits(in_use), seen["uses"], "devices in use")
        used = targets != 0
        self.check(used, fields(RECORD, self.records)["pending"], "pending after the scan")
        if other.devices == pcm_write.DEVICES_MAX:
            known = [self._anything(formats.COUNT_BITS) for _ in range(2)]
            for device, _, on, _ in in_use:
                if on.any():
                    named, counts = next(reads)
                    assert named == device
                    known[device % 2] = np.where(on, counts, known[device % 2])
            seen = await self.run(Stage.DECIDE, known=known[0] | known[1] << formats.COUNT_BITS)
            self.check(used << wanted.device, seen["uses"] * used, "the device that is iterated")
            reset = _bits([next(pulses) for _ in DEVICES])
            record = fields(RECORD, self.records)
            others = (record["reset_other"] & used) << (record["device"] ^ 1)
            self.check(reset, others, "the device that is RESET")
        for (device, counts), (pulsed, shape, on, amplitudes) in zip(reads, pulses, strict=True):
            assert device == pulsed and shape == Pulse.SQUARE
            seen = await self.run(Stage.ITERATE, device, counts)
            self.check(on, seen["pulse"], f"lines of one more pulse on device {device}")
            amplitude = fields(RECORD, self.records)["amplitude"]
            self.check(amplitudes * on, amplitude * on, f"amplitudes of device {device}")
        record = fields(RECORD, self.records)
        for name, values in vars(wanted).items():
            self.check(values, record[name], name)

    def check(self, expected: Lines, got: Lines, what: str) -> None:
        """Demand equality."""
        compare(expected, got, lambda index: f"{what}, line {index[0]}")


def _bits(pulses: list[tuple[int, Pulse, NDArray[np.bool_], Lines]]) -> Lines:
    """Devices to pulse in every line, one bit each."""
    return sum(on.astype(np.int64) << device for device, _, on, _ in pulses)


@cocotb.test()
@cocotb.parametrize(devices=[1, 2], offered=[1.0, 0.6])
async def diagonals(dut: Any, devices: int, offered: float) -> None:
    """Random procedures and targets, the largest and 0 among them."""
    bed = Testbed(dut)
    bed.offered = offered
    await bed.start()
    extremes = [0, 1, -1, pcm_write.TARGET_MAX, -pcm_write.TARGET_MAX]
    for number in range(max(1, benches.current()["diagonals"] // 2)):
        targets = random_targets(
            bed.random, array_chip(benches.current()), pcm_write.TARGET_MAX,
            bed.random.choice([0, 0.3, 0.9]),
        )  # fmt: skip
        extreme = bed.random.random(targets.shape) < 0.2
        targets[extreme] = bed.random.choice(extremes, int(extreme.sum()))
        # Sometimes one polarity only, or no target at all.
        targets = (targets, np.abs(targets), -np.abs(targets), targets * 0)[number % 4]
        procedure = random_procedure(bed.random, devices, 12)
        await bed.diagonal(procedure, targets, procedure)


@cocotb.test()
async def verify_reads(dut: Any) -> None:
    """A read for the host leaves count and device in the record, and no old contents."""
    bed = Testbed(dut)
    await bed.start()
    bed.configure(Procedure(1), bed.random.integers(-9, 10, bed.lines))
    for device in DEVICES:
        counts = bed._anything(formats.COUNT_BITS)
        counts[:2] = 0, formats.COUNT_MAX
        await bed.run(Stage.READ, device, counts)
        nothing = {name: np.zeros(bed.lines, np.int64) for name, _ in RECORD}
        wanted = pack(nothing | {"error": counts, "device": np.full(bed.lines, device)})
        bed.check(wanted, bed.records, f"record after a read of device {device}")


@cocotb.test()
async def stages_without_an_update(dut: Any) -> None:
    """In the stages that only pulse or read devices, a record stays unchanged."""
    bed = Testbed(dut)
    await bed.start()
    bed.configure(Procedure(2), bed.random.integers(-9, 10, bed.lines))
    for stage in (Stage.RESET, Stage.SET, Stage.KNOW, Stage.RESET_OTHER):
        before = bed.records
        await bed.run(stage, int(bed.random.integers(len(DEVICES))))
        bed.check(before, bed.records, f"record in {stage.name}")


@cocotb.test()
async def reset_midway(dut: Any) -> None:
    """A reset clears the pipeline."""
    bed = Testbed(dut)
    await bed.start()
    for clocks in range(1, DeviceUpdate.LATENCY + 1):
        dut.valid.value = 1
        for _ in range(clocks):
            await bed.edge
        dut.valid.value = 0
        dut.rst.value = 1
        await bed.edge
        dut.rst.value = 0
        for _ in range(DeviceUpdate.LATENCY + 1):
            await bed.edge
            assert not dut.new_valid.value, "record survives the reset"


@cocotb.test()
@cocotb.parametrize(
    wrong=[{"margin": 6}, {"iterations": 4}, {"step": 13}, {"first": 97}, {"devices": 2}]
)
async def another_procedure_is_seen(dut: Any, wrong: dict[str, int]) -> None:
    """Golden with one other parameter differs: the comparison can fail."""
    bed = Testbed(dut)
    await bed.start()
    right = Procedure(1, iterations=5)
    for _ in range(10):
        targets = random_targets(bed.random, array_chip(benches.current()), 80)
        try:
            await bed.diagonal(right, targets, replace(right, **wrong))
        except Mismatch as mismatch:
            dut._log.info("seen: %s", mismatch)
            return
    raise AssertionError(f"golden with {wrong} gives the same")
