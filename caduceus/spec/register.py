"""How 32-bit registers, and tables of words beside them, are described."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag
from typing import Literal

Access = Literal["ro", "rw", "w1c", "wo"]
WORD_BYTES = 4


@dataclass(frozen=True)
class RegisterField:
    """Bits [low + width - 1 : low] of a register."""

    name: str
    low: int
    width: int
    doc: str
    signed: bool = False


@dataclass(frozen=True)
class Register:
    """One 32-bit register."""

    name: str
    address: int
    access: Access
    reset: int
    fields: tuple[RegisterField, ...]
    doc: str
    locked: bool = False

    def field(self, name: str) -> RegisterField:
        """The field called `name`; KeyError if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"register {self.name} has no field {name}")


def word(doc: str) -> tuple[RegisterField, ...]:
    """The only field of a register that holds a 32-bit number."""
    return (RegisterField("value", 0, 32, doc),)


def flags(docs: Mapping[IntFlag, str]) -> tuple[RegisterField, ...]:
    """The fields of a register of flags: one bit each, called like the flag in lower case."""
    return tuple(
        RegisterField(flag.name.lower(), flag.bit_length() - 1, 1, doc)
        for flag, doc in docs.items()
    )


@dataclass(frozen=True)
class RegisterTable:
    """Words beside the registers: as many entries as a chip has of something, each of some words.

    Attributes:
        name: of the table.
        base: byte address of the first entry.
        stride: bytes from an entry to the next, a power of two.
        access: as of a `Register`.
        words: neighboring words of an entry.
        locked: as of a `Register`.
    """

    name: str
    base: int
    stride: int
    access: Access
    words: int = 1
    locked: bool = True

    def address(self, entry: int, word: int = 0) -> int:
        """Byte address of a word of an entry."""
        return self.base + entry * self.stride + word * WORD_BYTES

    def place(self, address: int, entries: int) -> tuple[int, int] | None:
        """Entry and word at a byte address; None if it is none of `entries` entries' words."""
        entry, offset = divmod(address - self.base, self.stride)
        word, rest = divmod(offset, WORD_BYTES)
        inside = 0 <= entry < entries and word < self.words and not rest
        return (entry, word) if inside else None
