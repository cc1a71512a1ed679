"""The host's procedure to write a tile's PCM array, over its registers."""

import numpy as np
from cocotb.triggers import Timer
from numpy.typing import NDArray

from caduceus.golden.reference.pcm_writer import PcmWritten
from caduceus.host.tile import TileHost
from caduceus.spec import pcm_write, pcm_write_registers
from caduceus.spec.chip import Chip
from caduceus.spec.pcm_write import Procedure
from caduceus.spec.pcm_write_registers import RESULT_TABLE, TARGET_TABLE
from caduceus.spec.registers import BY_NAME

POLL_US = 5
PATIENCE_US = 50_000
"""Simulated time after which a diagonal counts as hung."""


class PcmWriteHost:
    """Programs diagonals and reads their devices; checks the response of each access."""

    def __init__(self, host: TileHost, chip: Chip) -> None:
        self._host = host
        self._lines = pcm_write.lines(chip)

    async def begin(self, diagonal: int, devices: int, device: int = 0) -> None:
        """Write PCM_WRITE."""
        word = pcm_write_registers.pcm_write_word(diagonal, devices, device)
        await self._host.write("PCM_WRITE", word)

    async def write_targets(self, targets: NDArray[np.int64]) -> None:
        """Write the targets of a diagonal, [lines]."""
        words = [target % (1 << 32) for target in targets.tolist()]
        await self._host.write_words(
            TARGET_TABLE.base, words, TARGET_TABLE.stride, "the targets of a diagonal"
        )

    async def finish(self) -> None:
        """Wait until STATUS.pcm_write is 0."""
        bit = BY_NAME["STATUS"].field("pcm_write").low
        for _ in range(PATIENCE_US // POLL_US):
            if not await self._host.read("STATUS") >> bit & 1:
                return
            await Timer(POLL_US, "us")
        raise AssertionError(f"STATUS.pcm_write is still 1 after {PATIENCE_US} us")

    async def results(self) -> PcmWritten:
        """Result of every line."""
        words = await self._host.read_words(
            RESULT_TABLE.base, self._lines, RESULT_TABLE.stride, "the results of a diagonal"
        )
        found = [pcm_write_registers.result(word) for word in words]
        fields = {name: np.array([each[name] for each in found]) for name in found[0]}
        return PcmWritten(**{**fields, "within": fields["within"].astype(bool)})

    async def program(
        self, diagonal: int, targets: NDArray[np.int64], procedure: Procedure
    ) -> PcmWritten:
        """Program a diagonal; PROCEDURE must have been written."""
        async with self._host.port.batch():
            await self.write_targets(targets)
            await self.begin(diagonal, procedure.devices)
        await self.finish()
        return await self.results()

    async def read(self, diagonal: int, device: int) -> NDArray[np.int64]:
        """Counts of one device of each cell of a diagonal, [lines]."""
        await self.begin(diagonal, 0, device)
        await self.finish()
        return (await self.results()).error
