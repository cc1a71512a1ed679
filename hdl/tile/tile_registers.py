"""The tile's registers, built from the table in `caduceus.spec.registers`."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from caduceus.hdl.array import programmer
from caduceus.hdl.array.programmer import Order
from caduceus.hdl.common.axi_lite import DATA_BITS, RegisterBus
from caduceus.hdl.fabric.link_sizes import LinkSizes
from caduceus.hdl.fabric.route_table import RouteWrite
from caduceus.hdl.tile import gather_config, pool
from caduceus.hdl.tile.gather_config import GatherConfig
from caduceus.hdl.tile.input_assembler import PartWrite
from caduceus.hdl.tile.pool import PoolConfig
from caduceus.spec import fabric, formats, programming, programming_registers, registers
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
"""Counting registers, and the input that each counts the clocks of."""


class TileRegisters(wiring.Component):
    """Configuration out, status, events and column constants in.

    Attributes (domain `sync`):
        bus: the host's accesses; each takes two clocks.
        enable, four_phase, relu_1, relu_2, rx_enable, rx_binary16, tx_binary16, rx_scale, rows,
            columns, parts, rx_parts, reference_level: configuration.
        gather, pool: what is configured of the gather unit and of the pooling unit.
        order, programming: to the programmer, see `hdl.array.programmer`; 1 while it is busy.
        restart: one clock: PARTS is written.
        state_load, state_index: one clock, and which: the array is to load its state.
        state_write, state_first, state_data: one clock: a word of a state, and whether its first.
        state_loading, busy: status.
        arriving: a beat is being taken; locked registers are not written now, nor in a clock after
            one in which the tile was `busy`.
        mvm_finished, stalled, vector_accepted, vector_sent, packet_in, packet_out, pulsed,
            verified: counted in every clock that they are 1.
        error: some bit of ERROR is set.
        errors: one clock each: sets the bit of ERROR, see `caduceus.spec.registers.Error`.
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
                "rx_scale": Out(formats.FP16_BITS, init=BY_NAME["RX_SCALE"].reset),
                "rows": Out(range(rows + 1), init=BY_NAME["ROWS"].reset),
                "columns": Out(range(columns + 1), init=BY_NAME["COLUMNS"].reset),
                "parts": Out(range(fabric.PARTS + 1), init=BY_NAME["PARTS"].reset),
                "rx_parts": Out(range(fabric.PARTS + 1), init=BY_NAME["RX_PARTS"].reset),
                "gather": Out(GatherConfig()),
                "pool": Out(PoolConfig()),
                "order": Out(Order(chip)),
                "programming": In(1),
                "pulsed": In(1),
                "verified": In(1),
                "reference_level": Out(signed(formats.REFERENCE_BITS)),
                "restart": Out(1),
                "table": Out(PartWrite(chip)),
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
                "errors": In(len(BY_NAME["ERROR"].fields)),
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

    def _stored(self, register: Register, field: RegisterField) -> Signal:
        """Where a field of an `rw` register is."""
        for unit, fields in (
            (self.gather, gather_config.FIELDS),
            (self.pool, pool.FIELDS),
            (self.order, programmer.FIELDS),
        ):
            for name, place in fields.items():
                if place == (register.name, field.name):
                    return getattr(unit, name)
        # A register's only field has no name of its own.
        return getattr(self, register.name.lower() if field.name == "value" else field.name)

    def _fields(self, error: Value) -> dict[str, dict[str, Value | int]]:
        """What each field of each readable register shows."""
        chip = self._chip
        stored = {
            register.name: {field.name: self._stored(register, field) for field in register.fields}
            for register in registers.REGISTERS
            if register.access == "rw"
        }
        return stored | {
            "ID": {"value": registers.ID},
            "VERSION": {"value": registers.VERSION},
            "SHAPE": {"rows": chip.array.rows, "columns": chip.array.columns},
            "FEATURES": {
                "lanes": chip.ldpu.lanes,
                "units": chip.link.units,
                "binary16": int(chip.link.partial_sums == "binary16"),
            },
            "STATUS": {
                "busy": self.busy,
                "state_loading": self.state_loading,
                "error": error.any(),
                "programming": self.programming,
            },
            "STATE_SELECT": {},
            "STATE_FIRST": {},
            "STATE_NEXT": {},
            "PROGRAM": {},
            "ERROR_STREAM": {"value": self.error_stream},
            "ERROR": {
                field.name: error.bit_select(field.low, 1) for field in BY_NAME["ERROR"].fields
            },
        }

    def _write(self, m: Module, register: Register, allowed: Value, do: Value) -> None:
        """Store what is written to `register` when `do` is 1, unless it is out of range."""
        data = self.bus.write_data
        limits = {
            "ROWS": self._chip.array.rows,
            "COLUMNS": self._chip.array.columns,
            "PARTS": fabric.PARTS,
            "RX_PARTS": fabric.PARTS,
        }
        if register.name in limits:
            field = data[: register.fields[0].width]
            m.d.comb += allowed.eq((field >= 1) & (field <= limits[register.name]))
        elif register.name in ("STATE_SELECT", "STATE_FIRST", "STATE_NEXT"):
            m.d.comb += allowed.eq(~self.state_loading)
        elif register.name == "PROGRAM":
            order = {field.name: data[field.low :][: field.width] for field in register.fields}
            exists = order["diagonal"] < programming.diagonals(self._chip)
            m.d.comb += allowed.eq(exists & (order["devices"] <= 2) & ~self.state_loading)
        elif register.name == "MODE" and self._chip.link.partial_sums == "int8":
            binary16 = [register.field(name) for name in ("rx_binary16", "tx_binary16")]
            m.d.comb += allowed.eq(~Cat(data[field.low] for field in binary16).any())
        else:
            m.d.comb += allowed.eq(1)
        with m.If(do):
            if register.name == "STATE_SELECT":
                m.d.comb += self.state_load.eq(1)
                m.d.sync += self.state_index.eq(data)
            elif register.name in ("STATE_FIRST", "STATE_NEXT"):
                m.d.comb += [
                    self.state_write.eq(1),
                    self.state_first.eq(register.name == "STATE_FIRST"),
                    self.state_data.eq(data),
                ]
            elif register.name == "PROGRAM":
                # A clock later, when its fields are there.
                m.d.sync += [
                    self.order.start.eq(1),
                    self.order.diagonal.eq(order["diagonal"]),
                    self.order.devices.eq(order["devices"]),
                    self.order.read_device.eq(order["device"]),
                ]
            elif register.access == "rw":
                if register.name == "PARTS":
                    m.d.comb += self.restart.eq(1)
                for field in register.fields:
                    written = data[field.low : field.low + field.width]
                    m.d.sync += self._stored(register, field).eq(written)

    def _write_part(self, m: Module) -> tuple[Value, Value]:
        """Connect the table of parts; return whether it is meant, and whether the rows exist."""
        bus, rows = self.bus, self._chip.array.rows
        # The table begins at a multiple of its size.
        table_bits = (fabric.PARTS * registers.PART_STRIDE - 1).bit_length()
        word_bits = registers.PART_STRIDE.bit_length() - 1
        meant = (bus.address[table_bits:] == registers.PART_BASE >> table_bits) & (
            bus.address[:word_bits] == 0
        )
        start, length = bus.write_data[:16], bus.write_data[16:]
        fits = (
            ((start & (self._chip.link.units - 1)) == 0) & (length != 0) & (start + length <= rows)
        )
        m.d.comb += [
            self.table.part.eq(bus.address[word_bits:table_bits]),
            self.table.start.eq(start),
            self.table.length.eq(length),
        ]
        return meant, fits

    def _lines(self, base: int) -> tuple[Value, Value]:
        """Whether a line's word of the table at `base` is meant, and the line's number."""
        address, lines = self.bus.address, programming.lines(self._chip)
        shift = programming_registers.LINE_STRIDE.bit_length() - 1
        # The table begins at a multiple of its size.
        bits = (lines - 1).bit_length() + shift
        line = address[shift:bits]
        return (address[bits:] == base >> bits) & (address[:shift] == 0) & (line < lines), line

    def _program(self, m: Module) -> tuple[Value, Value, Value]:
        """Connect targets and results; return which is meant, and whether the target is allowed."""
        order, most = self.order, programming.TARGET_MAX
        in_targets, target_line = self._lines(programming_registers.TARGET_BASE)
        in_results, result_line = self._lines(programming_registers.RESULT_BASE)
        target = self.bus.write_data.as_signed()
        m.d.comb += [
            order.target_line.eq(target_line),
            order.target.eq(target),
            order.result_line.eq(result_line),
        ]
        m.d.sync += order.start.eq(0)
        return in_targets, in_results, (target >= -most) & (target <= most)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        asked = Signal()  # the second clock of an access: memories have answered
        # Of a clock ago: whether something is busy comes late, and much hangs on a write's being
        # done. What is busy only since then is what arrives.
        was_busy = Signal()
        known = Signal()  # the address is in the map
        writable = Signal()
        in_range = Signal()
        locked = Signal()
        value = Signal(DATA_BITS)
        done_write = Signal()

        m.d.sync += [asked.eq(bus.request & ~asked), was_busy.eq(self.busy)]
        refused = locked & (was_busy | self.arriving)
        m.d.comb += [
            bus.done.eq(bus.request & asked),
            bus.error.eq(~known | (bus.write & (~writable | ~in_range | refused))),
            bus.read_data.eq(value),
            done_write.eq(bus.done & bus.write & ~bus.error),
        ]

        error = Signal.like(self.errors)
        clear = Signal.like(self.errors)
        m.d.sync += error.eq((error & ~clear) | self.errors)
        m.d.comb += self.error.eq(error.any())

        counts = {name: Signal(DATA_BITS, name=name.lower()) for name in COUNTERS}
        for name, event in COUNTERS.items():
            with m.If(getattr(self, event)):
                m.d.sync += counts[name].eq(counts[name] + 1)

        fields = self._fields(error)
        for name, count in counts.items():
            fields[name] = {"value": count}

        # Column constants: base + column * stride + index * 4.
        stride = registers.COLUMN_STRIDE.bit_length() - 1
        offset = bus.address - registers.COLUMN_BASE
        column, index = (offset >> stride)[:16], offset[2:stride]
        in_constants = (
            (bus.address >= registers.COLUMN_BASE)
            & (column < self._chip.array.columns)
            & (index < len(formats.COLUMN_CONSTANTS))
            & (bus.address[:2] == 0)
        )
        m.d.comb += [
            self.constant_column.eq(column),
            self.constant_index.eq(index),
            self.constant_data.eq(bus.write_data),
        ]

        in_parts, part_fits = self._write_part(m)
        in_targets, in_results, target_fits = self._program(m)

        # Route table: base + stream * stride, the entry's slice in its second word.
        # The table begins at a multiple of its size.
        table_bits = (fabric.STREAMS * registers.ROUTE_STRIDE - 1).bit_length()
        entry_bits = registers.ROUTE_STRIDE.bit_length() - 1
        in_routes = (bus.address[table_bits:] == registers.ROUTE_BASE >> table_bits) & (
            bus.address[:2] == 0
        )
        second_word = bus.address[2]
        fields_of_second = {
            field.name: bus.write_data[field.low : field.low + field.width]
            for field in registers.ROUTE_FIELDS
        }
        # A slice begins with a beat.
        start = fields_of_second["start"] & ~(self._chip.link.units - 1)
        m.d.comb += [
            self.routes.stream.eq(bus.address[entry_bits:table_bits]),
            self.routes.mask.eq(bus.write_data),
        ]

        with m.Switch(bus.address):
            for register in registers.REGISTERS:
                with m.Case(register.address):
                    m.d.comb += [
                        known.eq(1),
                        writable.eq(register.access != "ro"),
                        locked.eq(register.locked),
                    ]
                    for field in register.fields:
                        if field.name in fields[register.name]:
                            shown = fields[register.name][field.name]
                            m.d.comb += value[field.low : field.low + field.width].eq(shown)
                    if register.name == "ERROR":
                        m.d.comb += [
                            in_range.eq(1),
                            clear.eq(Mux(done_write, bus.write_data, 0)),
                        ]
                    elif register.access != "ro":
                        self._write(m, register, in_range, done_write)
            with m.Default():
                with m.If(in_constants):
                    m.d.comb += [
                        known.eq(1),
                        writable.eq(1),
                        in_range.eq(1),
                        locked.eq(1),
                        value.eq(self.constant_value),
                        self.constant_write.eq(done_write),
                    ]
                with m.Elif(in_parts):
                    m.d.comb += [
                        known.eq(1),
                        writable.eq(1),
                        in_range.eq(part_fits),
                        locked.eq(1),
                        self.table.write.eq(done_write),
                    ]
                with m.Elif(in_targets):
                    m.d.comb += [
                        known.eq(1),
                        writable.eq(1),
                        in_range.eq(target_fits),
                        locked.eq(1),
                        self.order.target_write.eq(done_write),
                    ]
                with m.Elif(in_results):
                    m.d.comb += known.eq(1)
                    for field in programming_registers.RESULT_FIELDS:
                        shown = value[field.low : field.low + field.width]
                        m.d.comb += shown.eq(self.order.result[field.name])
                with m.Elif(in_routes):
                    m.d.comb += [known.eq(1), writable.eq(1), in_range.eq(1), locked.eq(1)]
                    with m.If(done_write & second_word):
                        m.d.sync += [
                            self.routes.start.eq(start),
                            self.routes.length.eq(fields_of_second["length"]),
                            self.routes.part.eq(fields_of_second["part"]),
                        ]
                    with m.Elif(done_write):
                        m.d.comb += self.routes.write.eq(1)
        return m
