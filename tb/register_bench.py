"""Bench of the tile registers: accesses, and a check of every output."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from caduceus.hdl.array import pcm_writer
from caduceus.hdl.tile import gather_config, pool
from caduceus.spec import fabric, formats
from caduceus.spec.pcm_write_registers import TARGET_TABLE
from caduceus.spec.registers import BY_NAME
from tb import benches
from tb.chips import sized
from tb.register_model import STATE_WORDS, Model, mask, result_of, signed

CLOCK_NS = 2
WORD = (1 << 32) - 1
ERRORS = BY_NAME["ERROR"].fields
COUNTED = {
    "MVMS": "mvm_finished",
    "BUSY_CYCLES": "busy",
    "STALL_CYCLES": "stalled",
    "PACKETS_IN": "packet_in",
    "PACKETS_OUT": "packet_out",
    "VECTORS_IN": "vector_accepted",
    "VECTORS_OUT": "vector_sent",
    "PULSES": "pulsed",
    "VERIFY_READS": "verified",
}
"""Count condition of each counting register."""


class Testbed:
    """Runs one access after another; checks every output in every clock.

    In each clock the bench decides what it drives, and then `step`s over the edge. Inputs other
    than the bus are 1 in the shares of clocks in `rates`; `script` overrides them for the clocks
    after the next edges.
    """

    CONFIGURATION = {
        "enable": "CONTROL", "four_phase": "MODE", "relu_1": "MODE", "relu_2": "MODE",
        "rx_enable": "MODE", "rx_scale": "RX_SCALE", "rows": "ROWS", "columns": "COLUMNS",
        "tx_stream": "TX_STREAM", "parts": "PARTS", "rx_parts": "RX_PARTS",
        "reference_level": "REFERENCE",
    }  # fmt: skip
    """Outputs that show a register field; the field has the same name, or is `value`."""
    UNITS = {
        "gather": gather_config.FIELDS, "pool": pool.FIELDS, "order": pcm_writer.FIELDS
    }  # fmt: skip
    """Bundles of outputs: by name, each with register and field."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.random = benches.generator()
        self.model = Model(sized(benches.current()))
        self.rates: Counter = Counter()
        self.edge = RisingEdge(dut.clk)
        inputs = (
            *COUNTED.values(), "arriving", "state_loading", "pcm_write", "errors", "error_stream"
        )  # fmt: skip
        self.driven = dict.fromkeys(inputs, 0)
        self.script: list[dict[str, int]] = []
        self.seen: Counter = Counter()
        self._configuration = [
            (getattr(dut, port), BY_NAME[register].field(field), register)
            for port, register, field in self._shown()
        ]

    def _shown(self) -> Iterator[tuple[str, str, str]]:
        """Outputs that show a field, with register name and field name."""
        for port, register in self.CONFIGURATION.items():
            names = {field.name for field in BY_NAME[register].fields}
            yield port, register, port if port in names else "value"
        for unit, fields in self.UNITS.items():
            for member, (register, field) in fields.items():
                yield f"{unit}_{member}", register, field

    async def start(self) -> None:
        """Start the clock, and reset."""
        await Timer(CLOCK_NS, "ns")
        Clock(self.dut.clk, CLOCK_NS, "ns", impl="gpi").start()
        await self.reset()

    async def reset(self) -> None:
        """Idle inputs and a reset; the model is reset, too."""
        dut = self.dut
        bus = ("bus_request", "bus_write", "bus_address", "bus_write_data", "constant_value",
               "order_result")  # fmt: skip
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
        self.model.locks = self.model.busy or bool(self.driven["arriving"])
        self.model.busy = bool(self.driven["busy"])
        self.model.loading = bool(self.driven["state_loading"])
        self.model.pcm_write = bool(self.driven["pcm_write"])
        self.model.error_stream = self.driven["error_stream"]

    async def step(self, write_done: tuple[int, int] | None = None) -> None:
        """Pass an edge: check every output except the bus's, and update the counts.

        Args:
            write_done: address and data of the write that takes effect in this clock.
        """
        dut, model = self.dut, self.model
        for port, field, name in self._configuration:
            want = model.values[name] >> field.low & (1 << field.width) - 1
            assert int(port.value) == want, f"{field.name} of {name} is not {want}"
        address, data = write_done or (-1, 0)
        loads = address == BY_NAME["STATE_SELECT"].address
        assert bool(dut.state_load.value) == loads, "state_load differs"
        words = [BY_NAME[name].address for name in STATE_WORDS]
        assert bool(dut.state_write.value) == (address in words), "state_write differs"
        if address in words:
            assert bool(dut.state_first.value) == (address == words[0]), "state_first differs"
            assert int(dut.state_data.value) == data, "state_data differs"
        if "state" in self.seen:
            assert int(dut.state_index.value) == self.seen["state"], "state_index differs"
        constant = model.constant(address)
        assert bool(dut.constant_write.value) == (constant is not None), "constant_write differs"
        named = int(dut.constant_column.value), int(dut.constant_index.value)
        if constant:
            assert named == constant, f"constant: expected {constant}, got {named}"
            stored = data & (1 << formats.FP16_BITS) - 1
            assert int(dut.constant_data.value) == stored, "constant_data differs"
            model.constants[constant] = stored
        if loads:
            self.seen["state"] = data & mask(BY_NAME["STATE_SELECT"])
            self.seen["loads"] += 1
        assert bool(dut.restart.value) == (address == BY_NAME["PARTS"].address), "restart differs"
        self._check_parts(address, data)
        self._check_routes(address, data)
        self._check_order(address, data)
        if write_done:
            model.write(address, data)
        for register, event in COUNTED.items():
            model.values[register] += self.driven[event]
        model.error |= self.driven["errors"]
        # The LDPU's memory answers one clock after the request.
        dut.constant_value.value = model.constants.get(named, 0)
        dut.order_result.value = result_of(int(dut.order_result_line.value))
        self._drive()

    def _check_routes(self, address: int, data: int) -> None:
        """Check that the route table gets this write if it is for an entry, and no other."""
        dut, word = self.dut, self.model.route(address)
        enters = word is not None and not word.second
        assert bool(dut.routes_write.value) == enters, "routes_write differs"
        if self.model.route_slice:
            names = ("start", "length", "part")
            driven = tuple(int(getattr(dut, f"routes_{name}").value) for name in names)
            assert driven == self.model.route_slice, f"routes: one of {names} differs"
        if enters:
            sinks = len(fabric.sinks(self.model.chip))
            assert int(dut.routes_stream.value) == word.stream, "routes_stream differs"
            assert int(dut.routes_mask.value) == data & (1 << sinks) - 1, "routes_mask differs"
            self.seen["routes"] += 1

    def _check_order(self, address: int, data: int) -> None:
        """Check the PCM writer's ports on a write to a target or to PCM_WRITE."""
        dut, line = self.dut, self.model.line(address, TARGET_TABLE)
        assert bool(dut.order_target_write.value) == (line is not None), "target_write differs"
        if line is not None:
            driven = int(dut.order_target_line.value), dut.order_target.value.to_signed()
            assert driven == (line, signed(data)), f"target {driven}"
            self.seen["targets"] += 1
        assert bool(dut.order_start.value) == bool(self.seen["starts"]), "order_start differs"
        if self.seen["starts"]:
            fields = {"diagonal": 0xFFFF, "devices": 3 << 16, "read_device": 3 << 20}
            for name, bits in fields.items():
                want = (self.seen["pcm_write"] & bits) // (bits & -bits)
                assert int(getattr(dut, f"order_{name}").value) == want, f"{name} is not {want}"
        self.seen["starts"] = int(address == BY_NAME["PCM_WRITE"].address)
        if self.seen["starts"]:
            self.seen["pcm_write"] = data
            self.seen["orders"] += 1

    def _check_parts(self, address: int, data: int) -> None:
        """Check that the table of parts gets this write if it is for an entry, and no other."""
        dut, part = self.dut, self.model.part(address)
        assert bool(dut.table_write.value) == (part is not None), "table_write differs"
        if part is not None:
            driven = [
                int(getattr(dut, f"table_{name}").value) for name in ("part", "start", "length")
            ]
            assert driven == [part, data & 0xFFFF, data >> 16], "the entry of a part differs"
            self.seen["parts"] += 1

    async def idle(self, clocks: int) -> None:
        """Pass clocks without an access."""
        self.dut.bus_request.value = 0
        for _ in range(clocks):
            await self.edge
            assert not self.dut.bus_done.value, "done without a request"
            await self.step()

    async def access(self, writes: bool, address: int, data: int = 0) -> None:
        """Run one access of two clocks, and check it; the next may follow at once."""
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
        """Data to write: anything, or a value on either side of a limit."""
        chip = self.model.chip
        sizes = (chip.array.rows, chip.array.columns)
        limits = [0, 1, WORD, 0xFFFF, 0x10000, *sizes, *(size + 1 for size in sizes)]
        register = self.model.register(address)
        if self.random.random() < 0.5:
            return int(self.random.integers(1 << 32))
        if register and register.name in ("ROWS", "COLUMNS") and self.random.random() < 0.5:
            return int(self.random.integers(1, max(sizes) + 1))
        return int(self.random.choice(limits))
