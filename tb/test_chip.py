"""A whole chip behind AXI: RTL against golden under back-pressure, errors and resets."""

from dataclasses import replace
from itertools import islice

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, Timer

from caduceus.compiler.network import compile_network
from caduceus.sim.scoreboard import Mismatch, compare
from caduceus.spec import fabric, gdpu_registers, pcm_state, registers
from caduceus.spec.formats import COLUMN_CONSTANTS, DEVICE_BITS, FP16_BITS, ReadMode
from caduceus.spec.host_port import SLVERR
from caduceus.spec.network import Network
from caduceus.spec.program import Program
from caduceus.spec.program_codes import device_codes
from caduceus.spec.registers import BY_NAME, Error
from tb import benches
from tb.benches import Bench, Variant
from tb.chip_bench import ChipBench, Work, place
from tb.chip_designs import design
from tb.chip_slices import check_slice
from tb.chip_work import ASIDE, SLICED, VECTOR, change_tile, two_flows
from tb.chips import sized
from tb.random_programs import programs, random_devices, random_vectors
from tb.tile_bench import flipped

_TINY = {"chip": "tiny", "clocks": (1250, 500)}
_WIDE = {"chip": "tiny", "clocks": (1370, 590), "lanes": 2, "columns": 12, "gdpu_units": 3,
         "units": 4, "partial_sums": "binary16"}  # fmt: skip

BENCH = Bench(
    name="chip",
    covers=("chip", "chip_tile", "grid", "grid_parts", "clock_gate.sv"),
    variants=(
        Variant("tiny", {**_TINY, "programs": 3}, simulators=("verilator",)),
        Variant("tiny", {**_TINY, "programs": 1}, simulators=("icarus",), regress=True),
        Variant("wide", {**_WIDE, "programs": 2}, simulators=("verilator",)),
        Variant("wide_long", {**_WIDE, "programs": 40}, simulators=("verilator",), regress=True),
    ),
    prepare=design,
)
LONG, TO_RX = 123, 124
"""Streams that a tile takes as INPUT with surplus values, and as RX without need."""
VECTORS, HELD_UP = 50, 3000
"""More vectors than a tile has room for results, and clocks in which it fills up."""


async def _bench(dut: object) -> ChipBench:
    parameters = benches.current()
    return await ChipBench.start(dut, sized(parameters), parameters["clocks"])


def _work(random: np.random.Generator, bench: ChipBench, program: Program, count: int) -> Work:
    state = random_devices(random, program, bench.chip)
    return Work(program, state, random_vectors(random, program, count))


def _where(work: Work, output: int) -> slice:
    """Part of the output vector that an output of the program gives."""
    part = work.program.outputs[output]
    return slice(part.start, part.start + part.length)


@cocotb.test()
async def a_compiled_layer(dut: object) -> None:
    """A layer over several tiles, with partial sums from tile to tile, in both read modes."""
    random = benches.generator()
    bench = await _bench(dut)
    for mode in ReadMode:
        program = compile_network(Network.find("conv_32x16"), bench.chip, mode)
        state = pcm_state.ideal(bench.chip, device_codes(program, bench.chip))
        work = Work(program, state, random_vectors(random, program, 6))
        bench.set_pauses(random, (0, 0.3, 0.8))
        await bench.check(work, f"conv_32x16 ({mode})")
        assert await bench.host.errors() == {}


@cocotb.test()
async def random_programs(dut: object) -> None:
    """Random dataflows, one after another without a reset between them."""
    random = benches.generator()
    bench = await _bench(dut)
    found = islice(programs(random, bench.chip), benches.current()["programs"])
    for number, program in enumerate(found):
        bench.set_pauses(random, (0, 0.3, 0.9))
        await bench.check(_work(random, bench, program, 5), f"program {number}")
    assert await bench.host.errors() == {}


