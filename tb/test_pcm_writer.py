"""The programming unit with a behavioral array: diagonals written in RTL against golden."""

from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np

from caduceus.golden.reference.pcm_writer import PcmWriter
from caduceus.hdl.array import pcm_array
from caduceus.hdl.common.verilog import write
from caduceus.sim.scoreboard import Mismatch
from caduceus.spec import pcm_write
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_write import Procedure
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.pcm_macro import PLUSARG, array_chip
from tb.pcm_write_array import PcmWriteArray
from tb.pcm_write_session import (
    Session,
    exact_state,
    programmable_state,
    random_procedure,
    random_targets,
)

TOP = "pcm_write_array"


def _prepare(variant: Variant, folder: Path) -> Design:
    chip = array_chip(variant.parameters)
    sources = pcm_array.write_sources(folder, chip)
    sources.append(write(PcmWriteArray(chip), TOP, folder / f"{TOP}.v"))
    return Design(sources, TOP, plusargs=[PLUSARG])


def _sizes(
    rows: int,
    columns: int,
    lanes: int = 1,
    heads: int = 32,
    clocks: str = "hermes",
    diagonals: int = 6,
) -> dict:
    """`diagonals`: number of random diagonals."""
    # Reads of two counts per code must stay below the limit.
    return {
        "rows": rows, "columns": columns, "lanes": lanes, "heads": heads, "clocks": clocks,
        "diagonals": diagonals, "phase_limit": 1023,
    }  # fmt: skip


BENCH = Bench(
    name="pcm_writer",
    covers=("pcm_writer", "pcm_write", "line_walk", "pcm_array"),
    variants=(
        # A head for every line.
        Variant("tiny", _sizes(16, 16)),
        # More columns than rows; the last head has fewer lines than the others.
        Variant("wide", _sizes(8, 20, lanes=2, heads=3, clocks="sync_faster"), regress=("icarus",)),
        # More rows than columns, and a clock that is slow against pulses.
        Variant(
            "tall",
            _sizes(20, 12, lanes=4, heads=5, clocks="sync_much_slower"),
            regress=("icarus",),
        ),
        Variant("least", _sizes(4, 4, lanes=4, heads=1, clocks="same"), regress=("verilator",)),
        Variant("hermes", _sizes(256, 256, diagonals=2), simulators=("verilator",)),
    ),
    prepare=_prepare,
)

PASSES = 8
"""Passes over an array in which another procedure must show."""
LARGEST = {1: 80, 2: 160}
"""Published largest targets of either procedure, in counts."""


@cocotb.test()
@cocotb.parametrize(devices=[1, 2])
async def usual_procedure(dut: object, devices: int) -> None:
    """Diagonals with the published targets; most devices reach the margin; then MVMs."""
    session = Session(dut)
    await session.start(programmable_state(session.random, session.chip, ideal=True))
    random, chip = session.random, session.chip
    within = used = 0
    for _ in range(session.parameters["diagonals"]):
        diagonal = int(random.integers(pcm_write.diagonals(chip)))
        targets = random_targets(random, chip, LARGEST[devices])
        found = await session.program(diagonal, targets, Procedure(devices))
        within, used = within + found.within.sum(), used + (targets != 0).sum()
    assert within > 0.8 * used, f"{within} of {used} devices within the margin"
    for number in range(4):
        x = random.integers(-127, 128, chip.array.rows, dtype=np.int8)
        await session.mvm(x, tuple(ReadMode)[number % 2], bank=number // 2)


@cocotb.test()
async def anything(dut: object) -> None:
    """Random procedures and targets, noisy converters; MVMs, reads and loads in between."""
    session = Session(dut)
    await session.start(programmable_state(session.random, session.chip))
    random, chip = session.random, session.chip
    extremes = [0, 1, -1, pcm_write.TARGET_MAX, -pcm_write.TARGET_MAX]
    for number in range(session.parameters["diagonals"]):
        diagonal = int(random.integers(pcm_write.diagonals(chip)))
        targets = random_targets(random, chip, pcm_write.TARGET_MAX, random.choice([0, 0.3, 0.9]))
        extreme = random.random(targets.shape) < 0.2
        targets[extreme] = random.choice(extremes, int(extreme.sum()))
        # Sometimes one polarity only, or no target at all.
        targets = (np.abs(targets), targets, targets, targets * 0)[number % 4]
        await session.program(diagonal, targets, random_procedure(random, 1 + number % 2, 63))
        await session.read(int(random.integers(pcm_write.diagonals(chip))), number % 4)
        x = random.integers(-127, 128, chip.array.rows, dtype=np.int8)
        await session.mvm(x, tuple(ReadMode)[number % 2], bank=number // 2 % 2)
        if number % 3 == 2:
            await session.load(programmable_state(random, chip))


@cocotb.test(skip=benches.current().get("rows", 0) > 64)
async def every_diagonal(dut: object) -> None:
    """A whole array, some diagonals twice; then every device's code equals golden's, to the bit."""
    session = Session(dut)
    await session.start(exact_state(session.random, session.chip))
    random, chip = session.random, session.chip
    diagonals = pcm_write.diagonals(chip)
    order = [*random.permutation(diagonals), *random.integers(diagonals, size=3)]
    for number, diagonal in enumerate(order):
        targets = random_targets(random, chip, pcm_write.TARGET_MAX)
        await session.program(int(diagonal), targets, Procedure(1 + number % 2, iterations=6))
    await session.compare_devices()
    codes = session.golden.codes
    assert len(np.unique(codes)) > codes.size // 16, "too few different codes"


@cocotb.test(skip=benches.current().get("rows", 0) > 64)
@cocotb.parametrize(
    wrong=[{"margin": 6}, {"iterations": 4}, {"step": 13}, {"first": 97}, {"devices": 2}]
)
async def another_procedure_is_seen(dut: object, wrong: dict) -> None:
    """Golden with one other parameter differs: the comparison can fail."""
    session = Session(dut)
    state = programmable_state(session.random, session.chip, ideal=True)
    await session.start(state)
    right = Procedure(1, iterations=5)
    # The smallest array has so few devices that one pass over it may not reach a margin.
    for number in range(PASSES * pcm_write.diagonals(session.chip)):
        diagonal = number % pcm_write.diagonals(session.chip)
        targets = random_targets(session.random, session.chip, LARGEST[1])
        try:
            await session.program(diagonal, targets, right, replace(right, **wrong))
        except Mismatch:
            return
    raise AssertionError(f"golden with {wrong} gives the same")


@cocotb.test(skip=benches.current().get("rows", 0) > 64)
async def another_seed_is_seen(dut: object) -> None:
    """Each bit of the seed, and the tile's number, affect the devices."""
    session = Session(dut)
    state = exact_state(session.random, session.chip)
    await session.start(state)
    targets = random_targets(session.random, session.chip, pcm_write.TARGET_MAX, 0)
    for bit in range(0, 64, 7):
        await session.load(state)
        session.golden = PcmWriter(session.chip, replace(state, seed=state.seed ^ 1 << bit))
        try:
            await session.program(0, targets, Procedure(1, iterations=3))
        except Mismatch:
            continue
        raise AssertionError(f"bit {bit} of the seed has no effect")
