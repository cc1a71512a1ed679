"""A host's calls to a whole chip's registers, over any port that reads and writes words."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import IntFlag

import numpy as np

from caduceus.host.access import demand
from caduceus.host.slice import SliceHost
from caduceus.host.tile import TileHost
from caduceus.spec import fabric, gdpu_registers, registers
from caduceus.spec.chip import Chip
from caduceus.spec.formats import COLUMN_CONSTANTS
from caduceus.spec.gdpu import LstmState
from caduceus.spec.host_port import WORD_STEP, RegisterPort
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import Program, Route, TileConfig, TileProgram
from caduceus.spec.program_codes import computing
from caduceus.spec.registers import BY_NAME


class _Window(RegisterPort):
    """A tile's part of the chip's address space."""

    def __init__(self, port: RegisterPort, tile: int) -> None:
        self._port, self._base = port, tile * registers.TILE_SPACE

    async def write(self, address: int, value: int) -> int:
        return await self._port.write(self._base + address, value)

    async def read(self, address: int) -> tuple[int, int]:
        return await self._port.read(self._base + address)

    async def write_words(self, address: int, words: Sequence[int], step: int = WORD_STEP) -> int:
        return await self._port.write_words(self._base + address, words, step)

    async def read_words(
        self, address: int, count: int, step: int = WORD_STEP
    ) -> tuple[list[int], int]:
        return await self._port.read_words(self._base + address, count, step)

    async def until_clear(self, address: int, bits: int, tries: int) -> tuple[bool, int]:
        return await self._port.until_clear(self._base + address, bits, tries)

    def batch(self) -> AbstractAsyncContextManager[None]:
        return self._port.batch()


class ChipHost:
    """The calls of a chip's host; each checks its response.

    Attributes:
        tiles: a `TileHost` for each tile.
        everyone: one that writes to all tiles at once.
        slices: a `SliceHost` for each GDPU slice.
    """

    def __init__(self, port: RegisterPort, chip: Chip) -> None:
        self._chip, self._port = chip, port
        self.tiles = [TileHost(_Window(port, tile), chip) for tile in range(chip.tiles)]
        self.everyone = TileHost(_Window(port, chip.tiles), chip)
        self.slices = [
            SliceHost(_Window(port, registers.slice_space(chip.tiles, number)))
            for number in range(chip.gdpu.slices)
        ]

    async def load(
        self,
        program: Program,
        state: PcmState | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Configure the chip for `program`, whatever ran before.

        Waits until the chip is idle. Values that most tiles share are broadcast first.

        Args:
            program: the compiler's.
            state: devices of the computing tiles, written word by word; if None, a simulated array
                loads its own by the tile's number.
            progress: called with the number of tiles configured so far.
        """
        async with self._port.batch():
            await self._load(program, state, progress)

    async def _load(
        self, program: Program, state: PcmState | None, progress: Callable[[int], None] | None
    ) -> None:
        chip = self._chip
        for part in (*self.tiles, *self.slices):
            await part.until_clear("busy")
        for constant in COLUMN_CONSTANTS:
            await self.everyone.write_words(
                registers.column_address(0, constant.name),
                [constant.reset] * chip.array.columns,
                registers.COLUMN_TABLE.stride,
                f"the broadcast of {constant.name}",
            )
        routes = registers.ROUTE_TABLE
        await self.everyone.write_words(
            routes.base, [0] * fabric.STREAMS, routes.stride, "the broadcast of empty routes"
        )
        indices = {tile.tile: index for index, tile in enumerate(computing(program))}
        for done, tile in enumerate(program.tiles, 1):
            await self._load_tile(tile, state, indices.get(tile.tile))
            if progress:
                progress(done)
        for each in program.slices:
            await self.slices[each.slice].configure(each)

    async def begin(self, program: Program, steps: int, state: LstmState | None = None) -> None:
        """Begin a sequence of `steps` steps with `state` (of one sequence), or with all 0."""
        async with self._port.batch():
            await self.load_state(program, state)
            for each in program.slices:
                await self.slices[each.slice].begin(steps)

    async def load_state(self, program: Program, state: LstmState | None) -> None:
        """Load a state, or 0, into all slices once the last packet of their sequence has left."""
        end = 0
        async with self._port.batch():
            for each in program.slices:
                start, end = end, end + each.config.units
                host = self.slices[each.slice]
                await host.until_clear("busy")
                await host.clear()
                if state is not None:
                    await host.load_state(state.hidden[0, start:end], state.cell[0, start:end])

    async def state(self, program: Program) -> LstmState:
        """The state of all slices after their last step."""
        found = []
        async with self._port.batch():
            for each in program.slices:
                host = self.slices[each.slice]
                await host.until_clear("busy")
                found.append(await host.state(each.config.units))
        hidden, cell = (np.concatenate(parts)[np.newaxis] for parts in zip(*found, strict=True))
        return LstmState(hidden, cell)

    async def _load_tile(
        self, tile: TileProgram, state: PcmState | None, index: int | None
    ) -> None:
        host = self.tiles[tile.tile]
        for route in tile.routes:
            second = registers.route_word(route.start, route.length, route.part)
            # The second word must be there when the first one makes the entry.
            await host.write_words(
                registers.ROUTE_TABLE.address(route.stream, 1), [second, self._mask(route)],
                -WORD_STEP, f"the route of stream {route.stream}",
            )  # fmt: skip
        if tile.config is not None:
            if state is None:
                await host.load_state(tile.tile)
            else:
                await host.write_state(state, index)
            await host.write("TX_STREAM", tile.tx_stream)
            await self._configure(host, tile.config)

    async def _configure(self, host: TileHost, config: TileConfig) -> None:
        await host.configure(config, assume_reset_constants=True)

    def _mask(self, route: Route) -> int:
        names = fabric.sinks(self._chip)
        return sum(1 << names.index(sink) for sink in route.sinks)

    async def errors(self) -> dict[int | str, IntFlag]:
        """The ERROR registers that are not 0: of tiles by number, of GDPU slices by name."""
        tiles, slices = range(len(self.tiles)), range(len(self.slices))
        places: list[int | str] = [*tiles, *(f"slice {number}" for number in slices)]
        spaces = [*tiles, *(registers.slice_space(len(tiles), number) for number in slices)]
        maps = [registers] * len(tiles) + [gdpu_registers] * len(slices)
        addresses = [
            space * registers.TILE_SPACE + each.BY_NAME["ERROR"].address
            for space, each in zip(spaces, maps, strict=True)
        ]
        words = await self._read(addresses, "ERROR")
        return {
            place: each.Error(word)
            for place, each, word in zip(places, maps, words, strict=True)
            if word
        }

    async def count(self, register: str, program: Program) -> dict[int, int]:
        """A counter of every computing tile, by the tile's number."""
        numbers = [tile.tile for tile in computing(program)]
        address = BY_NAME[register].address
        addresses = [number * registers.TILE_SPACE + address for number in numbers]
        return dict(zip(numbers, await self._read(addresses, register), strict=True))

    async def _read(self, addresses: Sequence[int], what: str) -> list[int]:
        words, response = await self._port.read_all(addresses)
        demand(response, f"reading {what}")
        return words


def named(errors: Mapping[int | str, IntFlag]) -> str:
    """The result of `ChipHost.errors` in words: "tile 3: INPUT_SHORT|RX_LONG"."""
    return ", ".join(
        f"{f'tile {where}' if isinstance(where, int) else where}: {error.name}"
        for where, error in errors.items()
    )
