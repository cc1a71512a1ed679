"""A whole tile on feature maps: gather, MVM, add, pool, against golden; and the recordings."""

from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiStreamFrame

from caduceus.hdl.array import pcm_array
from caduceus.hdl.common.verilog import write
from caduceus.hdl.fabric.chip_sources import GATE
from caduceus.hdl.tile.axi_tile import AxiTile
from caduceus.hdl.tile.result_recorder import SOURCE as RECORDER
from caduceus.sim import recording
from caduceus.sim.job import RECORD
from caduceus.sim.recording import Recorded
from caduceus.sim.scoreboard import compare, named
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import TileConfig
from caduceus.spec.registers import BY_NAME, Error
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.gated_tile import GatedTile
from tb.map_work import MapWork, random_map_work
from tb.tile_bench import (
    TileBench,
    pauses,
    place,
    random_config,
    random_work,
    watch_packets,
    with_parts,
)

HERMES_CLOCKS = (1250, 500)
REFUSED = 2


def _prepare(variant: Variant, folder: Path) -> Design:
    chip = sized(variant.parameters)
    make = GatedTile if variant.parameters["gated"] else AxiTile
    tile = folder / "axi_tile.v"
    write(make(chip, record=True), "axi_tile", tile)
    sources = [*pcm_array.write_sources(folder, chip), GATE, RECORDER, tile]
    return Design(sources, "axi_tile", plusargs=["+pcm_state=states", f"+record={RECORD}"])


def _variant(
    name: str,
    chip: str,
    clocks: tuple[int, int] = HERMES_CLOCKS,
    works: int = 6,
    simulators: tuple[str, ...] = ("verilator",),
    regress: bool = False,
    gated: bool = True,
    **sizes: int | str,
) -> Variant:
    """`clocks` are half periods of `sync` and `mvm` in ps."""
    parameters = {"chip": chip, "clocks": clocks, "works": works, "gated": gated, **sizes}
    return Variant(name, parameters, simulators, regress)


BENCH = Bench(
    name="tile_maps",
    covers=("tile", "tile_input", "tile_output"),
    variants=(
        _variant("tiny", "tiny", simulators=("verilator",)),
        _variant("tiny_ungated", "tiny", works=3, simulators=("icarus",), gated=False),
        _variant("tiny_fast_sync", "tiny", clocks=(650, 1850), regress=True),
        _variant("tiny_binary16", "tiny", lanes=2, units=8, gather=8, pool=16,
                 partial_sums="binary16", regress=True),
        _variant("tiny_narrow", "tiny", lanes=4, units=1, rx=32, partial_sums="binary16"),
        _variant("hermes_wide", "hermes_wide", works=4, regress=True),
        _variant("long", "tiny", works=300, regress=True),
    ),
    prepare=_prepare,
)  # fmt: skip


async def _bench(dut: object) -> TileBench:
    RECORD.mkdir(exist_ok=True)
    parameters = benches.current()
    return await TileBench.start(dut, sized(parameters), *parameters["clocks"])


def _press(random: np.random.Generator, bench: TileBench) -> None:
    """Pause every stream in some share of the clocks."""
    for stream, share in zip(
        (bench.input, bench.rx, bench.output), random.choice([0, 0.3, 0.9], 3), strict=True
    ):
        stream.set_pause_generator(pauses(random, share))


def _work_with_packets(random: np.random.Generator, bench: TileBench, pixels: int) -> MapWork:
    """Work with one map of that many pixels or more."""
    while True:
        work = random_map_work(random, bench.chip, 1)
        if work.config.window.pixels >= pixels:
            return work


async def _prepare_for(bench: TileBench, work: MapWork) -> None:
    """Load the state, configure the tile."""
    await bench.load(work.state)
    await bench.host.configure(work.config)


def _send_rx(bench: TileBench, work: MapWork, vectors: int | None = None) -> None:
    """Queue the RX vectors, if there are any; only the first `vectors` of them if given."""
    for number, vector in enumerate([] if work.rx is None else work.rx[:vectors]):
        turn = number % work.config.rx_parts
        bench.rx.send_nowait(AxiStreamFrame(vector.tobytes(), tuser=turn))