@cocotb.test()
async def bad_addresses(dut: object) -> None:
    """Undefined addresses get SLVERR, and have no effect."""
    bench = await _bench(dut)
    tiles, space = bench.chip.tiles, registers.TILE_SPACE
    columns = bench.chip.array.columns
    await bench.host.everyone.write("ROWS", 3)
    nowhere = [
        registers.REGISTERS[-1].address + 4,
        registers.COLUMN_TABLE.address(columns),
        registers.COLUMN_TABLE.address(0, len(COLUMN_CONSTANTS)),
        registers.ROUTE_TABLE.address(fabric.STREAMS),
        *(BY_NAME["ROWS"].address + byte for byte in (1, 2, 3)),
        registers.ROUTE_TABLE.base + 2,
        space - 4,
    ]
    rows = BY_NAME["ROWS"].address
    slices = bench.chip.gdpu.slices
    address_bits = registers.chip_address_bits(tiles, slices)
    beyond = range(registers.slice_space(tiles, slices), 1 << address_bits - registers.ADDRESS_BITS)
    addresses = [tile * space + address for tile in range(tiles + 1) for address in nowhere]
    addresses += [tile * space + rows for tile in beyond]
    addresses += [
        registers.slice_space(tiles, number) * space + gdpu_registers.HIDDEN_TABLE.base - 4
        for number in range(slices)
    ]
    for address in addresses:
        assert await bench.access(address) == SLVERR, f"read of {address:#x}"
        assert await bench.access(address, 5) == SLVERR, f"write to {address:#x}"
    # The broadcast window cannot be read: there is no single response.
    for name in ("ID", "ROWS"):
        assert await bench.access(tiles * space + BY_NAME[name].address) == SLVERR, name
    for number, tile in enumerate(bench.host.tiles):
        assert await tile.read("ID") == registers.ID, number
        assert await tile.read("ROWS") == 3, number
    # The window refuses whatever every tile refuses.
    assert await bench.access(tiles * space + rows, bench.chip.array.rows + 1) == SLVERR
    assert await bench.access(tiles * space + BY_NAME["ID"].address, 1) == SLVERR


@cocotb.test()
async def broadcast(dut: object) -> None:
    """A write to the window reaches every tile: registers, constants and routes."""
    random = benches.generator()
    bench = await _bench(dut)
    host = bench.host
    assert (bench.chip.grid.rows, bench.chip.grid.columns) == (2, 2)
    for name, value in (("ROWS", 7), ("RX_SCALE", 0x1234), ("MODE", 5), ("TX_STREAM", 0xA5)):
        await host.everyone.write(name, value)
        for number, tile in enumerate(host.tiles):
            assert await tile.read(name) == value, f"{name} of tile {number}"
    address = registers.column_address(2, "bias")
    assert await host.everyone.port.write(address, 0x5678) == 0
    for number, tile in enumerate(host.tiles):
        assert await tile.port.read(address) == (0x5678, 0), f"bias of tile {number}"
    # From each tile a packet goes east, south and to the host: by tiles 1 and 2 to tile 3, which
    # gets it twice. Routes over the edge swallow it. The two paths wait for each other at tile 3,
    # so the packet must fit into buffers.
    mask = sum(1 << fabric.sinks(bench.chip).index(sink) for sink in ("east_1", "south_1", "host"))
    entry = registers.ROUTE_TABLE.address(99)
    for at, value in ((entry + 4, 0), (entry, mask)):
        assert await host.everyone.port.write(at, value) == 0
    payload = random.integers(-128, 128, 1, dtype=np.int8)
    bench.send_packet(0, 99, payload)
    for port in (0, 1, 1):
        stream, got = await bench.receive_packet(port)
        assert stream == 99
        assert (got == payload).all()
    await bench.until_asleep()
    assert all(sink.empty() for sink in bench.outputs)
    assert await host.errors() == {}


@cocotb.test()
async def bad_packets(dut: object) -> None:
    """Only its tile reports a bad packet; other packets and this tile carry on."""
    random = benches.generator()
    bench = await _bench(dut)
    work = _work(random, bench, two_flows(random, bench.chip), 6)
    bench.set_pauses(random, (0.2,))
    await bench.load(work)
    tile, config = bench.host.tiles[0], work.program.tiles[0].config
    units, most, rows = bench.chip.link.units, fabric.payload_max(bench.chip), config.rows
    await bench.route(0, LONG, fabric.INPUT, rows + 1)
    await bench.route(0, TO_RX, fabric.RX, config.columns)
    bad = (
        (Error.STREAM_UNKNOWN, 77, 5), (Error.STREAM_UNKNOWN, 78, 0),
        (Error.PACKET_EMPTY, VECTOR, 0), (Error.PACKET_EMPTY, SLICED, units),
        (Error.INPUT_SHORT, VECTOR, rows - 1), (Error.INPUT_LONG, LONG, rows + 5),
        (Error.PACKET_LONG, VECTOR, most + 1), (Error.PACKET_LONG, VECTOR, 3 * most),
        (Error.RX_UNEXPECTED, TO_RX, config.columns),
    )  # fmt: skip
    results = 0
    for error, stream, length in bad:
        name = f"{error.name}, stream {stream}, {length} values"
        sent = random.integers(-127, 128, length, dtype=np.int8)
        bench.send(work, {1})
        bench.send_packet(0, stream, sent)
        got = await bench.receive(work, {0})
        await bench.inputs[0].wait()
        await bench.until_asleep()
        assert int(dut.error.value) == 1, name
        assert await bench.host.errors() == {0: error}, name
        if error in (Error.STREAM_UNKNOWN, Error.PACKET_EMPTY, Error.PACKET_LONG):
            assert await tile.read("ERROR_STREAM") == stream, name
        await tile.write("ERROR", error)
        await ClockCycles(dut.aclk, 2)
        assert int(dut.error.value) == 0, name
        reads = await bench.host.tiles[1].read("MVMS") - len(work.x)
        where = _where(work, ASIDE)
        compare(work.expected(bench.chip, reads)[:, where], got[:, where], place(name))
        if error in (Error.INPUT_SHORT, Error.INPUT_LONG, Error.PACKET_LONG):
            # The beginning of the vector counts.
            x = np.zeros_like(work.x[:1])
            x[0, : min(rows, length)] = sent[:rows]
            expected = replace(work, x=x).expected(bench.chip, results)[0, _where(work, 1 - ASIDE)]
            _, payload = await bench.receive_packet(1)
            compare(expected, payload, place(name))
            results += 1
    assert await tile.read("MVMS") == await tile.read("VECTORS_IN") == results
    bench.send(work, {0})
    got = await bench.receive(work, {1})
    where = _where(work, 1 - ASIDE)
    compare(work.expected(bench.chip, results)[:, where], got[:, where], place("after bad packets"))


