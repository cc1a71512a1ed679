"""Tile registers: the address space against a model from the table in `spec.registers`."""

from pathlib import Path
from typing import Any

import cocotb

from caduceus.hdl.common.verilog import write
from caduceus.hdl.tile.tile_registers import TileRegisters
from caduceus.spec import fabric, formats, pcm_write, pcm_write_registers, registers
from caduceus.spec.registers import BY_NAME, REGISTERS
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.register_bench import COUNTED, ERRORS, WORD, Testbed

ADDRESSES = 1 << registers.ADDRESS_BITS


def _prepare(variant: Variant, folder: Path) -> Design:
    component = TileRegisters(sized(variant.parameters))
    return Design([write(component, "registers", folder / "registers.v")], "registers")


BENCH = Bench(
    name="tile_registers",
    covers=("tile_registers", "register_block"),
    variants=(
        Variant("tiny", {"chip": "tiny", "accesses": 1000, "stride": 16}),
        Variant("lanes2", {"chip": "tiny", "rows": 12, "columns": 20, "lanes": 2, "accesses": 400,
                           "stride": 16}, ("icarus",)),
        Variant("hermes", {"chip": "hermes", "accesses": 2000, "stride": 4}, ("verilator",),
                regress=True),
        Variant("every_address", {"chip": "tiny", "accesses": 100_000, "stride": 1},
                ("verilator",), regress=True),
    ),
    prepare=_prepare,
)  # fmt: skip


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def after_reset(dut: Any) -> None:
    """Every register reads as in the table, twice over; no counter counts by itself."""
    bed = Testbed(dut)
    await bed.start()
    for _ in range(2):
        for register in REGISTERS:
            await bed.access(False, register.address)
        await bed.idle(5)
    for register in REGISTERS:  # for the second reset to undo
        await bed.access(True, register.address, 3)
    bed.rates.update(dict.fromkeys(bed.driven, 1.0))
    await bed.idle(5)
    await bed.reset()
    for register in REGISTERS:
        await bed.access(False, register.address)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(busy=[0, 1])
async def every_register(dut: Any, busy: int) -> None:
    """Each register in turn: every bit set and cleared, values near its limits, read back."""
    bed = Testbed(dut)
    await bed.start()
    bed.rates["busy"] = busy
    await bed.idle(1)
    ones = [1 << bit for bit in range(32)]
    limits = [1, bed.model.chip.array.rows, bed.model.chip.array.columns, fabric.PARTS]
    values = [0, WORD, *ones, *limits, *(value + 1 for value in limits)]
    for register in REGISTERS:
        for value in values:
            await bed.access(True, register.address, value)
            await bed.access(False, register.address)
    if busy:
        assert bed.seen["loads"] == 0, "a locked register was written"
    else:
        assert bed.seen["loads"] == len(values)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def errors_and_clearing(dut: Any) -> None:
    """A write clears the bits that it names, unless the error occurs again in this clock."""
    bed = Testbed(dut)
    await bed.start()
    address = BY_NAME["ERROR"].address
    for _ in range(200):
        before, cleared, again = (int(bits) for bits in bed.random.integers(0, 1 << len(ERRORS), 3))
        bed.script = [{"errors": before}]
        await bed.idle(2)
        bed.script = [{"errors": again}]  # drives the second clock of the access
        await bed.access(True, address, cleared)
        await bed.access(False, address)
        await bed.access(False, BY_NAME["STATUS"].address)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(event=list(COUNTED.values()))
