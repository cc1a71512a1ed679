"""Gather unit: vectors of feature maps against golden, and admission of packets."""

from dataclasses import replace
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from caduceus.hdl.common.verilog import write
from caduceus.hdl.tile.gather import Gather
from caduceus.hdl.tile.gather_config import FIELDS
from caduceus.spec.fabric import PARTS
from caduceus.spec.feature_map import Window
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.gather_bench import Testbed
from tb.gather_jobs import Job, draw_job


def _prepare(variant: Variant, folder: Path) -> Design:
    component = Gather(sized(variant.parameters))
    return Design([write(component, "gather", folder / "gather.v")], "gather")


BENCH = Bench(
    name="gather",
    covers=("gather",),
    variants=(
        Variant("tiny", {"chip": "tiny", "jobs": 4}),
        Variant("gather1", {"chip": "tiny", "gather": 1, "jobs": 2}, ("verilator",)),
        Variant("units4", {"chip": "tiny", "rows": 64, "lanes": 4, "gather": 8, "activation": 520,
                           "jobs": 4}, ("icarus",)),
        Variant("hermes", {"chip": "hermes", "jobs": 3}, ("verilator",)),
        Variant("hermes_wide", {"chip": "hermes_wide", "jobs": 6}, ("verilator",), True),
        Variant("long", {"chip": "tiny", "rows": 96, "lanes": 2, "gather": 8, "jobs": 80},
                ("verilator",), regress=True),
    ),
    prepare=_prepare,
)  # fmt: skip


def _press(bed: Testbed) -> None:
    """Apply back-pressure and pauses on every side."""
    random = bed.random
    bed.eager, bed.offered = random.choice((0.1, 0.9)), random.choice((0.3, 0.9, 1.0))
    bed.accepted, bed.ahead = random.choice((0.7, 1.0)), random.choice((1, 2, 4, 40))
    longest = random.choice((2, 60))
    bed.hold = lambda: random.randint(1, longest)


async def _run(bed: Testbed, job: Job, maps: int, wrong: float = 0.0) -> None:
    await bed.configure(job)
    for _ in range(maps):
        bed.bring_map(wrong)
    await bed.finish()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pressure=["none", "both"], gated=[False, True])
