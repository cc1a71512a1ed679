"""Tile registers: the address space against a model made from the table in `spec.registers`."""

from collections import Counter
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from hdl.tile_registers import TileRegisters
from hdl.verilog import write
from spec import fabric, formats, registers
from spec.registers import BY_NAME, REGISTERS
from tb import benches
from tb.benches import Bench, Design, Variant
from tb.chips import sized
from tb.register_model import Model, mask

CLOCK_NS = 2
WORD = (1 << 32) - 1
ADDRESSES = 1 << registers.ADDRESS_BITS
ERRORS = BY_NAME["ERROR"].fields
COUNTED = {
    "MVMS": "mvm_finished",
    "BUSY_CYCLES": "busy",
    "STALL_CYCLES": "stalled",
    "PACKETS_IN": "packet_in",
    "PACKETS_OUT": "packet_out",
    "VECTORS_IN": "vector_accepted",
    "VECTORS_OUT": "vector_sent",
}
"""What each counting register counts the clocks of."""


def _prepare(variant: Variant, folder: Path) -> Design:
    component = TileRegisters(sized(variant.parameters))
    return Design([write(component, "registers", folder / "registers.v")], "registers")


BENCH = Bench(
    name="tile_registers",
    variants=(
        Variant("tiny", {"chip": "tiny", "accesses": 2000, "stride": 16}),
        Variant("lanes2", {"chip": "tiny", "rows": 12, "columns": 20, "lanes": 2, "accesses": 1000,
                           "stride": 16}, ("icarus",)),
        Variant("hermes", {"chip": "hermes", "accesses": 2000, "stride": 4}, ("verilator",)),
        Variant("every_address", {"chip": "tiny", "accesses": 100_000, "stride": 1},
                ("verilator",), regress=True),
    ),
    prepare=_prepare,
)  # fmt: skip


