"""cocotb side of `caduceus sim` for images: a whole network in RTL, every tile against golden."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import Timer
from cocotb.utils import get_sim_time

from driver.chip import ChipHost
from golden import images as golden_images
from golden.images import TileTrace
from sim import recording
from sim.chip_job import VARIABLE, ChipJob, peak_mib
from sim.chip_player import LOOK_EVERY_CLOCKS, ChipPlayer
from sim.image_job import RECORD, ImageOutcome, busiest, results
from sim.scoreboard import Comparisons
from sim.step import Step
from sim.tile_host import EventPort, reset, start_clock
from spec import chip as chip_description
from spec import pcm_state, program_image
from spec.chip import Chip
from spec.fabric import PAYLOAD_MAX
from spec.formats import ReadMode
from spec.program import ChipProgram, TileProgram
from spec.program_codes import computing

SLEEP_LOOKS = 1000
"""Microseconds in which a chip with nothing to do must have gone to sleep."""
QUIET_LOOKS = 8
"""Microseconds for which it must sleep: longer than a host's streams pause."""


def clocks_per_result(tile: TileProgram, chip: Chip) -> int:
    """Clocks of `sync` that a result may take at the very most, with nothing in its way."""
    mvm = chip.mvm.overhead_4phase + 128
    mvm = 4 * mvm if tile.config.read_mode is ReadMode.FOUR_PHASE else mvm + 128
    ratio = chip.clocks.sync_mhz / chip.clocks.mvm_mhz
    return round(mvm * ratio) + 4 * (chip.array.rows + chip.array.columns)


def clocks_per_image(tile: TileProgram, chip: Chip) -> int:
    """Clocks of `sync` in which a tile takes an image and makes its results, at the very most."""
    window = tile.config.window
    taken = window.pixels * window.packets * (1 + PAYLOAD_MAX // chip.link.units) if window else 0
    return taken + results(tile) * clocks_per_result(tile, chip)


def clocks_to_the_end(program: ChipProgram, chip: Chip) -> int:
    """Clocks of `sync` that what remains of an image may take, once its outputs have left.

    Rows that no output needs, because strides and pooling windows leave them over, are sent and
    computed as all others are. It is less than an image, by one layer after the other.
    """
    layers = {tile.block.layer: tile for tile in computing(program)}
    return sum(clocks_per_image(tile, chip) for tile in layers.values())


def compare_tiles(
    program: ChipProgram, folder: Path, golden: Mapping[int, TileTrace], comparison: Comparisons
) -> None:
    """Compare all that every tile computed and sent, as recorded in `folder`, with golden."""
    for tile in computing(program):
        block = tile.block
        what = f"layer {block.layer}, row block {block.rows}, column block {block.columns}"
        what += f", replica {block.replica}, tile {tile.tile}"
        trace = golden[tile.tile]
        value_bytes = 2 if tile.config.tx_binary16 else 1
        got = recording.results(folder, tile.tile, value_bytes)
        for kind, expected, values in zip(
            ("result", "packet"), (trace.results, trace.sent), got, strict=True
        ):
            count = expected.shape[1]

            def describe(
                at: tuple[int, ...], what: str = what, kind: str = kind, count: int = count
            ) -> str:
                image, pixel = divmod(at[0], count)
                return f"{what}, image {image}, {kind} {pixel}, column {at[1:]}"

            comparison.add(expected.reshape(-1, expected.shape[-1]), values, describe)


async def asleep(dut: object, rest_us: int = 0) -> None:
    """Wait until no tile has anything to do for a while.

    After the last output has left, the rest of the image may take `rest_us`.

    Raises:
        AssertionError: they do not come to rest.
    """
    quiet = 0
    for _ in range(SLEEP_LOOKS + rest_us):
        await Timer(1, "us")
        quiet = quiet + 1 if int(dut.awake.value) == 0 else 0
        if quiet == QUIET_LOOKS:
            return
    raise AssertionError("tiles are awake with nothing to do")


@cocotb.test()
async def run_images(dut: object) -> None:
    """Run the job, and leave its outcome beside it."""
    folder = Path(os.environ[VARIABLE])
    job = ChipJob.load(folder)
    chip = chip_description.find(job.chip)
    program = program_image.load(folder / "program.bin", chip)
    state = pcm_state.load(folder / "state.pcm", chip)
    x = np.load(folder / "inputs.npy")
    before = time.monotonic()
    golden, traces = golden_images.run(program, chip, state, x, capture=True)
    golden_seconds = time.monotonic() - before
    start_clock(dut.aclk, job.clock_half_periods_ps[0])
    start_clock(dut.mvm_clk, job.clock_half_periods_ps[1])
    host = ChipHost(EventPort(dut, dut.aclk), chip)
    player = ChipPlayer(dut, chip, program, job.clock_half_periods_ps[0])
    await reset(dut)
    await host.load(program)

    slowest, replicas = busiest(program)
    start_ps = int(get_sim_time("ps"))

    async def count() -> int:
        return await host.tiles[slowest.tile].read("VECTORS_IN")

    def tell(done: int) -> None:
        ended = int(dut.recorded.value) * len(x) // player.expected
        now = (get_sim_time("ps") - start_ps) / 1e6
        Step({"pixels": done * replicas, "images": ended}, f"{now:.1f} us").save(Path())

    played = await player.play(
        x.reshape(-1, x.shape[-1]),
        tell,
        outputs=len(x) * program.output_pixels,
        count=count,
        # The first result of a layer waits for rows of the one before.
        patience=20 + 2 * clocks_per_image(slowest, chip) // LOOK_EVERY_CLOCKS,
    )
    tell(len(x) * results(slowest))
    await asleep(dut, clocks_to_the_end(program, chip) // chip.clocks.sync_mhz)
    errors = await host.errors()
    assert not errors, f"ERROR registers by tile: {errors}"

    comparison = Comparisons()
    outputs = played.outputs.reshape(golden.shape)
    comparison.add(golden, outputs, lambda at: f"image {at[0]}, output {at[1:]}")
    compare_tiles(program, RECORD, traces, comparison)

    async def counter(name: str) -> dict[str, int]:
        return {str(tile): value for tile, value in (await host.count(name, program)).items()}

    ends = played.ends[program.output_pixels - 1 :: program.output_pixels]
    ImageOutcome(
        values_compared=comparison.compared,
        mismatches=comparison.mismatches,
        first_mismatch=comparison.first,
        outputs=outputs.reshape(len(x), -1).tolist(),
        cycles=played.cycles,
        began=played.began,
        ends=ends,
        mvms=await counter("MVMS"),
        busy=await counter("BUSY_CYCLES"),
        stalled=await counter("STALL_CYCLES"),
        start_ps=start_ps,
        simulate_seconds=played.seconds,
        golden_seconds=golden_seconds,
        peak_mib=peak_mib(),
    ).save(folder)
