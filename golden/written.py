"""Registers of a block, a tile or a GDPU slice, as a host wrote them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import fabric, formats, gdpu_registers, registers
from caduceus.spec.chip import Chip
from caduceus.spec.register import Register, RegisterTable


class Written:
    """Registers of a block, and the words of its tables, as they were written.

    Unused bits of a register are ignored, and no value is out of range.

    Attributes:
        values: of its registers, by name.
        tables: of each table the words [entries, words], which are stored as wide as the array is.
    """

    def __init__(
        self, registers: Mapping[str, Register], tables: Mapping[RegisterTable, NDArray]
    ) -> None:
        """A block after its reset; `tables` with the words that they hold then."""
        self._registers, self.tables = registers, dict(tables)
        self._names = {register.address: name for name, register in registers.items()}
        self.values = {name: register.reset for name, register in registers.items()}

    def name(self, address: int) -> str | None:
        """The register at an address."""
        return self._names.get(address)

    def get(self, register: str, key: str = "value") -> int:
        """A field of a register."""
        part = self._registers[register].field(key)
        value = self.values[register] >> part.low & (1 << part.width) - 1
        return value - (1 << part.width) if part.signed and value >> part.width - 1 else value

    def flags(self, register: str) -> dict[str, bool]:
        """The fields of a register whose fields are one bit each."""
        return {field.name: bool(self.get(register, field.name))
                for field in self._registers[register].fields}  # fmt: skip

    def write(self, address: int, value: int) -> bool:
        """Store a word; false if the access is refused."""
        name = self.name(address)
        if name is not None:
            writable = self._registers[name].access != "ro"
            if writable:
                self.values[name] = value
            return writable
        found = self._word(address)
        if found is not None:
            words, place = found
            words[place] = np.array(value).astype(words.dtype)
        return found is not None

    def read(self, address: int) -> int | None:
        """The word at an address; None if the access is refused."""
        name = self.name(address)
        if name is not None:
            return self.values[name]
        found = self._word(address)
        return None if found is None else int(found[0][found[1]]) % (1 << 32)

    def _word(self, address: int) -> tuple[NDArray, tuple[int, int]] | None:
        """The table at an address, and the place of the address's word in it."""
        for table, words in self.tables.items():
            place = table.place(address, len(words))
            if place is not None:
                return words, place
        return None


class WrittenTile(Written):
    """A tile's registers as they were written.

    Attributes:
        words: of the PCM state that is being written.
        image: memory words of the PCM state that was loaded; None before.
    """

    def __init__(self, chip: Chip) -> None:
        constants = sorted(formats.COLUMN_CONSTANTS, key=lambda each: each.index)
        resets = np.array([each.reset for each in constants], np.uint16)
        super().__init__(
            registers.BY_NAME,
            {
                registers.PART_TABLE: np.zeros((fabric.PARTS, 1), np.uint32),
                registers.COLUMN_TABLE: np.tile(resets, (chip.array.columns, 1)),
                registers.ROUTE_TABLE: np.zeros((fabric.STREAMS, 2), np.uint32),
            },
        )
        self.words: list[int] = []
        self.image: NDArray[np.uint32] | None = None


class WrittenSlice(Written):
    """A GDPU slice's registers as they were written.

    Attributes:
        hidden, cell: int8 and binary16 bits [units], the state as it is.
    """

    def __init__(self, chip: Chip) -> None:
        units = chip.gdpu.units
        super().__init__(
            gdpu_registers.BY_NAME,
            {
                gdpu_registers.HIDDEN_TABLE: np.zeros((units, 1), np.int8),
                gdpu_registers.CELL_TABLE: np.zeros((units, 1), np.uint16),
            },
        )
        self.hidden, self.cell = (words[:, 0] for words in self.tables.values())