async def any_window(dut: Any, pressure: str, gated: bool) -> None:
    """Maps one after the other, through the smallest sufficient ring, and larger ones."""
    bed = Testbed(dut)
    bed.gated = gated
    await bed.start()
    for _ in range(benches.current()["jobs"]):
        if pressure == "both":
            _press(bed)
        await _run(bed, draw_job(bed.random, bed.chip), maps=2)
    assert bool(bed.stopped) == gated, "clock gating differs from `gated`"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def small_maps(dut: Any) -> None:
    """Several maps are in the ring, or in flight, at once."""
    bed = Testbed(dut)
    await bed.start()
    for _ in range(3 * benches.current()["jobs"]):
        _press(bed)
        bed.gated = bed.random.random() < 0.5
        await _run(bed, draw_job(bed.random, bed.chip, largest=2, channels=3), maps=8)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def burst(dut: Any) -> None:
    """Vectors of several maps follow each other faster than their pixels can be released."""
    bed = Testbed(dut)
    await bed.start()
    every_second = Window(2, 2, 1, 1, 2, 0, 0, 0, 1, 1, 1)
    jobs = [draw_job(bed.random, bed.chip, largest=3, channels=3) for _ in range(3)]
    for job in [Job(every_second, 1, 17, (1,)), *jobs]:
        holds = cycle((*[1] * 5, 150))
        bed.hold = lambda holds=holds: next(holds)
        await bed.configure(job)
        for _ in range(20):
            bed.bring_map()
        bed.full = 150
        await bed.finish()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def wrong_packets(dut: Any) -> None:
    """Short packets are filled with 0, long ones cut, empty ones take their place."""
    bed = Testbed(dut)
    await bed.start()
    for _ in range(3 * benches.current()["jobs"]):
        _press(bed)
        bed.gated = bed.random.random() < 0.5
        job = draw_job(bed.random, bed.chip, largest=4, channels=6)
        await _run(bed, job, maps=2, wrong=bed.random.choice((0.1, 0.5)))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def restart_and_reset(dut: Any) -> None:
    """A reset and a restart drop pixels, turns and half a vector."""
    bed = Testbed(dut)
    await bed.start()
    for number in range(3 * benches.current()["jobs"]):
        await bed.configure(draw_job(bed.random, bed.chip, largest=5))
        _press(bed)
        for _ in range(2):
            bed.bring_map()
        for _ in range(bed.random.randrange(200)):
            await bed.step()
        await bed.land()
        if number % 3 == 0:
            await bed.start()
    await _run(bed, draw_job(bed.random, bed.chip), maps=1)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def disabled(dut: Any) -> None:
    """Without `enable` every part has room, no beat is taken, and no vector made."""
    bed = Testbed(dut)
    await bed.start()
    await bed.configure(draw_job(bed.random, bed.chip), config_enable=0)
    for _ in range(100):
        draw = bed.random.getrandbits
        bed.put(
            stream_tvalid=draw(1), stream_tlast=draw(1), accept=draw(1), credit_take=draw(1),
            credit_drop=draw(1), credit_take_part=draw(2),
        )  # fmt: skip
        await bed.half()
        assert int(dut.credit_room.value) == (1 << PARTS) - 1
        for name in ("stream_tready", "write_enable", "commit", "too_short", "too_long", "busy"):
            assert not dut[name].value, name
        await bed.tick()
    bed.put(config_enable=1, stream_tvalid=0, credit_take=0, credit_drop=0)
    await bed.half()
    await bed.tick()
    bed.bring_map()
    await bed.finish()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def rate(dut: Any) -> None:
    """With all pixels present, a vector takes one clock more than its rows need."""
    bed = Testbed(dut)
    await bed.start()
    rows, most = bed.chip.array.rows, bed.chip.buffers.activation
    cases = [(1, 9), (3, min(27, rows))]
    if rows >= 252:
        cases.append((56, 252))  # as of a 2016x224 layer on eight tiles
    for depth, length in cases:
        size = min(5, int((most // depth) ** 0.5))
        start = depth // 2 if depth == 56 else 0
        window = Window(size, size, depth, 3, 1, 1, 0, start, size, 1, size)
        job = Job(window, length, size * size, (depth,))
        await bed.configure(job)
        bed.bring_map()
        bed.full = 1 << 20
        while bed.waiting:
            await bed.step()
        await bed.land()
        bed.full = 0
        await bed.finish()
        took = [after - before for before, after in pairwise(bed.committed)]
        needed = [1 + job.accesses(result, bed.lanes) for result in range(1, window.results)]
        assert took == needed, f"{took} clocks: expected {needed}"
        dut._log.info("%d rows of %d channels: %d clocks", length, depth, max(took))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latency(dut: Any) -> None:
    """A vector that waits for its last pixel is committed two clocks after that."""
    bed = Testbed(dut)
    await bed.start()
    for ring in (1, 4):
        await bed.configure(Job(Window(3, 4, 1, 1, 1, 0, 0, 0, 4, 1, 4), 1, ring, (1,)))
        bed.bring_map()
        bed.bring_map()
        while bed.waiting:
            bed.eager = float(bed.quiet > 5)
            await bed.step()
        await bed.finish()
        took = np.array(bed.committed) - np.array(bed.arrived)
        assert took.tolist() == [4] + [2] * 23, took


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def the_check_can_fail(dut: Any) -> None:
    """One register, or one property of a packet, differs from the model: the bench must see it."""
    bed = Testbed(dut)
    await bed.start()
    bed.hold = lambda: 50  # pixels arrive before they are needed
    window = Window(5, 9, 3, 3, 2, 1, 1, 1, 2, 2, 3, packets=2)
    job = Job(window, 16, 1, (1, 2, 2, 1))
    job = replace(job, ring=job.smallest_ring)
    right = job.ports(bed.chip)
    assert {f"config_{name}" for name in FIELDS} < set(right)

    def alter(what: str) -> None:
        packets = bed.waiting
        if what == "bit":
            packets[20] = packets[20] ^ np.int8(1 << bed.random.randrange(7))
        elif what == "order":
            packets[0], packets[4] = packets[4], packets[0]
        elif what == "lost":
            packets.pop()
        elif what == "vector":
            bed.vectors.popleft()

    for what in ("nothing", "bit", "order", "lost", "vector", *right):
        instead = {}
        if what in right:
            step = -1 if what == "rows" else 1  # maximum number of rows
            instead[what] = (right[what] + step) % (1 << len(dut[what]))
        await bed.configure(job, **instead)
        for _ in range(2):
            bed.bring_map()
        alter(what)
        try:
            await bed.finish()
        except AssertionError as error:
            assert what != "nothing", error
            dut._log.info("%s is seen: %s", what, str(error)[:80])
        else:
            if what != "nothing":
                raise RuntimeError(f"wrong {what} was not detected")
