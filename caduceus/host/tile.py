"""A host's calls to a tile's registers, over any port that reads and writes words."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from caduceus.host.access import RegisterHost
from caduceus.spec import feature_map_registers, formats, pcm_state, registers
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.host_port import RegisterPort
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import TileConfig
from caduceus.spec.registers import BY_NAME


class TileHost(RegisterHost):
    """The calls of a tile's host; each checks its response."""

    def __init__(self, port: RegisterPort, chip: Chip) -> None:
        super().__init__(port, BY_NAME, registers.Error, "a tile")
        self._chip = chip

    async def configure(self, config: TileConfig, assume_reset_constants: bool = False) -> None:
        """Configure the tile, and have it accept vectors.

        With `assume_reset_constants`, column constants whose value is the reset value are not
        written.
        """
        mode = BY_NAME["MODE"]
        bits = {
            "four_phase": config.read_mode is ReadMode.FOUR_PHASE,
            "relu_1": config.relu_1,
            "relu_2": config.relu_2,
            "rx_enable": config.rx_enable,
            "rx_binary16": config.rx_binary16,
            "tx_binary16": config.tx_binary16,
        }
        await self.write("MODE", sum(int(v) << mode.field(k).low for k, v in bits.items()))
        await self.write("ROWS", config.rows)
        await self.write("COLUMNS", config.columns)
        parts = [registers.part_word(part.start, part.length) for part in config.parts]
        table = registers.PART_TABLE
        await self.write_words(table.base, parts, table.stride, "the table of parts")
        for name, value in feature_map_registers.values(config, self._chip).items():
            await self.write(name, value)
        # Last, since packets may arrive once PARTS is written.
        await self.write("PARTS", len(config.input_parts))
        await self.write("RX_SCALE", config.rx_scale)
        reset = [constant.reset for constant in formats.COLUMN_CONSTANTS]
        known = np.tile(np.uint16(reset), (config.columns, 1)) if assume_reset_constants else None
        await self.write_constants(config.constants, known)
        await self.write("CONTROL", 1)

    async def write_constants(
        self, constants: NDArray[np.uint16], known: NDArray[np.uint16] | None = None
    ) -> None:
        """Write column constants [columns, 5].

        Constants equal to `known`, the present ones in the same shape, are not written.
        """
        for constant in formats.COLUMN_CONSTANTS:
            values = constants[:, constant.index].tolist()
            for start, end in _runs(values, known if known is None else known[:, constant.index]):
                await self.write_words(
                    registers.column_address(start, constant.name), values[start:end],
                    registers.COLUMN_TABLE.stride,
                    f"{constant.name} of columns {start} to {end - 1}",
                )  # fmt: skip

    async def set_reference(self, level: int) -> None:
        """Switch the columns to a reference current, or with 0 back to the cells.

        Args:
            level: units of charge per slot, signed.
        """
        field = BY_NAME["REFERENCE"].field("reference_level")
        await self.write("REFERENCE", level % (1 << field.width))

    async def load_state(self, index: int) -> None:
        """Load PCM state number `index`, and wait until it is loaded."""
        await self.write("STATE_SELECT", index)
        await self.until_clear("state_loading")

    async def write_state(self, state: PcmState, index: int) -> None:
        """Write tile `index` of a PCM state into the array, word by word."""
        first, *rest = pcm_state.words(state, index).tolist()
        await self.write("STATE_FIRST", first)
        await self.write_words(BY_NAME["STATE_NEXT"].address, rest, 0, "STATE_NEXT")
        await self.load_state(pcm_state.WRITTEN)

    async def wait_idle(self) -> None:
        """Wait until no vector is inside the tile."""
        await self.until_clear("busy")


def _runs(values: list[int], known: NDArray[np.uint16] | None) -> Iterator[tuple[int, int]]:
    """First and end of every run of values that differ from `known`."""
    start = None
    for index, value in enumerate(values):
        if known is not None and known[index] == value:
            if start is not None:
                yield start, index
            start = None
        elif start is None:
            start = index
    if start is not None:
        yield start, len(values)
