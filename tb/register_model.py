"""Reference model of a tile's registers, built from the tables in `caduceus.spec.registers`."""

from dataclasses import dataclass

from caduceus.spec import fabric, formats, pcm_write, registers
from caduceus.spec.chip import Chip
from caduceus.spec.pcm_write_registers import RESULT_FIELDS, RESULT_TABLE, TARGET_TABLE
from caduceus.spec.register import Register, RegisterTable
from caduceus.spec.registers import REGISTERS


def mask(register: Register) -> int:
    """The bits of `register` that belong to fields."""
    return sum(((1 << field.width) - 1) << field.low for field in register.fields)


def signed(word: int) -> int:
    """A word of 32 bits as a signed number."""
    return word - (word >> 31 << 32)


def result_of(line: int) -> int:
    """Result of a line from the bench's pcm_writer: the fields without gaps."""
    return (line + 1) * 2_654_435_761 >> 3 & 0x3FFFFF


def result_word(bits: int) -> int:
    """The same result in its register layout."""
    word = 0
    for field in RESULT_FIELDS:
        word |= (bits & (1 << field.width) - 1) << field.low
        bits >>= field.width
    return word


@dataclass(frozen=True)
class RouteWord:
    """A word of the route table: its stream, and whether it is the word with the slice."""

    stream: int
    second: bool


STATE_WORDS = ("STATE_FIRST", "STATE_NEXT")
"""Registers for the words of a state."""


class Model:
    """Reference model of the registers, from their table.

    Attributes:
        values: contents of the `rw` registers, and counter values.
        binary16: the chip's RX values and results may be binary16.
        error: the ERROR register.
        busy, loading, pcm_write: inputs of the present clock.
        locks: `busy` of the clock before, or `arriving` of the present one: whether locked
            registers refuse a write.
        error_stream: input of the present clock.
        constants: contents of the LDPU, by column and index.
        route_slice: start, length and part for the next entry; None if unknown.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.values = {register.name: register.reset for register in REGISTERS}
        self.values["SHAPE"] = chip.array.columns << 16 | chip.array.rows
        self.binary16 = chip.link.partial_sums == "binary16"
        self.values["FEATURES"] = self.binary16 << 16 | chip.link.units << 8 | chip.ldpu.lanes
        self.error = 0
        self.busy = self.locks = self.loading = self.pcm_write = False
        self.error_stream = 0
        self.constants: dict[tuple[int, int], int] = {}
        self.route_slice: tuple[int, int, int] | None = None

    def constant(self, address: int) -> tuple[int, int] | None:
        """Column and index of the constant at `address`, if there is one."""
        for column in range(self.chip.array.columns):
            base = registers.COLUMN_TABLE.base + column * registers.COLUMN_TABLE.stride
            if base <= address < base + 4 * len(formats.COLUMN_CONSTANTS) and not address % 4:
                return column, (address - base) // 4
        return None

    def route(self, address: int) -> RouteWord | None:
        """The route table word at `address`, if there is one."""
        stream, offset = divmod(address - registers.ROUTE_TABLE.base, registers.ROUTE_TABLE.stride)
        if 0 <= stream < fabric.STREAMS and offset in (0, 4):
            return RouteWord(stream, offset == 4)
        return None

    def part(self, address: int) -> int | None:
        """Number of the part whose entry is at `address`, if there is one."""
        part, offset = divmod(address - registers.PART_TABLE.base, registers.PART_TABLE.stride)
        return part if 0 <= part < fabric.PARTS and not offset else None

    def line(self, address: int, table: RegisterTable) -> int | None:
        """The line whose table word is at `address`, if there is one."""
        line, offset = divmod(address - table.base, table.stride)
        return line if 0 <= line < pcm_write.lines(self.chip) and not offset else None

    def register(self, address: int) -> Register | None:
        """The register at `address`, if there is one."""
        return next((entry for entry in REGISTERS if entry.address == address), None)

    def refuses(self, writes: bool, address: int, data: int) -> bool:
        """Whether an access gets an error."""
        if self.constant(address) or self.route(address):
            return writes and self.locks
        if self.part(address) is not None:
            return writes and (self.locks or not self._has_rows(data & 0xFFFF, data >> 16))
        if self.line(address, TARGET_TABLE) is not None:
            return writes and (self.locks or abs(signed(data)) > pcm_write.TARGET_MAX)
        if self.line(address, RESULT_TABLE) is not None:
            return writes
        register = self.register(address)
        if register is None:
            return True
        if not writes:
            return False
        largest = {
            "ROWS": self.chip.array.rows,
            "COLUMNS": self.chip.array.columns,
            "PARTS": fabric.PARTS,
            "RX_PARTS": fabric.PARTS,
        }
        value = data & mask(register)
        return (
            register.access == "ro"
            or (register.locked and self.locks)
            or (register.name in largest and not 1 <= value <= largest[register.name])
            or (register.name in (*STATE_WORDS, "STATE_SELECT", "PCM_WRITE") and self.loading)
            or (
                register.name == "PCM_WRITE"
                and (value & 0xFFFF >= pcm_write.diagonals(self.chip) or value >> 16 & 3 == 3)
            )
            or (register.name == "MODE" and value >= 1 << 4 and not self.binary16)
        )

    def _has_rows(self, start: int, length: int) -> bool:
        aligned = start % self.chip.link.units == 0
        return aligned and length >= 1 and start + length <= self.chip.array.rows

    def read(self, address: int) -> int:
        """Read data of an existing address."""
        constant = self.constant(address)
        if constant:
            return self.constants.get(constant, 0)
        result = self.line(address, RESULT_TABLE)
        if result is not None:
            return result_word(result_of(result))
        targets = self.line(address, TARGET_TABLE) is not None
        if self.route(address) or self.part(address) is not None or targets:
            return 0
        name = self.register(address).name
        if name == "STATUS":
            error = self.error != 0
            return self.busy | self.loading << 1 | error << 2 | self.pcm_write << 3
        now = {
            "ERROR": self.error,
            "ERROR_STREAM": self.error_stream,
            **dict.fromkeys((*STATE_WORDS, "STATE_SELECT", "PCM_WRITE"), 0),
        }
        return now.get(name, self.values[name])

    def write(self, address: int, data: int) -> None:
        """Apply an accepted write, except to constants, which the LDPU holds."""
        register, word = self.register(address), self.route(address)
        if word and word.second:
            start, length, part = data & 0xFFF, data >> 12 & 0xFFF, data >> 24 & 0xF
            start -= start % self.chip.link.units  # a slice begins with a beat
            kept = (1 << fabric.payload_max(self.chip).bit_length()) - 1
            self.route_slice = start & kept, length & kept, part
        elif register and register.access == "rw":
            self.values[register.name] = data & mask(register)
        elif register and register.name == "ERROR":
            self.error &= ~data