@cocotb.test()
async def a_bad_packet_in_a_chain(dut: object) -> None:
    """Partial sums and input vectors stay in step, with too short and too long packets anywhere."""
    random = benches.generator()
    bench = await _bench(dut)
    program = compile_network(Network.find("conv_32x16"), bench.chip, ReadMode.ONE_PHASE)
    state = pcm_state.ideal(bench.chip, device_codes(program, bench.chip))
    work = Work(program, state, random_vectors(random, program, 8))
    await bench.load(work)
    understood = work.x.copy()
    bad = {(2, 0): -1, (4, 1): -3, (5, 0): 4, (5, 1): -1}
    for number, vector in enumerate(work.x):
        for index, part in enumerate(program.inputs):
            payload = vector[part.start : part.start + part.length]
            extra = bad.get((number, index), 0)
            if extra < 0:
                payload = payload[:extra]
                understood[number, part.start + part.length + extra : part.start + part.length] = 0
            payload = np.concatenate([payload, np.full(max(0, extra), 7, np.int8)])
            bench.send_packet(part.port, part.stream, payload)
    got = await bench.receive(work)
    expected = replace(work, x=understood).expected(bench.chip)
    assert (expected != work.expected(bench.chip)).any()
    compare(expected, got, place("a chain"))
    await bench.until_asleep()
    # A slice is cut out of a longer packet.
    assert set((await bench.host.errors()).values()) == {Error.INPUT_SHORT}


@cocotb.test()
async def counters(dut: object) -> None:
    """Tiles count only their own vectors; back-pressure at an output counts as stall."""
    random = benches.generator()
    bench = await _bench(dut)
    work = _work(random, bench, two_flows(random, bench.chip), VECTORS)
    await bench.load(work)
    bench.outputs[0].pause = True
    bench.send(work)
    await ClockCycles(dut.aclk, HELD_UP)
    assert int(dut.awake.value) & 2, "tile asleep with a waiting result"
    bench.outputs[0].pause = False
    compare(work.expected(bench.chip), await bench.receive(work), place("counters"))
    await bench.until_asleep()
    for names, computing_only in (
        (("VECTORS_IN", "MVMS", "VECTORS_OUT"), True), (("PACKETS_IN", "PACKETS_OUT"), False)
    ):  # fmt: skip
        for name in names:
            counted = [await tile.read(name) for tile in bench.host.tiles]
            others = 0 if computing_only else VECTORS
            assert counted == [VECTORS, VECTORS, others, others], f"{name}: {counted}"
    busy = [await tile.read("BUSY_CYCLES") for tile in bench.host.tiles]
    assert all(busy) and busy[1] >= HELD_UP, busy
    stalled = [await tile.read("STALL_CYCLES") for tile in bench.host.tiles]
    assert stalled[1] > 0 and stalled[2:] == [0, 0], stalled