async def one_event(dut: Any, event: str) -> None:
    """An event increments its own counter once per clock, and no other."""
    bed = Testbed(dut)
    await bed.start()
    bed.script = [{event: 1}] * 3
    await bed.idle(8)
    for register, counted in COUNTED.items():
        await bed.access(False, BY_NAME[register].address)
        assert bed.model.values[register] == (3 if counted == event else 0)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def every_constant(dut: Any) -> None:
    """Every constant of every column has its own place; the LDPU gets place and value."""
    bed = Testbed(dut)
    await bed.start()
    addresses = [
        registers.column_address(column, constant.name)
        for column in range(bed.model.chip.array.columns)
        for constant in formats.COLUMN_CONSTANTS
    ]
    for address in bed.random.permutation(addresses).tolist():
        await bed.access(True, address, int(bed.random.integers(1 << 32)))
    for address in bed.random.permutation(addresses).tolist():
        await bed.access(False, address)
    assert len(bed.model.constants) == len(addresses)
    bed.rates["busy"] = 1.0
    await bed.idle(1)
    for address in addresses[:20]:
        await bed.access(True, address, int(bed.random.integers(1 << 32)))
        await bed.access(False, address)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def every_route(dut: Any) -> None:
    """Every entry is separate, with the slice written before it; none changes while busy."""
    bed = Testbed(dut)
    await bed.start()
    last = fabric.STREAMS - 1

    async def enter(stream: int, second: int, first: int) -> None:
        address = registers.ROUTE_TABLE.address(stream)
        await bed.access(True, address + 4, second)
        await bed.access(False, address)
        await bed.access(True, address, first)

    for stream in bed.random.permutation(fabric.STREAMS).tolist():
        second, first = (int(word) for word in bed.random.integers(1 << 32, size=2))
        await enter(stream, second, first)
    assert bed.seen["routes"] == fabric.STREAMS
    for start in range(2 * bed.model.chip.link.units + 1):
        await enter(last, registers.route_word(start, fabric.payload_max(bed.model.chip), 5), 1)
    for bit in range(32):
        await enter(0, 1 << bit, 1 << bit)
    for mask_only in range(4):  # the slice of the last entry stays
        await bed.access(True, registers.ROUTE_TABLE.base, mask_only)
    bed.rates["busy"] = 1.0
    await bed.idle(1)
    entered, refused = bed.seen["routes"], bed.seen["refused"]
    for stream in (0, 1, last):
        await enter(stream, WORD, WORD)
    assert bed.seen["routes"] == entered, "an entry was written while busy"
    assert bed.seen["refused"] == refused + 6
    bed.rates["busy"] = 0.0
    await bed.idle(1)
    for address in (registers.ROUTE_TABLE.base - 4, registers.ROUTE_TABLE.address(fabric.STREAMS)):
        await bed.access(True, address, WORD)
        await bed.access(False, address)
    assert bed.seen["refused"] == refused + 10


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def every_part(dut: Any) -> None:
    """Every entry of the table of parts, with valid and invalid rows."""
    bed = Testbed(dut)
    await bed.start()
    rows, units = bed.model.chip.array.rows, bed.model.chip.link.units
    words = [(0, 1), (0, rows), (rows - units, units), (0, 0), (0, rows + 1), (rows, 1),
             (rows - units, units + 1), (1, 1), (units, 1), (0x8000, 0x8001)]  # fmt: skip
    for busy in (0.0, 1.0):
        bed.rates["busy"] = busy
        await bed.idle(1)
        before = bed.seen["parts"]
        for part in bed.random.permutation(fabric.PARTS).tolist():
            address = registers.PART_TABLE.address(part)
            for start, length in words:
                await bed.access(True, address, length << 16 | start)
            await bed.access(False, address)
        written = bed.seen["parts"] - before
        assert bool(written) != bool(busy), f"{written} entries were written with busy {busy}"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def every_target_and_result(dut: Any) -> None:
    """Targets at and beyond their limits, orders for valid and invalid diagonals."""
    bed = Testbed(dut)
    await bed.start()
    chip, most = bed.model.chip, pcm_write.TARGET_MAX
    last = pcm_write.diagonals(chip) - 1
    orders = [
        pcm_write_registers.pcm_write_word(d, n, 2) for d in (0, last, last + 1) for n in range(4)
    ]
    for busy in (0.0, 1.0):
        bed.rates["busy"] = busy
        await bed.idle(1)
        before = bed.seen["targets"], bed.seen["orders"]
        for line in bed.random.permutation(pcm_write.lines(chip) + 2).tolist():
            for target in (
                0,
                most,
                -most,
                most + 1,
                -most - 1,
                1 << 31,
                int(bed.random.integers(256)),
            ):
                address = pcm_write_registers.TARGET_TABLE.address(line)
                await bed.access(True, address, target & WORD)
            await bed.access(False, address)
            for writes in (True, False):
                await bed.access(writes, pcm_write_registers.RESULT_TABLE.address(line))
        for order in orders:
            await bed.access(True, BY_NAME["PCM_WRITE"].address, order)
            await bed.access(False, BY_NAME["STATUS"].address)
        written = bed.seen["targets"] - before[0], bed.seen["orders"] - before[1]
        expected = (0, 0) if busy else (4 * pcm_write.lines(chip), 6)
        assert written == expected, f"{written} targets and orders with busy {busy}"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def address_space(dut: Any) -> None:
    """Addresses from the whole space, with all those near a register or the constants' edge."""
    bed = Testbed(dut)
    await bed.start()
    stride = benches.current()["stride"]
    first = int(bed.random.integers(stride))
    addresses = set(range(first, ADDRESSES, stride))
    addresses |= set(range(REGISTERS[-1].address + 16))
    parts = registers.PART_TABLE.base, registers.PART_TABLE.address(fabric.PARTS)
    addresses |= set(range(parts[0] - 8, parts[1] + 8))
    lines = pcm_write.lines(bed.model.chip)
    for table in (pcm_write_registers.TARGET_TABLE, pcm_write_registers.RESULT_TABLE):
        for word in (table.base, table.address(lines)):
            addresses |= set(range(word - 8, word + 8))
    # Where a decoder with fewer address bits would see a register again.
    addresses |= {1 << bit | register.address for register in REGISTERS for bit in range(6, 16)}
    columns = bed.model.chip.array.columns
    for column in (0, columns - 1, columns):
        base = registers.COLUMN_TABLE.address(column)
        addresses |= set(range(base - 8, base + registers.COLUMN_TABLE.stride))
    for base in (registers.ROUTE_TABLE.base, registers.ROUTE_TABLE.address(fabric.STREAMS)):
        addresses |= set(range(base - 16, base + 16))
    for address in bed.random.permutation(sorted(addresses)).tolist():
        await bed.access(bool(bed.random.random() < 0.3), address, bed.data(address))
    assert bed.seen["refused"], "no address was refused"
    assert bed.seen["done"], "every address was refused"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def anything(dut: Any) -> None:
    """Random accesses with random inputs on all other ports."""
    bed = Testbed(dut)
    await bed.start()
    known = [register.address for register in REGISTERS]
    for number in range(benches.current()["accesses"]):
        if number % 50 == 0:
            for name in bed.driven:
                bed.rates[name] = float(bed.random.choice([0, 0.01, 0.3, 1]))
        address = int(bed.random.choice(known))
        if bed.random.random() < 0.2:
            bases = (
                registers.COLUMN_TABLE.base, registers.ROUTE_TABLE.base, registers.PART_TABLE.base,
                pcm_write_registers.TARGET_TABLE.base, pcm_write_registers.RESULT_TABLE.base,
            )  # fmt: skip
            address = int(bed.random.choice(bases)) + 4 * int(bed.random.integers(64))
        await bed.access(bool(bed.random.random() < 0.5), address, bed.data(address))
        if bed.random.random() < 0.3:
            await bed.idle(int(bed.random.integers(1, 4)))
    for name in COUNTED:
        assert bed.model.values[name] > 100, f"{name} counted too little"
