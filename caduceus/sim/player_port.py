"""Register accesses of a tile or chip in its harness, played by `sv/register_player.sv`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cocotb.triggers import RisingEdge

from caduceus.host.access import demand
from caduceus.sim.chip_player import STREAMS
from caduceus.spec.errors import UserError
from caduceus.spec.host_port import OKAY, WORD_STEP, RegisterPort

ACCESSES, WORDS = "accesses.txt", "words.txt"
"""Files of the player: the accesses of a play, and the words that it read."""


class PlayerPort(RegisterPort):
    """A host's register accesses as files of a player, so that Python waits for whole plays.

    Outside of a `batch` every call is a play of its own. Of a batch, writes and waits are collected
    and played with the next read, or at its end.
    """

    def __init__(self, dut: object, folder: Path = STREAMS) -> None:
        """The harness `dut`, and the folder of its plusarg `+streams=`."""
        self._dut, self._folder = dut, folder
        folder.mkdir(exist_ok=True)
        before = dut.play_accesses.value
        self._level = int(before) if before.is_resolvable else 0
        dut.play_accesses.value = self._level
        self._batches = 0
        self._collected: list[str] = []

    async def write(self, address: int, value: int) -> int:
        """As `RegisterPort.write`."""
        return await self.write_words(address, [value])

    async def read(self, address: int) -> tuple[int, int]:
        """As `RegisterPort.read`."""
        words, response = await self.read_all([address])
        return (words[0] if words else 0), response

    async def write_words(self, address: int, words: Sequence[int], step: int = WORD_STEP) -> int:
        """As `RegisterPort.write_words`."""
        lines = [f"w {address + at * step:x} {word:x}\n" for at, word in enumerate(words)]
        _, _, response = await self._posted(lines)
        return response

    async def read_all(self, addresses: Sequence[int]) -> tuple[list[int], int]:
        """As `RegisterPort.read_all`."""
        words, _, response = await self._played([f"r {address:x}\n" for address in addresses])
        return words, response

    async def until_clear(self, address: int, bits: int, tries: int) -> tuple[bool, int]:
        """As `RegisterPort.until_clear`."""
        _, clear, response = await self._posted([f"p {address:x} {bits:x} {tries:x}\n"])
        return clear, response

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[None]:
        """As `RegisterPort.batch`."""
        self._batches += 1
        try:
            yield
        except BaseException:
            self._collected = []
            raise
        finally:
            self._batches -= 1
        if not self._batches:
            await self._played([])

    async def _posted(self, lines: list[str]) -> tuple[list[int], bool, int]:
        """As `_played`; in a batch, collect the accesses as if they had succeeded."""
        if not self._batches:
            return await self._played(lines)
        self._collected += lines
        return [], True, OKAY

    async def _played(self, lines: list[str]) -> tuple[list[int], bool, int]:
        """Play what was collected, and then `lines`.

        Returns the words that were read, whether all accesses are done, and the last response.

        Raises:
            UserError: a collected access failed.
            AssertionError: there was no answer.
        """
        dut, collected = self._dut, len(self._collected)
        accesses, self._collected = [*self._collected, *lines], []
        if not accesses:
            return [], True, OKAY
        (self._folder / ACCESSES).write_text("".join(accesses), encoding="ascii")
        self._level = 1 - self._level
        dut.play_accesses.value = self._level
        await RisingEdge(dut.accesses_done)
        completed, response = int(dut.accesses_completed.value), int(dut.accesses_response.value)
        assert not int(dut.accesses_hung.value), f"no answer to access {accesses[completed]!r}"
        if completed < collected:
            _refuse(accesses[completed], response)
        words = (self._folder / WORDS).read_text(encoding="ascii").split()
        return [int(word, 16) for word in words], completed == len(accesses), response


def _refuse(line: str, response: int) -> None:
    """Raise the error of an access that ended a play."""
    kind, address, *values = line.split()
    if kind == "w":
        demand(response, f"address 0x{address} <- 0x{values[0]}")
    demand(response, f"reading address 0x{address}")
    bits, tries = values
    raise UserError(
        f"chip: address 0x{address}: bits 0x{bits}: got 1 in {int(tries, 16)} reads, "
        "expected 0 by then"
    )