@cocotb.test()
async def reset_at_any_moment(dut: object) -> None:
    """After a reset within a packet or an MVM, another program loads and runs correctly."""
    random = benches.generator()
    bench = await _bench(dut)
    found = programs(random, bench.chip)
    for moment in range(benches.current()["programs"]):
        bench.set_pauses(random, (0, 0.3))
        work = _work(random, bench, next(found), 6)
        await bench.load(work)
        bench.send(work)
        await Timer(int(random.integers(20, 2500)), "ns")
        await bench.reset()
        assert int(dut.awake.value) == 0
        await bench.check(_work(random, bench, next(found), 4), f"after reset {moment}")
        assert await bench.host.errors() == {}
        await bench.until_asleep()
        assert all(sink.empty() for sink in bench.outputs)


@cocotb.test()
async def sleep_and_wake(dut: object) -> None:
    """Idle tiles sleep, and wake for a packet or an access; others stay asleep."""
    random = benches.generator()
    bench = await _bench(dut)
    work = _work(random, bench, two_flows(random, bench.chip), 2)
    await bench.load(work)
    for _ in range(3):
        for ports, outputs, tiles in (({0}, {1}, {0, 2, 3}), ({1}, {0}, {1})):
            await bench.until_asleep()
            await ClockCycles(dut.aclk, int(random.integers(1, 300)))
            before = [await tile.read("BUSY_CYCLES") for tile in bench.host.tiles]
            await ClockCycles(dut.aclk, 100)
            after = [await tile.read("BUSY_CYCLES") for tile in bench.host.tiles]
            assert after == before, "a sleeping tile's registers answer and do not count"
            assert int(dut.awake.value) == 0
            seen: set[int] = set()
            watch = cocotb.start_soon(bench.watch_awake(seen))
            reads = await bench.host.tiles[min(tiles)].read("MVMS")
            bench.send(work, ports)
            got = await bench.receive(work, outputs)
            watch.cancel()
            assert seen == tiles, f"tiles {seen} woke for a packet to {tiles}"
            expected = work.expected(bench.chip, reads)
            where = _where(work, ASIDE if outputs == {0} else 1 - ASIDE)
            compare(expected[:, where], got[:, where], place("awake again"))


@cocotb.test()
async def every_alteration_is_reported(dut: object) -> None:
    """One altered bit of codes or constants, or an altered route, in the RTL must be found."""
    random = benches.generator()
    bench = await _bench(dut)
    work = _work(random, bench, two_flows(random, bench.chip), 3)
    expected = work.expected(bench.chip)
    for what in ("codes", "constant", "route"):
        # An alteration without effect on any result (lost in rounding, say) proves nothing.
        while True:
            wrong = _altered(random, work, what, bench)
            if (wrong.expected(bench.chip) != expected).any():
                break
        got = await bench.run(wrong)
        compare(wrong.expected(bench.chip), got, place(f"altered {what}"))
        try:
            compare(expected, got, place(what))
        except Mismatch as report:
            sentence = str(report)
            assert all(word in sentence for word in (what, "vector", "expected", "got")), sentence
        else:
            raise AssertionError(f"{what}: an alteration went unnoticed")


def _altered(random: np.random.Generator, work: Work, what: str, bench: ChipBench) -> Work:
    """`work` with an alteration of tile 0's codes, constants or slice."""
    tile = work.program.tiles[0]

    def altered(array: np.ndarray, bits: int) -> np.ndarray:
        index = tuple(int(random.integers(size)) for size in array.shape)
        return flipped(array, index, int(random.integers(bits)))

    if what == "codes":
        codes = altered(tile.codes, DEVICE_BITS)
        program = change_tile(work.program, 0, codes=codes)
        return replace(work, program=program, state=replace(
            work.state, codes=device_codes(program, bench.chip)
        ))  # fmt: skip
    if what == "constant":
        constants = altered(tile.config.constants, FP16_BITS)
        config = replace(tile.config, constants=constants)
        return replace(work, program=change_tile(work.program, 0, config=config))
    routes = tuple(
        replace(route, start=route.start + bench.chip.link.units)
        if route.stream == VECTOR else route
        for route in tile.routes
    )  # fmt: skip
    return replace(work, program=change_tile(work.program, 0, routes=routes))


@cocotb.test()
async def gdpu_slices(dut: object) -> None:
    """Every slice answers the packets of both its tiles through both, and sleeps in between."""
    random = benches.generator()
    bench = await _bench(dut)
    for number in range(bench.chip.gdpu.slices):
        await check_slice(bench, random, number)
        assert int(dut.slices_error.value) >> number == 1, "an unexpected packet is not reported"
    assert int(dut.error.value) == 0
    errors = {f"slice {n}": gdpu_registers.Error.INPUT_UNEXPECTED for n in range(number + 1)}
    assert await bench.host.errors() == errors
