"""A whole tile behind AXI: RTL against golden under random work, traffic, clocks and errors."""

from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, Timer, with_timeout
from cocotbext.axi import AxiStreamFrame

from caduceus.golden.fast.tile import Tile
from caduceus.hdl.array import pcm_array
from caduceus.hdl.common.verilog import write
from caduceus.hdl.tile.axi_tile import AxiTile
from caduceus.hdl.tile.tile import RESULT_DEPTH
from caduceus.sim.scoreboard import Mismatch, compare
from caduceus.sim.tile_host import reset
from caduceus.spec import pcm_state
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import TileConfig
from caduceus.spec.registers import BY_NAME, Error
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import label, sized
from tb.tile_bench import (
    FLIP_BITS,
    PATIENCE,
    TileBench,
    pauses,
    place,
    random_config,
    random_work,
    watch_packets,
    with_binary16,
    with_flip,
    with_parts,
)

HERMES_CLOCKS = (1250, 500)
FLIPS = (*FLIP_BITS, "constant", "activation")


def _prepare(variant: Variant, folder: Path) -> Design:
    chip = sized(variant.parameters)
    sources = [*pcm_array.write_sources(folder, chip), folder / "axi_tile.v"]
    write(AxiTile(chip), "axi_tile", sources[-1])
    build = f"axi_tile-{label(variant.parameters)}"
    return Design(sources, "axi_tile", plusargs=["+pcm_state=states"], build=build)


def _variant(
    variant: str,
    chip: str,
    clocks: tuple[int, int] = HERMES_CLOCKS,
    vectors: int = 4,
    simulators: tuple[str, ...] = ("verilator",),
    regress: bool = False,
    **sizes: int | str,
) -> Variant:
    """`clocks` are half periods of `sync` and `mvm` in ps."""
    parameters = {"chip": chip, "clocks": clocks, "vectors": vectors, **sizes}
    return Variant(variant, parameters, simulators, regress)


BENCH = Bench(
    name="tile",
    covers=("tile", "axi_tile", "tile_input", "tile_output", "tile_rx", "pcm_array"),
    variants=(
        _variant("tiny", "tiny", simulators=("verilator", "icarus")),
        _variant("tiny_fast_sync", "tiny", clocks=(650, 1850), regress=True),
        _variant("tiny_odd_ratio", "tiny", clocks=(1370, 590), lanes=2, rows=24, columns=12,
                 gdpu_units=3),
        _variant("tiny_slow_sync", "tiny", clocks=(9100, 500), lanes=4, regress=True),
        _variant("hermes_lanes8", "hermes", vectors=3, lanes=8, regress=True),
        _variant("tiny_binary16", "tiny", lanes=2, units=8, partial_sums="binary16",
                 regress=True),
        _variant("tiny_narrow", "tiny", lanes=4, units=1, partial_sums="binary16"),
        _variant("tiny_long", "tiny", vectors=200, regress=True),
        _variant("hermes_long", "hermes", vectors=60, regress=True),
    ),
    prepare=_prepare,
)  # fmt: skip


async def _bench(dut: object) -> TileBench:
    parameters = benches.current()
    by_words = parameters.get("by_words", False)
    return await TileBench.start(dut, sized(parameters), *parameters["clocks"], by_words)


@cocotb.test()
async def random_programs(dut: object) -> None:
    """Every mode; random sizes, constants, devices, noise and vectors, under back-pressure."""
    random = benches.generator()
    bench = await _bench(dut)
    for number in range(16):
        mode = (ReadMode.ONE_PHASE, ReadMode.FOUR_PHASE)[number & 1]
        flags = bool(number & 2), bool(number & 4), bool(number & 8)
        for stream, share in zip(
            (bench.input, bench.rx, bench.output), random.choice([0, 0.3, 0.9], 3), strict=True
        ):
            stream.set_pause_generator(pauses(random, share))
        drawn = random_config(random, bench.chip, mode, *flags)
        config = with_binary16(random, bench.chip, drawn)
        work = random_work(random, bench.chip, config, benches.current()["vectors"])
        await bench.check(work, f"program {number} ({mode})")
    assert await bench.errors() == 0