class Testbed:
    """One access after another, everything looked at in every clock.

    In each clock the bench decides what it drives, and then `step`s over the edge. Inputs other
    than the bus are as `rates` says: the share of clocks in which each is 1; `script` says
    otherwise for the clocks after the next edges.
    """

    CONFIGURATION = {
        "enable": "CONTROL", "four_phase": "MODE", "relu_1": "MODE", "relu_2": "MODE",
        "rx_enable": "MODE", "rx_scale": "RX_SCALE", "rows": "ROWS", "columns": "COLUMNS",
        "tx_stream": "TX_STREAM",
    }  # fmt: skip
    """Outputs that show a field of a register; the field is called like it, or `value`."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.random = benches.generator()
        self.model = Model(sized(benches.current()))
        self.rates: Counter = Counter()
        self.edge = RisingEdge(dut.clk)
        inputs = (*COUNTED.values(), "state_loading", "errors", "error_stream")
        self.driven = dict.fromkeys(inputs, 0)
        self.script: list[dict[str, int]] = []
        self.seen: Counter = Counter()

    async def start(self) -> None:
        """Start the clock, and reset."""
        await Timer(CLOCK_NS, "ns")
        Clock(self.dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        await self.reset()

    async def reset(self) -> None:
        """Idle inputs and a reset: the model starts afresh."""
        dut = self.dut
        bus = ("bus_request", "bus_write", "bus_address", "bus_write_data", "constant_value")
        for name in (*bus, *self.driven):
            getattr(dut, name).value = 0
        dut.rst.value = 1
        await self.edge
        await self.edge
        dut.rst.value = 0
        await self.edge
        self.model = Model(self.model.chip)
        self.driven = dict.fromkeys(self.driven, 0)
        self.rates.clear()
        self.seen.clear()

    def _drive(self) -> None:
        """Draw the inputs of the next clock."""
        script = self.script.pop(0) if self.script else {}
        for name in self.driven:
            if name in script:
                value = script[name]
            elif name == "errors":
                bits = self.random.random(len(ERRORS)) < self.rates[name]
                value = sum(int(bit) << place for place, bit in enumerate(bits))
            elif name == "error_stream":
                changes = self.random.random() < self.rates[name]
                value = int(self.random.integers(fabric.STREAMS)) if changes else self.driven[name]
            else:
                value = int(self.random.random() < self.rates[name])
            if value != self.driven[name]:
                self.driven[name] = value
                getattr(self.dut, name).value = value
        self.model.busy = bool(self.driven["busy"])
        self.model.loading = bool(self.driven["state_loading"])
        self.model.error_stream = self.driven["error_stream"]

    async def step(self, write_done: tuple[int, int] | None = None) -> None:
        """Over an edge: check every output but the bus's, count what is to be counted.

        Args:
            write_done: address and data of a write that should take effect in this clock.
        """
        dut, model = self.dut, self.model
        for port, name in self.CONFIGURATION.items():
            register = BY_NAME[name]
            fields = {field.name: field for field in register.fields}
            field = fields.get(port) or fields["value"]
            want = model.values[name] >> field.low & (1 << field.width) - 1
            assert int(getattr(dut, port).value) == want, f"{port} is not {want}"
        address, data = write_done or (-1, 0)
        loads = address == BY_NAME["STATE_SELECT"].address
        assert bool(dut.state_load.value) == loads, "state_load is wrong"
        if "state" in self.seen:
            assert int(dut.state_index.value) == self.seen["state"], "state_index is wrong"
        constant = model.constant(address)
        assert bool(dut.constant_write.value) == (constant is not None), "constant_write is wrong"
        named = int(dut.constant_column.value), int(dut.constant_index.value)
        if constant:
            assert named == constant, f"constant {constant} was meant, {named} named"
            stored = data & (1 << formats.FP16_BITS) - 1
            assert int(dut.constant_data.value) == stored, "constant_data is wrong"
            model.constants[constant] = stored
        if loads:
            self.seen["state"] = data & mask(BY_NAME["STATE_SELECT"])
            self.seen["loads"] += 1
        self._check_routes(address, data)
        if write_done:
            model.write(address, data)
        for register, event in COUNTED.items():
            model.values[register] += self.driven[event]
        model.error |= self.driven["errors"]
        # The LDPU's memory answers a clock after it was asked.
        dut.constant_value.value = model.constants.get(named, 0)
        self._drive()

    def _check_routes(self, address: int, data: int) -> None:
        """The route table is told of this write, if it is one of an entry, and of no other."""
        dut, word = self.dut, self.model.route(address)
        enters = word is not None and not word.second
        assert bool(dut.routes_write.value) == enters, "routes_write is wrong"
        if self.model.route_slice:
            told = int(dut.routes_start.value), int(dut.routes_length.value)
            assert told == self.model.route_slice, "routes_start or routes_length is wrong"
        if enters:
            sinks = len(fabric.sinks(self.model.chip))
            assert int(dut.routes_stream.value) == word.stream, "routes_stream is wrong"
            assert int(dut.routes_mask.value) == data & (1 << sinks) - 1, "routes_mask is wrong"
            self.seen["routes"] += 1

    async def idle(self, clocks: int) -> None:
        """Let clocks pass without an access."""
        self.dut.bus_request.value = 0
        for _ in range(clocks):
            await self.edge
            assert not self.dut.bus_done.value, "done without a request"
            await self.step()

    async def access(self, writes: bool, address: int, data: int = 0) -> None:
        """One access of two clocks, checked; the next may follow at once."""
        dut, model = self.dut, self.model
        dut.bus_request.value, dut.bus_write.value = 1, int(writes)
        dut.bus_address.value = address
        dut.bus_write_data.value = data if writes else int(self.random.integers(1 << 32))
        await self.edge
        assert not dut.bus_done.value, "done in the first clock"
        await self.step()
        await self.edge
        assert dut.bus_done.value, "not done in the second clock"
        refused = model.refuses(writes, address, data)
        what = f"{'write' if writes else 'read'} {address:#06x} (data {data:#x})"
        assert bool(dut.bus_error.value) == refused, f"{what}: error is not {refused}"
        if not refused and not writes:
            got, want = int(dut.bus_read_data.value), model.read(address)
            assert got == want, f"{what}: expected {want:#x}, got {got:#x}"
        self.seen["refused" if refused else "done"] += 1
        await self.step((address, data) if writes and not refused else None)

    def data(self, address: int) -> int:
        """Something to write: anything, or a value on either side of a limit."""
        chip = self.model.chip
        sizes = (chip.array.rows, chip.array.columns)
        limits = [0, 1, WORD, 0xFFFF, 0x10000, *sizes, *(size + 1 for size in sizes)]
        register = self.model.register(address)
        if self.random.random() < 0.5:
            return int(self.random.integers(1 << 32))
        if register and register.name in ("ROWS", "COLUMNS") and self.random.random() < 0.5:
            return int(self.random.integers(1, max(sizes) + 1))
        return int(self.random.choice(limits))


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def after_reset(dut: Any) -> None:
    """Every register reads as the table says, twice over; nothing counts by itself."""
    bed = Testbed(dut)
    await bed.start()
    for _ in range(2):
        for register in REGISTERS:
            await bed.access(False, register.address)
        await bed.idle(5)
    for register in REGISTERS:  # something that the second reset has to undo
        await bed.access(True, register.address, 3)
    bed.rates.update(dict.fromkeys(bed.driven, 1.0))
    await bed.idle(5)
    await bed.reset()
    for register in REGISTERS:
        await bed.access(False, register.address)


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(busy=[0, 1])
async def every_register(dut: Any, busy: int) -> None:
    """Each register in turn: each bit of it set and cleared, values about its limits, read back."""
    bed = Testbed(dut)
    await bed.start()
    bed.rates["busy"] = busy
    await bed.idle(1)
    ones = [1 << bit for bit in range(32)]
    limits = [1, bed.model.chip.array.rows, bed.model.chip.array.columns]
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
    """A write clears the bits that it names, unless the error happens again in that very clock."""
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
    """An event counts in its own register, once a clock, and in no other."""
    bed = Testbed(dut)
    await bed.start()
    bed.script = [{event: 1}] * 3
    await bed.idle(8)
    for register, counted in COUNTED.items():
        await bed.access(False, BY_NAME[register].address)
        assert bed.model.values[register] == (3 if counted == event else 0)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def every_constant(dut: Any) -> None:
    """Every constant of every column is its own place; the LDPU is told which, and what."""
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
    """Every entry is its own, with the slice written before it; none changes while busy."""
    bed = Testbed(dut)
    await bed.start()
    last = fabric.STREAMS - 1

    async def enter(stream: int, second: int, first: int) -> None:
        address = registers.ROUTE_BASE + stream * registers.ROUTE_STRIDE
        await bed.access(True, address + 4, second)
        await bed.access(False, address)
        await bed.access(True, address, first)

    for stream in bed.random.permutation(fabric.STREAMS).tolist():
        second, first = (int(word) for word in bed.random.integers(1 << 32, size=2))
        await enter(stream, second, first)
    assert bed.seen["routes"] == fabric.STREAMS
    for start in range(2 * bed.model.chip.link.units + 1):
        await enter(last, fabric.payload_max(bed.model.chip) << 16 | start, 1)
    for bit in range(32):
        await enter(0, 1 << bit, 1 << bit)
    for mask_only in range(4):  # the slice of the entry before stays
        await bed.access(True, registers.ROUTE_BASE, mask_only)
    bed.rates["busy"] = 1.0
    await bed.idle(1)
    entered, refused = bed.seen["routes"], bed.seen["refused"]
    for stream in (0, 1, last):
        await enter(stream, WORD, WORD)
    assert bed.seen["routes"] == entered, "an entry was written while busy"
    assert bed.seen["refused"] == refused + 6
    bed.rates["busy"] = 0.0
    await bed.idle(1)
    for address in (registers.ROUTE_BASE - 4, registers.ROUTE_BASE + 8 * fabric.STREAMS):
        await bed.access(True, address, WORD)
        await bed.access(False, address)
    assert bed.seen["refused"] == refused + 10


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def address_space(dut: Any) -> None:
    """Addresses from all over, with all those near a register or the edge of the constants."""
    bed = Testbed(dut)
    await bed.start()
    stride = benches.current()["stride"]
    first = int(bed.random.integers(stride))
    addresses = set(range(first, ADDRESSES, stride))
    addresses |= set(range(REGISTERS[-1].address + 16))
    # Where a decoder of fewer address bits would see a register again.
    addresses |= {1 << bit | register.address for register in REGISTERS for bit in range(6, 16)}
    columns = bed.model.chip.array.columns
    for column in (0, columns - 1, columns):
        base = registers.COLUMN_BASE + column * registers.COLUMN_STRIDE
        addresses |= set(range(base - 8, base + registers.COLUMN_STRIDE))
    for base in (registers.ROUTE_BASE, registers.ROUTE_BASE + 8 * fabric.STREAMS):
        addresses |= set(range(base - 16, base + 16))
    for address in bed.random.permutation(sorted(addresses)).tolist():
        await bed.access(bool(bed.random.random() < 0.3), address, bed.data(address))
    assert bed.seen["refused"], "no address was refused"
    assert bed.seen["done"], "every address was refused"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def anything(dut: Any) -> None:
    """Random accesses while everything around the registers happens at random."""
    bed = Testbed(dut)
    await bed.start()
    known = [register.address for register in REGISTERS]
    for number in range(benches.current()["accesses"]):
        if number % 50 == 0:
            for name in bed.driven:
                bed.rates[name] = float(bed.random.choice([0, 0.01, 0.3, 1]))
        address = int(bed.random.choice(known))
        if bed.random.random() < 0.2:
            base = registers.COLUMN_BASE if bed.random.random() < 0.5 else registers.ROUTE_BASE
            address = base + 4 * int(bed.random.integers(64))
        await bed.access(bool(bed.random.random() < 0.5), address, bed.data(address))
        if bed.random.random() < 0.3:
            await bed.idle(int(bed.random.integers(1, 4)))
    for name in COUNTED:
        assert bed.model.values[name] > 100, f"{name} hardly counted"
