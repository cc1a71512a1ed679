"""The register block: a table of registers behind a bus."""

from collections.abc import Collection, Iterator, Mapping
from enum import IntFlag

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from caduceus.hdl.common.axi_lite import DATA_BITS, RegisterBus
from caduceus.spec.register import WORD_BYTES, Register, RegisterField, RegisterTable


def word_of(events: Mapping[IntFlag, ValueLike]) -> Value:
    """A word of flags: a flag is 1 if its event is 1, and 0 if it has no event."""
    return Cat(Value.cast(events.get(flag, 0))[0] for flag in type(next(iter(events))))


class RegisterElement(wiring.Signature):
    """A register's signals between the register block and the logic behind it.

    Attributes:
        <field>: `rw`: the stored value. `wo`: the written value, valid with `write`. `ro`: the
            value to read.
        write: `rw` and `wo`: pulse of one clock as the register is written; the fields of `rw`
            change in the next clock.
        refuse: `rw` and `wo`: refuses a write in this clock.
        event: counting registers: counted in every clock in which it is 1.
        events, any: `w1c`: each bit of `events` sets its flag; `any` is the OR of all flags.
    """

    def __init__(self, register: Register, counts: bool, most: int | None) -> None:
        fields = {
            field.name: (signed if field.signed else unsigned)(field.width)
            for field in register.fields
        }
        if most is not None:
            fields = dict.fromkeys(fields, range(most + 1))
        if counts:
            members = {"event": In(1)}
        elif register.access == "w1c":
            members = {"events": In(len(fields)), "any": Out(1)}
        elif register.access == "ro":
            members = {name: In(shape) for name, shape in fields.items()}
        else:
            members = {
                name: Out(shape, init=_reset(register, name)) for name, shape in fields.items()
            } | {"write": Out(1), "refuse": In(1)}
        super().__init__(members)


class TableElement(wiring.Signature):
    """A table's signals between the register block and the memory behind it.

    Attributes:
        selected: the bus addresses one of the table's words.
        entry, word: the addressed entry and word; undefined while `selected` is 0.
        write: not in `ro`: pulse of one clock as the word is written.
        refuse: not in `ro`: refuses a write in this clock.
        value: not in `wo`: the value to read, one clock after `entry` and `word`.
    """

    def __init__(self, table: RegisterTable, entries: int) -> None:
        members = {
            "selected": Out(1),
            "entry": Out(range(entries)),
            "word": Out(range(table.words)),
        }
        if table.access != "ro":
            members |= {"write": Out(1), "refuse": In(1)}
        if table.access != "wo":
            members["value"] = In(DATA_BITS)
        super().__init__(members)


