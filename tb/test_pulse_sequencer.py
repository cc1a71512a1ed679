"""Pulse sequencer: every output in every `mvm` clock of every command, with published timing."""

from itertools import groupby
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from caduceus.hdl.array.pulse_sequencer import Command, PulseSequencer
from caduceus.hdl.common.verilog import write
from tb import benches, clocks
from tb.benches import Bench, Design, Variant

PUBLISHED = {Command.SQUARE: 125, Command.SET: 250 + 50}
"""Clocks of a pulse."""
PRECHARGE, READ = 256, 512
"""Clocks of a verify read."""
OUTPUTS = ("heat", "heat_set", "verify", "clear", "integrate")


def _prepare(_variant: Variant, folder: Path) -> Design:
    return Design([write(PulseSequencer(), "sequencer", folder / "sequencer.v")], "sequencer")


BENCH = Bench(
    name="pulse_sequencer",
    covers=("pulse_sequencer",),
    variants=tuple(
        Variant(ratio, {"clocks": ratio}, regress=() if ratio == "hermes" else ("verilator",))
        for ratio in clocks.RATIOS
    ),
    prepare=_prepare,
)


async def _start(dut: Any) -> list[tuple[int, ...]]:
    """Start clocks, reset; returns a list of the outputs of every `mvm` clock."""
    for name in ("start", "command", "array_busy"):
        getattr(dut, name).value = 0
    seen: list[tuple[int, ...]] = []

    async def watch() -> None:
        while True:
            await FallingEdge(dut.mvm_clk)
            seen.append(tuple(int(getattr(dut, name).value) for name in OUTPUTS))

    await clocks.start(dut, *clocks.RATIOS[benches.current()["clocks"]])
    cocotb.start_soon(watch())
    return seen


async def _command(dut: Any, command: Command) -> None:
    """Give a command, and wait until it is done."""
    # The last wait may have ended on an edge of the other clock, at this very time.
    await FallingEdge(dut.clk)
    dut.command.value = command
    dut.start.value = 1
    await RisingEdge(dut.clk)
    dut.start.value = 0
    await FallingEdge(dut.clk)
    while int(dut.busy.value):
        await FallingEdge(dut.clk)
    await RisingEdge(dut.clk)


def _runs(seen: list[tuple[int, ...]]) -> list[tuple[dict[str, int], int]]:
    """Runs of equal outputs, with their numbers of clocks; runs at rest are left out."""
    runs = [
        (dict(zip(OUTPUTS, outputs, strict=True)), len(list(group)))
        for outputs, group in groupby(seen)
    ]
    active = ("heat", "verify", "clear", "integrate")
    return [(outputs, length) for outputs, length in runs if any(outputs[n] for n in active)]


@cocotb.test()
async def every_command(dut: Any) -> None:
    """Commands in any order: the right outputs, for the published times."""
    seen = await _start(dut)
    random = benches.generator()
    for number in range(30):
        command = Command(int(random.integers(3)))
        seen.clear()
        await _command(dut, command)
        await ClockCycles(dut.mvm_clk, 2)
        runs = _runs(seen)
        if command is Command.READ:
            expected = [
                ({"clear": 1, "integrate": 0}, 1),
                ({"clear": 0, "integrate": 0}, PRECHARGE - 1),
                ({"clear": 0, "integrate": 1}, READ),
                ({"clear": 0, "integrate": 0}, 1),
            ]
            expected = [({"heat": 0, "verify": 1, **outputs}, n) for outputs, n in expected]
        else:
            outputs = {"heat": 1, "verify": 0, "clear": 0, "integrate": 0}
            expected = [({**outputs, "heat_set": int(command)}, PUBLISHED[command])]
        assert len(runs) == len(expected), f"{number}, {command!r}: {runs}"
        for (got, length), (wanted, clocks_) in zip(runs, expected, strict=True):
            assert got | wanted == got and length == clocks_, f"{number}, {command!r}: {runs}"


@cocotb.test()
async def waits_for_the_converters(dut: Any) -> None:
    """A read is done only when the array is no longer busy."""
    seen = await _start(dut)
    for busy in (1, 7, 40):
        seen.clear()
        dut.array_busy.value = 0
        command = cocotb.start_soon(_command(dut, Command.READ))
        await FallingEdge(dut.integrate)
        dut.array_busy.value = 1
        await ClockCycles(dut.mvm_clk, busy)
        assert int(dut.busy.value), "done while the array converts"
        dut.array_busy.value = 0
        await clocks.patiently(command, "the read")
        await ClockCycles(dut.mvm_clk, 2)
        assert _runs(seen)[-1][1] in (busy, busy + 1)