@cocotb.test()
async def full_size(dut: object) -> None:
    """Every row and every column in use, in both modes, with the RX vector."""
    random = benches.generator()
    bench = await _bench(dut)
    rows, columns = bench.chip.array.rows, bench.chip.array.columns
    for mode in ReadMode:
        drawn = random_config(random, bench.chip, mode, False, True, True)
        constants = np.resize(drawn.constants, (columns, drawn.constants.shape[1]))
        config = TileConfig(mode, rows, columns, constants, False, True, True, drawn.rx_scale)
        await bench.check(random_work(random, bench.chip, config, 3), f"full size ({mode})")


@cocotb.test()
async def vectors_in_parts(dut: object) -> None:
    """Input vectors in several packets each, in many orders; between them, vectors of one packet.

    Parts that wait for the rest of their vector block nothing: a write of PARTS drops them.
    """
    random = benches.generator()
    bench = await _bench(dut)
    for number in range(6):
        for stream, share in zip(
            (bench.input, bench.rx, bench.output), random.choice([0, 0.3, 0.9], 3), strict=True
        ):
            stream.set_pause_generator(pauses(random, share))
        config = random_config(random, bench.chip, ReadMode.ONE_PHASE, False, False, number == 1)
        work = random_work(random, bench.chip, config, benches.current()["vectors"])
        if number != 3:
            work = with_parts(random, bench.chip, work)
        await bench.check(work, f"parts {work.config.parts}", random)
        await bench.host.wait_idle()
        if len(work.config.parts) > 1:
            part = work.config.parts[-1]
            sent = random.integers(-128, 128, part.length, dtype=np.int8).tobytes()
            for _ in range(2):
                packet = AxiStreamFrame(sent, tuser=len(work.config.parts) - 1)
                bench.input.send_nowait(packet)
            await bench.input.wait()
            await bench.host.wait_idle()
    assert await bench.errors() == 0


@cocotb.test()
async def every_flipped_bit_is_reported(dut: object) -> None:
    """The comparison finds one inverted bit of the RTL's state, constants or activations."""
    random = benches.generator()
    bench = await _bench(dut)
    config = random_config(random, bench.chip, ReadMode.FOUR_PHASE, False, False, False)
    work = random_work(random, bench.chip, config, 2)
    for where in FLIPS:
        # A bit without effect on any result (of an unused row, or lost in rounding) proves nothing.
        while True:
            wrong = with_flip(random, work, where)
            if (wrong.expected(bench.chip) != work.expected(bench.chip)).any():
                break
        got = await bench.run(wrong)
        compare(wrong.expected(bench.chip), got, place(f"altered {where}"))
        try:
            compare(work.expected(bench.chip), got, place(where))
        except Mismatch as report:
            sentence = str(report)
            assert all(word in sentence for word in (where, "vector", "expected", "got")), sentence
        else:
            raise AssertionError(f"{where}: an inverted bit went unnoticed")


@cocotb.test()
async def malformed_vectors(dut: object) -> None:
    """Wrong lengths set their sticky error; each vector has its result, and nothing hangs."""
    random = benches.generator()
    bench = await _bench(dut)
    chip = bench.chip
    config = random_config(random, chip, ReadMode.ONE_PHASE, False, False, True)
    rows, columns = max(2, config.rows - 1), max(2, config.columns - 1)
    constants = np.resize(config.constants, (columns, config.constants.shape[1]))
    config = TileConfig(
        ReadMode.ONE_PHASE, rows, columns, constants, rx_enable=True, rx_scale=config.rx_scale
    )
    work = random_work(random, chip, config, 3)
    await bench.prepare(work)

    # A short input vector is filled up with 0; the surplus of a long one is dropped.
    for number, (extra, error) in enumerate(
        (
            (-1, Error.INPUT_SHORT),
            (1 - rows, Error.INPUT_SHORT),
            (1, Error.INPUT_LONG),
            (2 * rows, Error.INPUT_LONG),
        )
    ):
        bad = random.integers(-127, 128, rows + extra, dtype=np.int8)
        bench.input.send_nowait(AxiStreamFrame(bad.tobytes()))
        bench.rx.send_nowait(AxiStreamFrame(work.rx[0].tobytes()))
        got = await bench.receive(1, columns)
        await bench.input.wait()
        await ClockCycles(dut.aclk, 20)
        assert await bench.errors() == error, f"a vector of {len(bad)} instead of {rows}"
        understood = np.zeros((1, rows), dtype=np.int8)
        understood[0, : len(bad)] = bad[:rows]
        alone = type(work)(config, work.state, understood, work.rx[:1])
        assert (got == alone.expected(chip, first_read=number)).all(), f"{len(bad)} of {rows}"
    bench.send(work)
    got = await bench.receive(3, columns)
    assert (got == work.expected(chip, first_read=4)).all()

    # A short RX vector is filled up with 0; the surplus of a long one is dropped.
    sent = work.rx.copy()
    sent[0, -1] = 0
    for vector in work.x:
        bench.input.send_nowait(AxiStreamFrame(vector.tobytes()))
    long = np.append(sent[1], np.int8(55))
    for vector in (sent[0, :-1], long, sent[2]):
        bench.rx.send_nowait(AxiStreamFrame(vector.tobytes()))
    got = await bench.receive(3, columns)
    padded = type(work)(config, work.state, work.x, sent)
    assert (got == padded.expected(chip, first_read=7)).all()
    assert await bench.errors() == Error.RX_SHORT | Error.RX_LONG

    # Surplus RX vectors are reported, and block nothing.
    config = replace(config, rx_enable=False)
    await bench.host.wait_idle()
    await bench.host.configure(config)
    for vector in sent:
        bench.rx.send_nowait(AxiStreamFrame(vector.tobytes()))
    for vector in work.x:
        bench.input.send_nowait(AxiStreamFrame(vector.tobytes()))
    got = await bench.receive(3, columns)
    alone = type(work)(config, work.state, work.x, None)
    assert (got == alone.expected(chip, first_read=10)).all()
    await with_timeout(bench.rx.wait(), *PATIENCE)
    await ClockCycles(dut.aclk, 4)
    assert await bench.errors() == Error.RX_UNEXPECTED


