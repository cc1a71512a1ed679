"""Register accesses that check their response."""

from collections.abc import Mapping, Sequence
from enum import IntFlag

from caduceus.spec.errors import UserError
from caduceus.spec.host_port import OKAY, RegisterPort
from caduceus.spec.register import Register

PATIENCE = 10_000
"""Reads of a status bit after which the block is taken to hang."""


def demand(response: int, what: str) -> None:
    """Demand that an access was not refused.

    Raises:
        UserError: it was.
    """
    if response != OKAY:
        raise UserError(f"chip: {what}: AXI response: got {response}, expected {OKAY}")


class RegisterHost:
    """A host of one block's registers, STATUS and ERROR among them.

    Every call raises `UserError` if an access is refused.
    """

    def __init__(
        self, port: RegisterPort, registers: Mapping[str, Register], errors: type[IntFlag],
        block: str,
    ) -> None:  # fmt: skip
        """Its registers by name, and the flags of ERROR.

        `block` is its name in messages, as in "a tile".
        """
        self.port, self._registers, self._errors, self._block = port, registers, errors, block

    async def write(self, name: str, value: int) -> None:
        """Write a register by name."""
        address = self._registers[name].address
        demand(await self.port.write(address, value), f"{name} <- {value:#x}")

    async def write_words(self, address: int, words: Sequence[int], step: int, what: str) -> None:
        """Write words, each `step` bytes after the one before; `what` names them in messages."""
        demand(await self.port.write_words(address, words, step), what)

    async def read_words(self, address: int, count: int, step: int, what: str) -> list[int]:
        """Read words, each `step` bytes after the one before; `what` names them in messages."""
        values, response = await self.port.read_words(address, count, step)
        demand(response, f"reading {what}")
        return values

    async def read(self, name: str) -> int:
        """Read a register by name."""
        value, response = await self.port.read(self._registers[name].address)
        demand(response, f"reading {name}")
        return value

    async def error(self) -> IntFlag:
        """The flags of ERROR."""
        return self._errors(await self.read("ERROR"))

    async def until_clear(self, field: str) -> None:
        """Wait until a field of STATUS is 0.

        Raises:
            UserError: it is 1 in `PATIENCE` reads.
        """
        status = self._registers["STATUS"]
        clear, response = await self.port.until_clear(
            status.address, 1 << status.field(field).low, PATIENCE
        )
        demand(response, "reading STATUS")
        if not clear:
            raise UserError(
                f"{self._block}: STATUS.{field}: got 1 in {PATIENCE} reads, expected 0 by then"
            )
