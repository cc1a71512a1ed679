"""The tile's registers: the register block of `spec.registers` and its connections."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from caduceus.hdl.array import pcm_writer
from caduceus.hdl.array.pcm_writer import Order
from caduceus.hdl.common.axi_lite import DATA_BITS, RegisterBus
from caduceus.hdl.common.register_block import RegisterBlock
from caduceus.hdl.fabric.link_sizes import LinkSizes
from caduceus.hdl.fabric.route_table import RouteWrite
from caduceus.hdl.tile import gather_config, pool
from caduceus.hdl.tile.gather_config import GatherConfig
from caduceus.hdl.tile.input_assembler import PartWrite
from caduceus.hdl.tile.pool import PoolConfig
from caduceus.spec import fabric, formats, pcm_write, pcm_write_registers, registers
from caduceus.spec.chip import Chip
from caduceus.spec.register import Register, RegisterField
from caduceus.spec.registers import BY_NAME

COUNTERS = {
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
"""Counting registers, and the input whose clocks each counts."""


class TileRegisters(wiring.Component):
    """Registers of a tile: outputs configuration, reads status, events and column constants.

    Latency: an access takes two clocks. Refused accesses: see `spec.registers`.

    Attributes (domain `sync`):
        bus: the host's accesses.
        enable, four_phase, relu_1, relu_2, rx_enable, rx_binary16, tx_binary16, rx_scale, rows,
            columns, parts, rx_parts, reference_level: configuration.
        gather, pool: configuration of the gather unit and of the pooling unit.
        order, pcm_write: to the PCM writer, see `hdl.array.pcm_writer`; 1 while it is busy.
        restart: pulse of one clock: PARTS is written.
        state_load, state_index: pulse of one clock, and the state's number: load a state.
        state_write, state_first, state_data: pulse of one clock: a word of a state, and whether it
            is the first.
        state_loading, busy: status.
        arriving: a beat arrives; writes to locked registers are refused in this clock, and in the
            clock after one with `busy`.
        mvm_finished, stalled, vector_accepted, vector_sent, packet_in, packet_out, pulsed,
            verified: counted in every clock in which they are 1.
        error: a bit of ERROR is set.
        errors: pulse of one clock each: sets the flag of ERROR.
        error_stream, tx_stream, routes: see `caduceus.hdl.fabric.link_controller.LinkController`.
        table: see `caduceus.hdl.tile.input_assembler`.
        constant_*: see `caduceus.hdl.tile.ldpu`.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        rows, columns = chip.array.rows, chip.array.columns
        super().__init__(
            {
                "bus": In(RegisterBus()),
                "enable": Out(1),
                "four_phase": Out(1),
                "relu_1": Out(1),
                "relu_2": Out(1),
                "rx_enable": Out(1),
                "rx_binary16": Out(1),
                "tx_binary16": Out(1),
                "rx_scale": Out(formats.FP16_BITS),
                "rows": Out(range(rows + 1)),
                "columns": Out(range(columns + 1)),
                "parts": Out(range(fabric.PARTS + 1)),
                "rx_parts": Out(range(fabric.PARTS + 1)),
                "gather": Out(GatherConfig()),
                "pool": Out(PoolConfig()),
                "order": Out(Order(chip)),
                "pcm_write": In(1),
                "pulsed": In(1),
                "verified": In(1),
                "reference_level": Out(signed(formats.REFERENCE_BITS)),
                "restart": Out(1),
                "table": Out(PartWrite(rows)),
                "state_load": Out(1),
                "state_index": Out(BY_NAME["STATE_SELECT"].field("index").width),
                "state_write": Out(1),
                "state_first": Out(1),
                "state_data": Out(DATA_BITS),
                "state_loading": In(1),
                "busy": In(1),
                "arriving": In(1),
                "mvm_finished": In(1),
                "stalled": In(1),
                "vector_accepted": In(1),
                "vector_sent": In(1),
                "packet_in": In(1),
                "packet_out": In(1),
                "errors": In(registers.Error),
                "error_stream": In(fabric.STREAM_BITS),
                "error": Out(1),
                "tx_stream": Out(fabric.STREAM_BITS),
                "routes": Out(RouteWrite(LinkSizes.of(chip))),
                "constant_column": Out(range(columns)),
                "constant_index": Out(range(len(formats.COLUMN_CONSTANTS))),
                "constant_write": Out(1),
                "constant_data": Out(formats.FP16_BITS),
                "constant_value": In(formats.FP16_BITS),
            }
        )

    def _port(self, register: Register, field: RegisterField) -> Signal:
        """The output for a field of an `rw` register."""
        for unit, fields in (
            (self.gather, gather_config.FIELDS),
            (self.pool, pool.FIELDS),
            (self.order, pcm_writer.FIELDS),
        ):
            for name, place in fields.items():
                if place == (register.name, field.name):
                    return getattr(unit, name)
        # A register's only field has no name of its own.
        return getattr(self, register.name.lower() if field.name == "value" else field.name)

    def _configure(self, m: Module, block: RegisterBlock) -> None:
        """Connect stored fields to the outputs, and refuse illegal values."""
        for register, field, stored in block.stored():
            m.d.comb += self._port(register, field).eq(stored)
        if self._chip.link.partial_sums == "int8":
            binary16 = [BY_NAME["MODE"].field(name) for name in ("rx_binary16", "tx_binary16")]
            written = Cat(block.write_data[field.low] for field in binary16)
            m.d.comb += block.mode.refuse.eq(written.any())
        m.d.comb += self.restart.eq(block.parts.write)

    def _show(self, m: Module, block: RegisterBlock) -> None:
        """Connect status and counters."""
        chip = self._chip
        m.d.comb += [
            block.id.value.eq(registers.ID),
            block.version.value.eq(registers.VERSION),
            block.shape.rows.eq(chip.array.rows),
            block.shape.columns.eq(chip.array.columns),
            block.features.lanes.eq(chip.ldpu.lanes),
            block.features.units.eq(chip.link.units),
            block.features.binary16.eq(chip.link.partial_sums == "binary16"),
            block.status.busy.eq(self.busy),
            block.status.state_loading.eq(self.state_loading),
            block.status.error.eq(self.error),
            block.status.pcm_write.eq(self.pcm_write),
            block.error_stream.value.eq(self.error_stream),
            block.error.events.eq(self.errors),
            self.error.eq(block.error.any),
            *(
                getattr(block, register.lower()).event.eq(getattr(self, event))
                for register, event in COUNTERS.items()
            ),
        ]

    def _load_states(self, m: Module, block: RegisterBlock) -> None:
        """Connect writes and loads of states; both are refused during a load."""
        select, first, following = block.state_select, block.state_first, block.state_next
        m.d.comb += [
            self.state_load.eq(select.write),
            self.state_write.eq(first.write | following.write),
            self.state_first.eq(first.write),
            self.state_data.eq(block.write_data),
            *(each.refuse.eq(self.state_loading) for each in (select, first, following)),
        ]
        with m.If(select.write):
            m.d.sync += self.state_index.eq(select.index)

    def _order(self, m: Module, block: RegisterBlock) -> None:
        """Connect the PCM writer: order, targets and results."""
        order, command, most = self.order, block.pcm_write, pcm_write.TARGET_MAX
        exists = command.diagonal < pcm_write.diagonals(self._chip)
        target = block.write_data.as_signed()
        m.d.comb += [
            command.refuse.eq(
                ~exists | (command.devices > pcm_write.DEVICES_MAX) | self.state_loading
            ),
            block.targets.refuse.eq((target < -most) | (target > most)),
            order.target_write.eq(block.targets.write),
            order.target_line.eq(block.targets.entry),
            order.target.eq(target),
            order.result_line.eq(block.line_results.entry),
            *(
                block.line_results.value[field.low : field.low + field.width].eq(
                    order.result[field.name]
                )
                for field in pcm_write_registers.RESULT_FIELDS
            ),
        ]
        # One clock later, together with its fields.
        m.d.sync += order.start.eq(command.write)
        with m.If(command.write):
            m.d.sync += [
                order.diagonal.eq(command.diagonal),
                order.devices.eq(command.devices),
                order.read_device.eq(command.device),
            ]

    def _fill_tables(self, m: Module, block: RegisterBlock) -> None:
        """Connect the tables of parts, column constants and routes."""
        units, rows = self._chip.link.units, self._chip.array.rows
        parts, constants, routes = block.part_table, block.column_constants, block.routes
        part = _fields(block.write_data, registers.PART_FIELDS)
        start, length = part["start"], part["length"]
        m.d.comb += [
            parts.refuse.eq(((start & (units - 1)) != 0) | (length == 0) | (start + length > rows)),
            self.table.write.eq(parts.write),
            self.table.part.eq(parts.entry),
            self.table.start.eq(start),
            self.table.length.eq(length),
            self.constant_write.eq(constants.write),
            self.constant_column.eq(constants.entry),
            self.constant_index.eq(constants.word),
            self.constant_data.eq(block.write_data),
            constants.value.eq(self.constant_value),
            # A route's first word stores the entry, with the slice written before.
            self.routes.write.eq(routes.write & (routes.word == 0)),
            self.routes.stream.eq(routes.entry),
            self.routes.mask.eq(block.write_data),
        ]
        kept = _fields(block.write_data, registers.ROUTE_FIELDS)
        with m.If(routes.write & (routes.word == 1)):
            m.d.sync += [
                self.routes.start.eq(kept["start"] & ~(units - 1)),  # a slice begins with a beat
                self.routes.length.eq(kept["length"]),
                self.routes.part.eq(kept["part"]),
            ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chip = self._chip
        m.submodules.block = block = RegisterBlock(
            registers.REGISTERS,
            registers.tables(chip),
            COUNTERS,
            {
                "ROWS": chip.array.rows,
                "COLUMNS": chip.array.columns,
                "PARTS": fabric.PARTS,
                "RX_PARTS": fabric.PARTS,
            },
        )
        connect(m, flipped(self.bus), block.bus)
        # `busy` of the clock before: it arrives late, and a write's acceptance has a large fan-out.
        # `arriving` covers what has become busy since.
        was_busy = Signal()
        m.d.sync += was_busy.eq(self.busy)
        m.d.comb += block.locked.eq(was_busy | self.arriving)
        for part in (
            self._configure, self._show, self._load_states, self._order, self._fill_tables
        ):  # fmt: skip
            part(m, block)
        return m


def _fields(word: Value, fields: Sequence[RegisterField]) -> dict[str, Value]:
    """The fields of a word, by name."""
    return {field.name: word[field.low : field.low + field.width] for field in fields}
