"""Pixel receiver: admission of packets, and every byte of the ring, against a reference model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cocotb

from caduceus.hdl.common.verilog import write
from caduceus.hdl.tile.pixel_receiver import UNDERWAY_MAX, PixelReceiver
from caduceus.spec.fabric import PARTS
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.pixel_bench import Beat, Job, Rates, Testbed

EVERYONE = (1 << PARTS) - 1


def _sizes(units: int, size: int, rows: int, payload: int, pixels: int) -> dict[str, int]:
    """`pixels`: number of pixels with each configuration."""
    return {"units": units, "size": size, "rows": rows, "payload": payload, "pixels": pixels}


def _prepare(variant: Variant, folder: Path) -> Design:
    sizes = {key: value for key, value in variant.parameters.items() if key != "pixels"}
    path = folder / "pixel_receiver.v"
    return Design([write(PixelReceiver(**sizes), "pixel_receiver", path)], "pixel_receiver")


BENCH = Bench(
    name="pixel_receiver",
    covers=("pixel_receiver",),
    variants=(
        Variant("tiny", _sizes(1, 256, 16, 256, pixels=30)),
        Variant("units4", _sizes(4, 512, 48, 256, pixels=30), ("icarus",)),
        Variant("binary16", _sizes(16, 4096, 256, 512, pixels=60), ("verilator",)),
        Variant("long", _sizes(2, 256, 40, 256, pixels=4000), ("verilator",), regress=True),
    ),
    prepare=_prepare,
)


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(
    rates=[(1.0, 1.0, 1.0, 1.0), (0.1, 1.0, 1.0, 1.0), (1.0, 0.3, 0.6, 0.5), (1.0, 1.0, 1.0, 0.02)],
    wrong=[0.0, 0.4],
)
async def any_pixels(dut: Any, rates: tuple[float, ...], wrong: float) -> None:
    """Packets of every kind, through rings of every size, at all rates."""
    bed = Testbed(dut, Rates(*rates), wrong)
    await bed.start()
    jobs, pixels = 6, benches.current()["pixels"]
    for _ in range(jobs):
        await bed.configure(bed.draw_job())
        bed.bring(pixels // jobs + 2 * min(bed.model.job.ring, 8))
        await bed.finish()


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def a_full_ring(dut: Any) -> None:
    """Without a release, as many pixels as the ring holds are admitted, and no packet more."""
    bed = Testbed(dut, Rates(released=0.0))
    await bed.start()
    for ring, lengths in ((1, (3,)), (5, (2, 1)), (7, (1,))):
        job = Job(lengths, len(lengths), ring)
        await bed.configure(job)
        bed.bring(2 * ring)
        while bed.model.come < ring * job.packets or bed.model.gone < bed.model.come:
            await bed.step()
        for _ in range(20):
            await bed.step()
            assert not dut.credit_room.value, "packet admitted without a place"
        bed.rates.released = 1.0
        await bed.step()
        bed.rates.released = 0.0
        while bed.model.come < (ring + 1) * job.packets:
            await bed.step()
        bed.rates.released = 1.0
        await bed.finish()
        bed.rates.released = 0.0


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def many_underway(dut: Any) -> None:
    """Packets are admitted ahead of their arrival, up to a limit; then all of them arrive."""
    bed = Testbed(dut, Rates(accepted=0.0))
    await bed.start()
    await bed.configure(Job((1,), 1, min(200, bed.sizes["size"])))
    bed.bring(3 * UNDERWAY_MAX)
    for _ in range(3 * UNDERWAY_MAX):
        await bed.step()
    assert bed.model.come == UNDERWAY_MAX
    bed.rates.accepted = 1.0
    await bed.finish()


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def rate(dut: Any) -> None:
    """One beat per clock, and a pixel arrives with its last beat, without a wait."""
    bed = Testbed(dut)
    await bed.start()
    units = bed.units
    length = min(3 * units + 1, bed.sizes["rows"])
    await bed.configure(Job((length,), 1, bed.sizes["size"] // length))
    bed.bring(8)
    await bed.finish()
    periods = {
        after - before for before, after in zip(bed.arrivals, bed.arrivals[1:], strict=False)
    }
    assert periods == {-(-length // units)}, periods


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def disabled(dut: Any) -> None:
    """Without `enable` every part has room, and no beat is taken or counted."""
    bed = Testbed(dut)
    await bed.start()
    await bed.configure(Job((2,), 1, 3), instead={"config_enable": 0})
    for _ in range(50):
        draw = bed.random.getrandbits
        bed.put(
            stream_tvalid=draw(1), stream_tlast=draw(1), accept=draw(1), credit_take=draw(1),
            credit_drop=draw(1),
        )  # fmt: skip
        await bed.edge
        assert int(dut.credit_room.value) == EVERYONE
        for name in ("stream_tready", "write_enable", "arrived", "holds", "too_short", "too_long"):
            assert not getattr(dut, name).value, name
    bed.put(**bed.idle(), config_enable=1)
    bed.bring(5)
    await bed.finish()


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def reset_midway(dut: Any) -> None:
    """A reset clears pixels, turns, and half a packet."""
    bed = Testbed(dut, Rates(0.7, 0.8, 0.8, 0.5), 0.3)
    await bed.start()
    for _ in range(15):
        await bed.configure(bed.draw_job())
        bed.bring(20)
        for _ in range(bed.random.randrange(120)):
            await bed.step()
    await bed.configure(bed.draw_job())
    bed.bring(10)
    await bed.finish()


def _bit(bed: Testbed) -> None:
    beats = bed.waiting[7][1].beats
    beat = beats[0]
    beats[0] = Beat(bytes((beat.data[0] ^ 4, *beat.data[1:])), beat.keep, beat.last)


def _order(bed: Testbed) -> None:
    (content, packet), (other_content, other) = bed.waiting[6], bed.waiting[8]
    bed.waiting[6], bed.waiting[8] = (content, other), (other_content, packet)


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def the_check_can_fail(dut: Any) -> None:
    """One input differs between RTL and model: the bench must see it."""
    bed = Testbed(dut)
    await bed.start()
    job = Job((1, 2, 2, 1), 2, 4)
    alterations: dict[str, Callable[[Testbed], None] | dict[str, int]] = {
        "bit": _bit,
        "order": _order,
        "pixel_packets": {"config_pixel_packets": 1},
        "ring_pixels": {"config_ring_pixels": 3},
        "ring_size": {"config_ring_size": 9},
        "parts": {"parts": 3},
    }
    for what, altered in alterations.items():
        await bed.configure(job, instead=altered if isinstance(altered, dict) else None)
        bed.rates.released = 0.1
        bed.bring(12)
        if callable(altered):
            altered(bed)
        try:
            await bed.finish()
        except AssertionError as error:
            dut._log.info("%s is seen: %s", what, error)
        else:
            raise RuntimeError(f"wrong {what} was not detected")
