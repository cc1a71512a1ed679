"""Register accesses whose response is looked at."""

from caduceus.spec.errors import UserError
from caduceus.spec.host_port import OKAY, RegisterPort
from caduceus.spec.registers import Register

PATIENCE = 10_000
"""Looks at a status bit after which something is taken to hang."""


def demand(response: int, what: str) -> None:
    """Demand that an access was not refused.

    Raises:
        UserError: it was.
    """
    if response != OKAY:
        raise UserError(f"the chip answered {what} with AXI response {response}: allowed is {OKAY}")


class RegisterHost:
    """A host of one block's registers, which has a register STATUS among them.

    Every call raises `UserError` if an access is refused.
    """

    def __init__(self, port: RegisterPort, registers: dict[str, Register], block: str) -> None:
        """Its registers by name; `block` is what messages call it, as in "a tile"."""
        self.port, self._registers, self._block = port, registers, block

    async def write(self, name: str, value: int) -> None:
        """Write a register by name."""
        await self._write_at(self._registers[name].address, value, name)

    async def _write_at(self, address: int, value: int, what: str) -> None:
        demand(await self.port.write(address, value), f"{what} <- {value:#x}")

    async def read(self, name: str) -> int:
        """Read a register by name."""
        value, response = await self.port.read(self._registers[name].address)
        demand(response, f"reading {name}")
        return value

    async def until_clear(self, field: str) -> None:
        """Wait until a field of STATUS is 0.

        Raises:
            UserError: it never is.
        """
        bit = self._registers["STATUS"].field(field).low
        for _ in range(PATIENCE):
            if not await self.read("STATUS") >> bit & 1:
                return
        raise UserError(f"STATUS.{field} of {self._block} is still 1 after {PATIENCE} looks")