async def _run(
    bench: TileBench, work: MapWork, name: str, packets: list[tuple[bytes, int]] | None = None
) -> None:
    """Send maps, or other packets; compare the results and the recordings with golden."""
    config, chip = work.config, bench.chip
    await _prepare_for(bench, work)
    expected = work.expected(chip)
    left, _ = watch_packets(bench.dut, len(expected))
    _send_rx(bench, work)
    for payload, part in work.packets() if packets is None else packets:
        bench.input.send_nowait(AxiStreamFrame(payload, tuser=part))
    got = await bench.receive(len(expected), config.columns, expected.dtype)
    for part in (config.window, config.pooling):
        name += f", {type(part).__name__.lower()} {named(**vars(part))}" if part else ""
    compare(expected, got, place(name, config))
    # Pooling may drop the last results: they need their pixels all the same.
    await bench.input.wait()
    await bench.host.wait_idle()
    recorded = recording.one_tile(RECORD, bench.states, expected.dtype.itemsize)
    compare(work.results(chip), recorded.results, place(f"recorded results of {name}"))
    compare(expected, recorded.sent, place(f"recorded packets of {name}"))
    _check_times(chip, config, recorded, left)


def _check_times(chip: Chip, config: TileConfig, recorded: Recorded, left: list[int]) -> None:
    """Every beat has a clock of its own; a packet's last is when it left, `left` in ps."""
    period = 2 * benches.current()["clocks"][0]
    ends = {}
    for sent, vectors, values, width in (
        (False, len(recorded.results), config.columns, chip.ldpu.lanes),
        (True, len(recorded.sent), config.tx_bytes, chip.link.units),
    ):
        beats = -(-values // width)
        times = [
            [recorded.time_ps(sent, vector, beat) for beat in range(beats + 1)]
            for vector in range(vectors)
        ]
        assert all(each.pop() is None for each in times), "more beats than a vector has"
        steps = np.diff(np.ravel(times))
        assert (steps > 0).all() and not (steps % period).any(), "beats share a clock or have none"
        ends[sent] = [each[-1] for each in times]
    assert ends[True] == left
    if config.pooling is None:
        assert all(np.less(ends[False], ends[True])), "a packet left before its result was there"


async def _count(bench: TileBench, name: str, before: int = 0) -> int:
    return (await bench.host.read(name) - before) & ((1 << 32) - 1)


@cocotb.test()
async def any_maps(dut: object) -> None:
    """Maps of any size, windows of any kind, row blocks, pooling, RX vectors in turn, pauses."""
    random = benches.generator()
    bench = await _bench(dut)
    for number in range(benches.current()["works"]):
        _press(random, bench)
        work = random_map_work(random, bench.chip, int(random.integers(1, 4)))
        names = ("VECTORS_IN", "VECTORS_OUT", "MVMS")
        before = [await _count(bench, name) for name in names]
        await _run(bench, work, f"work {number}")
        counted = [await _count(bench, name, old) for name, old in zip(names, before, strict=True)]
        vectors = len(work.maps) * work.config.window.results
        sent = len(work.expected(bench.chip))
        assert counted == [vectors, sent, vectors], f"{names}: {counted}"
        if number % 3 == 2:
            await _vectors(random, bench)
    assert await bench.errors() == 0


async def _vectors(random: np.random.Generator, bench: TileBench) -> None:
    """Between maps, vectors in one packet, or in parts."""
    config = random_config(random, bench.chip, ReadMode.ONE_PHASE, False, False, False)
    work = with_parts(random, bench.chip, random_work(random, bench.chip, config, 4))
    await bench.check(work, "vectors", random)


def _rx_vectors(bench: TileBench, work: MapWork) -> int:
    """Number of RX vectors that fit the tile's buffer, each in whole beats."""
    return bench.chip.buffers.rx // bench.chip.rx_place(work.config.rx_bytes)


@cocotb.test()
async def what_waits_is_not_busy(dut: object) -> None:
    """Pixels, RX vectors and windows that wait for others block nothing, and can be dropped."""
    random = benches.generator()
    bench = await _bench(dut)
    for _ in range(4):
        work = _work_with_packets(random, bench, 3)
        await _prepare_for(bench, work)
        vectors = work.config.window.results
        if work.rx is not None:
            vectors = min(vectors, _rx_vectors(bench, work))
            _send_rx(bench, work, vectors)
            await bench.rx.wait()
            await bench.host.wait_idle()
        packets = list(work.packets())
        # Results waiting for RX vectors would keep the tile busy.
        some = int(random.integers(1, len(packets)))
        while work.vectors_of(some) > vectors:
            some -= 1
        for payload, part in packets[:some]:
            bench.input.send_nowait(AxiStreamFrame(payload, tuser=part))
        await bench.input.wait()
        await bench.host.wait_idle()
        bench.output.clear()
        await _run(bench, work, "after dropped packets")
    assert await bench.errors() == 0


@cocotb.test()
async def rx_vectors_are_discarded(dut: object) -> None:
    """Waiting RX vectors without use are dropped, though the clock had stopped."""
    random = benches.generator()
    bench = await _bench(dut)
    rx_enable = 1 << BY_NAME["MODE"].field("rx_enable").low
    while True:
        work = _work_with_packets(random, bench, 1)
        vectors = _rx_vectors(bench, work)
        if work.rx is not None and 0 < vectors <= len(work.rx) and work.config.rx_parts == 1:
            break
    await _prepare_for(bench, work)
    _send_rx(bench, work, vectors)
    await bench.rx.wait()
    await bench.host.wait_idle()
    assert await bench.errors() == 0
    mode = await bench.host.read("MODE")
    await bench.host.write("MODE", mode & ~rx_enable)
    await ClockCycles(dut.aclk, 2 * bench.chip.buffers.rx)
    assert await bench.errors() == Error.RX_UNEXPECTED
    await bench.host.write("MODE", mode)
    _send_rx(bench, work)
    for payload, part in work.packets():
        bench.input.send_nowait(AxiStreamFrame(payload, tuser=part))
    expected = work.expected(bench.chip)
    got = await bench.receive(len(expected), work.config.columns, expected.dtype)
    compare(expected, got, place("after discarding"))
    assert await bench.errors() == 0


@cocotb.test()
async def locked_while_busy(dut: object) -> None:
    """While results wait to leave, the configuration cannot change; then all is right."""
    random = benches.generator()
    bench = await _bench(dut)
    work = random_map_work(random, bench.chip, 1)
    await _prepare_for(bench, work)
    bench.output.pause = True
    _send_rx(bench, work)
    for payload, part in work.packets():
        bench.input.send_nowait(AxiStreamFrame(payload, tuser=part))
    await ClockCycles(dut.aclk, 2000)
    assert await bench.host.read("STATUS") & 1, "results wait, and STATUS.busy is 0"
    for name in ("GATHER", "MAP", "RING_SIZE", "POOL", "POOL_MAP", "RX_PARTS", "PARTS"):
        assert await bench.host.port.write(BY_NAME[name].address, 1) == REFUSED, name
    bench.output.pause = False
    expected = work.expected(bench.chip)
    got = await bench.receive(len(expected), work.config.columns, expected.dtype)
    compare(expected, got, place("locked"))


@cocotb.test()
async def wrong_pixels(dut: object) -> None:
    """A short pixel is filled up with 0; the surplus of a long one is discarded."""
    random = benches.generator()
    bench = await _bench(dut)
    for error in (Error.INPUT_SHORT, Error.INPUT_LONG):
        while True:
            work = _work_with_packets(random, bench, 2)
            if work.config.window.channels > 1 and not work.config.parts:
                break
        packets = list(work.packets())
        wrong = int(random.integers(len(packets)))
        payload, part = packets[wrong]
        if error == Error.INPUT_SHORT:
            packets[wrong] = payload[:-1], part
            understood = work.maps.copy()
            understood.reshape(len(packets), -1)[wrong, -1] = 0
            work = replace(work, maps=understood)
        else:
            packets[wrong] = payload + b"\x55", part
        await _run(bench, work, f"pixel {wrong} of a wrong length", packets)
        assert await bench.errors() == error
