"""The host's interface to any chip: registers, packets, reset.

Calls are coroutines, because a simulation's time passes while they wait. Whoever has a port that
never waits, or that waits by itself, has `finish` run a coroutine to its end.
"""

from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Protocol, TypeVar

OKAY = 0
SLVERR = 2
"""Responses of AXI."""
WORD_STEP = 4
"""Bytes from a word to the next."""

Result = TypeVar("Result")


class RegisterPort(Protocol):
    """Word accesses; each gives the AXI response beside its result."""

    async def write(self, address: int, value: int) -> int:
        """Write a word."""
        ...

    async def read(self, address: int) -> tuple[int, int]:
        """Read a word."""
        ...

    async def write_words(self, address: int, words: Sequence[int], step: int = WORD_STEP) -> int:
        """Write words, each `step` bytes after the one before, until one is refused."""
        for index, value in enumerate(words):
            response = await self.write(address + index * step, value)
            if response != OKAY:
                return response
        return OKAY

    async def read_words(
        self, address: int, count: int, step: int = WORD_STEP
    ) -> tuple[list[int], int]:
        """Read words, each `step` bytes after the one before; as `read_all`."""
        return await self.read_all([address + index * step for index in range(count)])

    async def read_all(self, addresses: Sequence[int]) -> tuple[list[int], int]:
        """Read the word at each address; returns those that were read, and the last response."""
        found = []
        for address in addresses:
            value, response = await self.read(address)
            if response != OKAY:
                return found, response
            found.append(value)
        return found, OKAY

    async def until_clear(self, address: int, bits: int, tries: int) -> tuple[bool, int]:
        """Read a word until all of its `bits` are 0, at most `tries` times.

        Returns whether they were, and the last response.
        """
        for _ in range(tries):
            value, response = await self.read(address)
            if response != OKAY:
                return False, response
            if not value & bits:
                return True, OKAY
        return False, OKAY

    def batch(self) -> AbstractAsyncContextManager[None]:
        """A block of accesses that do not depend on each other's responses.

        In the block, a port may collect writes and waits, and answer as if they had succeeded. It
        makes them in order, at the next read or at the end of the block, which raises `UserError`
        if one of them fails. Blocks may be nested; the outermost one counts.
        """
        return nullcontext()


class HostPort(RegisterPort, Protocol):
    """Registers, and the host's streams with buffers between them and the chip."""

    async def send(self, port: int, data: bytes, last: bool) -> int:
        """Give bytes to a host input; the packet ends with them if `last`.

        Unless `last`, they are whole beats. Returns how many found room: whole beats, too.
        """
        ...

    async def receive(self, port: int, most: int) -> tuple[bytes, bool]:
        """Take what waits at a host output, at most of one packet and `most` bytes.

        Returns the bytes, and whether the packet ended with them.
        """
        ...

    async def reset(self) -> None:
        """Reset the chip, and forget what is in the buffers."""
        ...


def finish(work: Coroutine[Any, Any, Result]) -> Result:
    """Result of a coroutine that never gives way to others.

    Raises:
        RuntimeError: it does.
    """
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    work.close()
    raise RuntimeError("a coroutine waits for something outside of it")