@cocotb.test()
async def reset_at_any_moment(dut: object) -> None:
    """A reset within a packet, an MVM or a result: the next work is right."""
    random = benches.generator()
    bench = await _bench(dut)
    for moment in range(6):
        config = random_config(random, bench.chip, ReadMode.FOUR_PHASE, False, True, False)
        work = random_work(random, bench.chip, config, 3)
        await bench.prepare(work)
        bench.send(work)
        await Timer(int(random.integers(20, 2500)), "ns")
        for stream in (bench.input, bench.rx, bench.output):
            stream.clear()
        await reset(dut)
        for stream in (bench.input, bench.rx, bench.output):
            stream.clear()
        await bench.check(work, f"after reset {moment}")


@cocotb.test()
async def locked_while_busy(dut: object) -> None:
    """With vectors inside, the configuration cannot change, and all results are right."""
    random = benches.generator()
    bench = await _bench(dut)
    work = await bench.prepare_plain(random, ReadMode.FOUR_PHASE, 3)
    config = work.config
    bench.output.pause = True
    bench.send(work)
    await bench.input.wait()
    refused = 2
    for name in ("MODE", "ROWS", "COLUMNS", "RX_SCALE", "STATE_SELECT", "PARTS", "REFERENCE"):
        assert await bench.host.port.write(BY_NAME[name].address, 1) == refused, name
    bench.output.pause = False
    got = await bench.receive(3, config.columns)
    assert (got == work.expected(bench.chip)).all()
    await bench.host.wait_idle()
    assert await bench.host.read("VECTORS_IN") == await bench.host.read("VECTORS_OUT") == 3
    assert await bench.host.read("MVMS") == 3
    # Back-pressure at the output while results waited.

    # One column per vector: the tile holds as many vectors as its result queue.
    lanes = bench.chip.ldpu.lanes
    constants = np.resize(config.constants, (lanes, config.constants.shape[1]))
    config = TileConfig(ReadMode.ONE_PHASE, lanes, lanes, constants)
    work = random_work(random, bench.chip, config, 60)
    await bench.prepare(work)
    stalls = await bench.host.read("STALL_CYCLES")
    bench.output.pause = True
    bench.send(work)
    await ClockCycles(dut.mvm_clk, 60 * 140)
    await ClockCycles(dut.aclk, 60 * 30)
    assert await bench.host.read("VECTORS_IN") > RESULT_DEPTH
    assert await bench.host.read("STATUS") & 1, "vectors are inside, but STATUS.busy is 0"
    assert await bench.host.port.write(BY_NAME["COLUMNS"].address, 1) == refused
    assert await bench.host.read("STALL_CYCLES") > stalls
    bench.output.pause = False
    got = await bench.receive(60, lanes)
    assert (got == work.expected(bench.chip)).all()
    await bench.host.wait_idle()


