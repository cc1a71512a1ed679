"""Recorder: the recordings of every tile of a chip against golden, and their times."""

from itertools import islice
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles
from numpy.typing import NDArray

from caduceus.compiler.network import compile_network
from caduceus.golden import machine
from caduceus.sim import recording
from caduceus.sim.job import RECORD
from caduceus.sim.scoreboard import compare
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import PHASES, SLOTS, ReadMode
from caduceus.spec.network import Network
from caduceus.spec.program import TileProgram
from caduceus.spec.program_codes import computing, device_codes
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chip_bench import SLEEP_CLOCKS, ChipBench, Work
from tb.chip_designs import STATES, design, recorded
from tb.chips import sized
from tb.random_programs import programs, random_devices, random_vectors

_TINY = {"chip": "tiny", "clocks": (1250, 500)}
_WIDE = {"chip": "tiny", "clocks": (1370, 590), "lanes": 2, "columns": 12, "gdpu_units": 3,
         "units": 4, "partial_sums": "binary16"}  # fmt: skip


def _prepare(variant: Variant, folder: Path) -> Design:
    return recorded(design(variant, folder))


BENCH = Bench(
    name="result_recorder",
    covers=("result_recorder", "result_recorder.sv"),
    variants=(
        Variant("tiny", {**_TINY, "programs": 1}, simulators=("icarus",), regress=True),
        Variant("wide", {**_WIDE, "programs": 3}, simulators=("verilator",)),
    ),
    prepare=_prepare,
)


async def _bench(dut: object) -> ChipBench:
    RECORD.mkdir(exist_ok=True)
    parameters = benches.current()
    return await ChipBench.start(dut, sized(parameters), parameters["clocks"])


async def _run(bench: ChipBench, work: Work, what: str) -> None:
    """Run, and compare all recordings except activity."""
    await bench.check(work, what)
    # The last line is written on the clock edge that ends the last packet.
    await ClockCycles(bench.dut.aclk, SLEEP_CLOCKS)
    expected = machine.run(work.program, bench.chip, work.state, work.x, capture=True).tiles
    for tile in computing(work.program):
        size = 2 if tile.config.tx_binary16 else 1
        got = recording.one_tile(RECORD, tile.tile, size)
        for kind, values in (("result", got.results), ("packet", got.sent)):
            where = f"{what}: tile {tile.tile}, {kind}"
            compare(
                expected[tile.tile].results[:, 0], values,
                lambda at, where=where: f"{where} {at[0]}, column {at[1]}",
            )  # fmt: skip


@cocotb.test()
async def every_result(dut: object) -> None:
    """Several programs, one after another: a loaded state starts new files."""
    random = benches.generator()
    bench = await _bench(dut)
    found = islice(programs(random, bench.chip), benches.current()["programs"])
    for number, program in enumerate(found):
        bench.set_pauses(random, (0, 0.3, 0.9))
        state = random_devices(random, program, bench.chip)
        work = Work(program, state, random_vectors(random, program, 5))
        await _run(bench, work, f"program {number}")


def _times(changes: NDArray[np.int64], bits: int) -> int:
    """Time in ps in which any of `bits` was 1."""
    times, on = changes[:, 0], (changes[:, 1] & bits) != 0
    assert not on[-1], "the last change is missing"
    return int((np.diff(times) * on[:-1]).sum())


def _mvm_ps(chip: Chip, tile: TileProgram, half_ps: int) -> int:
    mode = tile.config.read_mode
    four = mode is ReadMode.FOUR_PHASE
    overhead = chip.mvm.overhead_4phase if four else chip.mvm.overhead_1phase
    return len(PHASES[mode]) * (SLOTS + overhead) * 2 * half_ps


@cocotb.test()
async def every_activity(dut: object) -> None:
    """The array is active while its MVMs last; each other activity begins, ends and takes time."""
    random = benches.generator()
    bench = await _bench(dut)
    sync_half, mvm_half = benches.current()["clocks"]
    vectors = 4
    for mode in ReadMode:
        program = compile_network(Network.find("conv_32x16"), bench.chip, mode)
        state = pcm_state.ideal(bench.chip, device_codes(program, bench.chip))
        await _run(bench, Work(program, state, random_vectors(random, program, vectors)), mode)
        sums = 0
        for index, tile in enumerate(computing(program)):
            # Another state completes the files.
            other = bench.chip.tiles + tile.tile
            pcm_state.write_hex(state, index, STATES / f"state_{other}.hex")
            await bench.host.tiles[tile.tile].load_state(other)
            changes = recording.activity(RECORD, tile.tile)
            assert (np.diff(changes[:, 0]) >= 0).all()
            array = _times(changes, recording.INTEGRATES)
            assert array == vectors * _mvm_ps(bench.chip, tile, mvm_half), f"{tile.tile}: {array}"
            clock, chip = 2 * sync_half, bench.chip
            beats = -(-tile.config.rows // chip.link.units)
            assert _times(changes, recording.WRITES) >= vectors * beats * clock
            groups = -(-tile.config.columns // chip.ldpu.lanes)
            assert _times(changes, recording.COMPUTES) >= vectors * groups * clock
            sums += tile.config.rx_enable
            # A tile that adds waits for its summand, as both tiles start together.
            stalled = _times(changes, recording.STALLED)
            assert bool(stalled) == tile.config.rx_enable, f"{tile.tile} was stalled for {stalled}"
        assert sums, "no tile adds anything"