class RegisterBlock(wiring.Component):
    """Decodes addresses, stores and counts, and enforces the rules of the tables in `spec`.

    Latency: an access takes two clocks. In the second one the memories behind it have answered, and
    `done` is 1.

    Errors: those of `spec.registers`. An access answers with an error and changes nothing if its
    address is undefined, if it writes a read-only register, a locked one while `locked` is 1, or a
    value out of range, or if the element's `refuse` is 1.

    Attributes (domain `sync`):
        bus: the register bus.
        locked: refuses writes to locked registers and tables in this clock.
        write_data: the data of the present write.
        <register>, <table>: a `RegisterElement` per register, named like it in lower case, and a
            `TableElement` per table.
    """

    def __init__(
        self,
        registers: Collection[Register],
        tables: Mapping[RegisterTable, int],
        counters: Collection[str] = (),
        limits: Mapping[str, int] | None = None,
    ) -> None:
        """Make the block of a register map.

        Args:
            registers: the map's registers.
            tables: its tables, and the number of entries of each.
            counters: names of the registers that count events.
            limits: registers with one field, and the field's largest value; the smallest is 1.

        Raises:
            ValueError: a table's base is not a multiple of its size, or two registers or tables
                share an address.
        """
        self._registers, self._tables = registers, tables
        self._counters, self._limits = counters, dict(limits or {})
        _demand_places(registers, tables)
        super().__init__(
            {
                "bus": In(RegisterBus()),
                "locked": In(1),
                "write_data": Out(DATA_BITS),
                **{
                    register.name.lower(): Out(
                        RegisterElement(
                            register, register.name in counters, self._limits.get(register.name)
                        )
                    )
                    for register in registers
                },
                **{
                    table.name: Out(TableElement(table, entries))
                    for table, entries in tables.items()
                },
            }
        )

    def stored(self) -> Iterator[tuple[Register, RegisterField, Value]]:
        """Every field of the `rw` registers, with its value."""
        for register in self._registers:
            if register.access == "rw":
                for field in register.fields:
                    yield register, field, getattr(self._element(register), field.name)

    def _element(self, named: Register | RegisterTable) -> wiring.PureInterface:
        return getattr(self, named.name.lower())

    def _word(self, register: Register) -> Value:
        """A register's word: its fields at their bit positions, 0 elsewhere."""
        parts, end = [], 0
        for field in sorted(register.fields, key=lambda field: field.low):
            shown = getattr(self._element(register), field.name)
            parts += [Const(0, field.low - end), shown, Const(0, field.width - len(shown))]
            end = field.low + field.width
        return Cat(parts)

    def _count(self, m: Module, register: Register) -> Value:
        """The value of a counting register."""
        count = Signal(DATA_BITS, name=f"{register.name.lower()}_count")
        with m.If(self._element(register).event):
            m.d.sync += count.eq(count + 1)
        return count

    def _stick(self, m: Module, register: Register, write: Value) -> Value:
        """The value of a register of sticky flags; `write` clears the flags written as 1."""
        element = self._element(register)
        held = Signal.like(element.events, name=f"{register.name.lower()}_flags")
        clear = Mux(write, self.write_data, 0)
        m.d.sync += held.eq((held & ~clear) | element.events)
        m.d.comb += element.any.eq(held.any())
        return held

    def _store(self, m: Module, register: Register) -> None:
        """Store writes to a register."""
        element = self._element(register)
        with m.If(element.write):
            for field in register.fields:
                written = self.write_data[field.low : field.low + field.width]
                m.d.sync += getattr(element, field.name).eq(written)

    def _behind(self, m: Module, register: Register) -> tuple[Signal | None, ValueLike]:
        """A register's write strobe, or None if it is read-only, and the value that it reads."""
        if register.name in self._counters:
            return None, self._count(m, register)
        match register.access:
            case "ro":
                return None, self._word(register)
            case "w1c":
                write = Signal(name=f"{register.name.lower()}_write")
                return write, self._stick(m, register, write)
            case "rw":
                self._store(m, register)
                return self._element(register).write, self._word(register)
        for field in register.fields:
            written = self.write_data[field.low : field.low + field.width]
            m.d.comb += getattr(self._element(register), field.name).eq(written)
        return self._element(register).write, 0

    def _refused(self, register: Register) -> Value:
        """Whether a write to a writable register is refused in this clock."""
        refused = self.locked & register.locked
        if register.access in ("rw", "wo"):
            refused |= self._element(register).refuse
        if (most := self._limits.get(register.name)) is not None:
            (field,) = register.fields
            written = self.write_data[field.low : field.low + field.width]
            refused |= (written == 0) | (written > most)
        return refused

    def _name_word(self, m: Module, table: RegisterTable, entries: int) -> None:
        """Decode the address into a table's entry and word, and whether both exist."""
        element, address = self._element(table), self.bus.address
        byte, low, bits = exact_log2(WORD_BYTES), exact_log2(table.stride), _bits(table, entries)
        entry, word = address[low:bits], address[byte:low]
        m.d.comb += [
            element.entry.eq(entry),
            element.word.eq(word),
            element.selected.eq(
                (address[bits:] == table.base >> bits)
                & (address[:byte] == 0)
                & (entry < entries)
                & (word < table.words)
            ),
        ]

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        asked = Signal()  # second clock of an access: memories have answered
        known = Signal()  # the address is defined
        refused = Signal()  # a write to this address is refused
        write = Signal()  # the access writes
        m.d.sync += asked.eq(bus.request & ~asked)
        m.d.comb += [
            bus.done.eq(bus.request & asked),
            bus.error.eq(~known | (bus.write & refused)),
            write.eq(bus.done & bus.write & ~bus.error),
            self.write_data.eq(bus.write_data),
        ]
        behind = [(register, *self._behind(m, register)) for register in self._registers]
        for table, entries in self._tables.items():
            self._name_word(m, table, entries)
        with m.Switch(bus.address):
            for register, written, value in behind:
                with m.Case(register.address):
                    m.d.comb += [known.eq(1), bus.read_data.eq(value)]
                    if written is None:
                        m.d.comb += refused.eq(1)
                    else:
                        m.d.comb += [written.eq(write), refused.eq(self._refused(register))]
            with m.Default():
                for table in self._tables:
                    element = self._element(table)
                    with m.If(element.selected):
                        m.d.comb += [known.eq(1), refused.eq(1)]
                        if table.access != "ro":
                            m.d.comb += [
                                element.write.eq(write),
                                refused.eq(element.refuse | (self.locked & table.locked)),
                            ]
                        if table.access != "wo":
                            m.d.comb += bus.read_data.eq(element.value)
        return m


def _reset(register: Register, name: str) -> int:
    """A field's value after reset."""
    field = register.field(name)
    value = register.reset >> field.low & (1 << field.width) - 1
    return value - ((value >> field.width - 1) << field.width) * field.signed


def _bits(table: RegisterTable, entries: int) -> int:
    """Address bits within a table."""
    return ceil_log2(entries) + exact_log2(table.stride)


def _demand_places(registers: Collection[Register], tables: Mapping[RegisterTable, int]) -> None:
    """Raise `ValueError` if addresses overlap, or a table's base does not suit the decoder."""
    taken: dict[int, str] = {}
    for register in registers:
        other = taken.setdefault(register.address, register.name)
        if other != register.name:
            raise ValueError(f"{register.name}: address {register.address:#x} is that of {other}")
    for table, entries in tables.items():
        size = 1 << _bits(table, entries)
        if table.base % size:
            raise ValueError(
                f"{table.name}: base: got {table.base:#x}, expected a multiple of {size:#x} for "
                f"{entries} entries of {table.stride} bytes"
            )
        for address in range(table.base, table.address(entries), WORD_BYTES):
            other = taken.setdefault(address, table.name)
            if other != table.name:
                raise ValueError(f"{table.name}: address {address:#x} is that of {other}")
