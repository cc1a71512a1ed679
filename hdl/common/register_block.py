"""The register block: any table of registers, behind a bus."""

from collections.abc import Collection, Iterator, Mapping
from enum import IntFlag

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from caduceus.hdl.common.axi_lite import DATA_BITS, RegisterBus
from caduceus.spec.register import WORD_BYTES, Register, RegisterField, RegisterTable


def word_of(events: Mapping[IntFlag, ValueLike]) -> Value:
    """A word of flags, each set where its event is 1; those without an event are 0."""
    return Cat(Value.cast(events.get(flag, 0))[0] for flag in type(next(iter(events))))


class RegisterElement(wiring.Signature):
    """A register, as the register block sees what is behind it.

    Attributes:
        <field>: in a register `rw` the stored value, in `wo` what is being written, valid with
            `write`, in `ro` what is read.
        write: of `rw` and `wo`: one clock, the register is written; in `rw` the fields follow in
            the next clock.
        refuse: of `rw` and `wo`: a write in this clock is refused.
        event: of one that counts: counted in every clock in which it is 1.
        events, any: of `w1c`: each sets its bit; some bit is set.
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
    """A table of words, as the register block sees the memory behind it.

    Attributes:
        selected: the bus names one of its words.
        entry, word: which. They may be anything while it is not selected.
        write: one clock: the word is written, unless the table is `ro`.
        refuse: a write in this clock is refused.
        value: what is read, unless the table is `wo`; a clock after `entry` and `word`.
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
    """Decodes addresses, stores, counts, and refuses what the tables in `spec` do not allow.

    An access takes two clocks: in the second one memories behind it have answered, and `done` is 1.
    Errors are those of `caduceus.spec.registers`: no register or word there, a write to what is read only,
    to what is locked while `locked`, or of a value out of range; what else is refused, the element
    says with `refuse`. An access with an error changes nothing.

    Attributes (domain `sync`):
        bus: the accesses.
        locked: writes to locked registers and tables are refused in this clock.
        write_data: what is being written.
        <register>, <table>: a `RegisterElement` for every register, named like it in lower case,
            and a `TableElement` for every table.
    """

    def __init__(
        self,
        registers: Collection[Register],
        tables: Mapping[RegisterTable, int],
        counters: Collection[str] = (),
        limits: Mapping[str, int] | None = None,
    ) -> None:
        """Make the block of a map.

        Args:
            registers: the map's registers.
            tables: its tables, each with the number of its entries.
            counters: registers that count.
            limits: registers whose one field must be 1 to this number.

        Raises:
            ValueError: a table does not begin at a multiple of its size, or two things have one
                address.
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
        """Every field of the registers `rw`, with its value."""
        for register in self._registers:
            if register.access == "rw":
                for field in register.fields:
                    yield register, field, getattr(self._element(register), field.name)

    def _element(self, named: Register | RegisterTable) -> wiring.PureInterface:
        return getattr(self, named.name.lower())

    def _word(self, register: Register) -> Value:
        """The fields of a register, each in its place, and 0 between them."""
        parts, end = [], 0
        for field in sorted(register.fields, key=lambda field: field.low):
            shown = getattr(self._element(register), field.name)
            parts += [Const(0, field.low - end), shown, Const(0, field.width - len(shown))]
            end = field.low + field.width
        return Cat(parts)

    def _count(self, m: Module, register: Register) -> Value:
        """The value of a register that counts."""
        count = Signal(DATA_BITS, name=f"{register.name.lower()}_count")
        with m.If(self._element(register).event):
            m.d.sync += count.eq(count + 1)
        return count

    def _stick(self, m: Module, register: Register, write: Value) -> Value:
        """The value of a register of sticky flags; `write` clears those that are written as 1."""
        element = self._element(register)
        held = Signal.like(element.events, name=f"{register.name.lower()}_flags")
        clear = Mux(write, self.write_data, 0)
        m.d.sync += held.eq((held & ~clear) | element.events)
        m.d.comb += element.any.eq(held.any())
        return held

    def _store(self, m: Module, register: Register) -> None:
        """Store what is written to a register."""
        element = self._element(register)
        with m.If(element.write):
            for field in register.fields:
                written = self.write_data[field.low : field.low + field.width]
                m.d.sync += getattr(element, field.name).eq(written)

    def _behind(self, m: Module, register: Register) -> tuple[Signal | None, ValueLike]:
        """What says that a register is written, if it can be, and what is read."""
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
        """Whether a write to a register that can be written is refused now."""
        refused = self.locked & register.locked
        if register.access in ("rw", "wo"):
            refused |= self._element(register).refuse
        if (most := self._limits.get(register.name)) is not None:
            (field,) = register.fields
            written = self.write_data[field.low : field.low + field.width]
            refused |= (written == 0) | (written > most)
        return refused

    def _name_word(self, m: Module, table: RegisterTable, entries: int) -> None:
        """Split the address into a table's entry and word, and say whether there is one."""
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
        asked = Signal()  # the second clock of an access: memories have answered
        known = Signal()  # there is something at the address
        refused = Signal()  # a write to it
        write = Signal()  # it is written
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
    """What a field holds after reset."""
    field = register.field(name)
    value = register.reset >> field.low & (1 << field.width) - 1
    return value - ((value >> field.width - 1) << field.width) * field.signed


def _bits(table: RegisterTable, entries: int) -> int:
    """Address bits within a table."""
    return ceil_log2(entries) + exact_log2(table.stride)


def _demand_places(registers: Collection[Register], tables: Mapping[RegisterTable, int]) -> None:
    """Raise `ValueError` unless everything has addresses of its own, as the decoder needs them."""
    taken: dict[int, str] = {}
    for register in registers:
        other = taken.setdefault(register.address, register.name)
        if other != register.name:
            raise ValueError(f"{register.name} and {other} are both at {register.address:#x}")
    for table, entries in tables.items():
        size = 1 << _bits(table, entries)
        if table.base % size:
            raise ValueError(
                f"{table.name}: base = {table.base:#x}: got {entries} entries of {table.stride} "
                f"bytes, expected a multiple of {size:#x}"
            )
        for address in range(table.base, table.address(entries), WORD_BYTES):
            other = taken.setdefault(address, table.name)
            if other != table.name:
                raise ValueError(f"{table.name} and {other} are both at {address:#x}")