@cocotb.test()
async def a_write_meets_a_vector(dut: object) -> None:
    """A write to PARTS in any clock near a vector's first beat is done before it, or refused."""
    random = benches.generator()
    bench = await _bench(dut)
    work = await bench.prepare_plain(random, ReadMode.ONE_PHASE, 24)
    config = work.config
    want, refused = work.expected(bench.chip), []
    address = BY_NAME["PARTS"].address
    parts = await bench.host.read("PARTS")
    for clocks in range(len(work.x)):
        write = cocotb.start_soon(bench.host.port.write(address, parts))
        await ClockCycles(dut.aclk, clocks % 12 + 1)
        bench.send(replace(work, x=work.x[clocks : clocks + 1]))
        refused.append(await write != 0)
        got = await bench.receive(1, config.columns)
        assert (got[0] == want[clocks]).all(), f"a vector {clocks % 12 + 1} clocks after a write"
        await bench.host.wait_idle()
        assert not await bench.errors()
    assert any(refused) and not all(refused), "the writes were all early, or all late"


@cocotb.test()
async def mvms_overlap(dut: object) -> None:
    """With a short readout, MVMs follow each other at the array's own rate."""
    random = benches.generator()
    bench = await _bench(dut)
    chip = bench.chip
    sync_half, mvm_half = benches.current()["clocks"]
    rows = columns = chip.ldpu.lanes * 2
    vectors = 12
    for mode, clocks in (
        (ReadMode.ONE_PHASE, 128 + chip.mvm.overhead_1phase),
        (ReadMode.FOUR_PHASE, 4 * (128 + chip.mvm.overhead_4phase)),
    ):
        drawn = random_config(random, chip, mode, False, False, False)
        constants = np.resize(drawn.constants, (columns, drawn.constants.shape[1]))
        work = random_work(random, chip, TileConfig(mode, rows, columns, constants), vectors)
        await bench.prepare(work)
        times, done = watch_packets(dut, vectors)
        bench.send(work)
        await with_timeout(done.wait(), *PATIENCE)
        got = await bench.receive(vectors, columns)
        assert (got == work.expected(chip)).all()
        # `sync` clocks per vector: its beats, the mailbox, the readout.
        narrowest = min(chip.ldpu.lanes, chip.link.units)
        needed = rows // narrowest + columns // narrowest + 16
        # The first two vectors also fill an empty pipeline. A packet's time is a `sync` edge.
        span, edge = times[-1] - times[2], 2 * sync_half
        ideal = (vectors - 3) * clocks * 2 * mvm_half
        assert span >= ideal - edge, f"{mode}: {span} ps is less than the array needs, {ideal}"
        if needed * edge <= clocks * 2 * mvm_half:
            assert span <= ideal + edge, f"{mode}: {span} ps instead of {ideal}"
        else:
            # The `sync` side is slower, and bounds the period.
            assert span <= (vectors - 3) * 2 * needed * edge, f"{mode}: {span} ps"


@cocotb.test()
async def reference_currents(dut: object) -> None:
    """With a reference current, vectors only start MVMs; without it, the cells are back."""
    random = benches.generator()
    bench = await _bench(dut)
    for number in range(8):
        mode = (ReadMode.ONE_PHASE, ReadMode.FOUR_PHASE)[number & 1]
        config = random_config(random, bench.chip, mode, False, False, bool(number & 2))
        work = random_work(random, bench.chip, config, benches.current()["vectors"])
        level = int(random.integers(-5000, 5000)) or 1
        golden, first = Tile(bench.chip, work.state), 0
        await bench.prepare(work)
        for reference in (level, -level, 0):
            await bench.host.set_reference(reference)
            bench.send(work)
            got = await bench.receive(len(work.x), config.columns)
            expected = golden.run(config, work.x, work.rx, first, reference)
            compare(expected, got, place(f"program {number} ({mode}), reference {reference}"))
            first += len(work.x)
            await bench.host.wait_idle()
    assert await bench.errors() == 0


@cocotb.test()
async def a_blank_array_gives_the_bias(dut: object) -> None:
    """With every device at 0 there is no charge: a result follows from its constants."""
    bench = await _bench(dut)
    random = benches.generator()
    config = random_config(random, bench.chip, ReadMode.ONE_PHASE, False, False, False)
    work = random_work(random, bench.chip, config, 1)
    blank = pcm_state.ideal(bench.chip, np.zeros_like(work.state.codes))
    work = type(work)(config, blank, work.x, None)
    await bench.check(work, "blank array")
