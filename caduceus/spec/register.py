"""How a 32-bit register is described."""

from dataclasses import dataclass
from typing import Literal

Access = Literal["ro", "rw", "w1c", "wo"]


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
    """The one field of a register that is a number of 32 bits."""
    return (RegisterField("value", 0, 32, doc),)
