"""Register accesses whose response is looked at."""

from spec.errors import UserError
from spec.host_port import OKAY, RegisterPort


def demand(response: int, what: str) -> None:
    """Demand that an access was not refused.

    Raises:
        UserError: it was.
    """
    if response != OKAY:
        raise UserError(f"the chip answered {what} with AXI response {response}: allowed is {OKAY}")


async def ask(port: RegisterPort, address: int, what: str) -> int:
    """Read a register.

    Raises:
        UserError: it was refused.
    """
    value, response = await port.read(address)
    demand(response, f"reading {what}")
    return value
