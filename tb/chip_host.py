"""What a host does with a whole chip's registers, over any port that can read and write words."""

import numpy as np

from golden.chip import LstmState
from spec import fabric, registers
from spec.chip import Chip
from spec.formats import COLUMN_CONSTANTS
from spec.program import ChipProgram, Route, TileConfig, TileProgram
from spec.registers import BY_NAME
from tb.slice_host import SliceHost
from tb.tile_host import OKAY, RegisterPort, TileHost


class _Window:
    """A tile's part of the chip's address space."""

    def __init__(self, port: RegisterPort, tile: int) -> None:
        self._port, self._base = port, tile * registers.TILE_SPACE

    async def write(self, address: int, value: int) -> int:
        return await self._port.write(self._base + address, value)

    async def read(self, address: int) -> tuple[int, int]:
        return await self._port.read(self._base + address)


class ChipHost:
    """The calls a driver makes, each checked for its response.

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

    async def load(self, program: ChipProgram) -> None:
        """Configure the chip for `program`, whatever ran before; PCM states are as by tile number.

        Waits for what is still inside. What most tiles have in common is broadcast first.
        """
        chip = self._chip
        for part in (*self.tiles, *self.slices):
            await part.until_clear("busy")
        for constant in COLUMN_CONSTANTS:
            for column in range(chip.array.columns):
                address = registers.column_address(column, constant.name)
                response = await self.everyone.port.write(address, constant.reset)
                assert response == OKAY, f"broadcast of {constant.name} of column {column}"
        for stream in range(fabric.STREAMS):
            await self._route(self.everyone, stream, 0, 0)
        for tile in program.tiles:
            await self._load_tile(tile)
        for each in program.slices:
            await self.slices[each.slice].configure(each)

    async def begin(self, program: ChipProgram, steps: int, state: LstmState | None = None) -> None:
        """Begin a sequence of `steps` steps with `state` (of one sequence), or with all 0."""
        await self.load_state(program, state)
        for each in program.slices:
            await self.slices[each.slice].begin(steps)

    async def load_state(self, program: ChipProgram, state: LstmState | None) -> None:
        """Give all slices a state, or all 0, once their last sequence's last packet has left."""
        end = 0
        for each in program.slices:
            start, end = end, end + each.config.units
            host = self.slices[each.slice]
            await host.until_clear("busy")
            await host.clear()
            if state is not None:
                await host.load_state(state.hidden[0, start:end], state.cell[0, start:end])

    async def state(self, program: ChipProgram) -> LstmState:
        """The state of all slices after the step that they did last."""
        found = []
        for each in program.slices:
            host = self.slices[each.slice]
            await host.until_clear("busy")
            found.append(await host.state(each.config.units))
        hidden, cell = (np.concatenate(parts)[np.newaxis] for parts in zip(*found, strict=True))
        return LstmState(hidden, cell)

    async def _load_tile(self, tile: TileProgram) -> None:
        host = self.tiles[tile.tile]
        for route in tile.routes:
            second = registers.route_word(route.start, route.length, route.part)
            await self._route(host, route.stream, self._mask(route), second)
        if tile.config is not None:
            await host.write("STATE_SELECT", tile.tile)
            await host.write("TX_STREAM", tile.tx_stream)
            await host.until_clear("state_loading")
            await self._configure(host, tile.config)

    async def _configure(self, host: TileHost, config: TileConfig) -> None:
        await host.configure(config, assume_reset_constants=True)

    def _mask(self, route: Route) -> int:
        names = fabric.sinks(self._chip)
        return sum(1 << names.index(sink) for sink in route.sinks)

    async def _route(self, host: TileHost, stream: int, mask: int, second: int) -> None:
        address = registers.ROUTE_BASE + stream * registers.ROUTE_STRIDE
        words = [(address + 4, second)] if mask else []
        for at, value in [*words, (address, mask)]:
            response = await host.port.write(at, value)
            assert response == OKAY, f"route of stream {stream} was answered with {response}"

    async def errors(self) -> dict[int | str, int]:
        """ERROR of every tile, by its number, and of every GDPU slice where it is not 0."""
        values: dict[int | str, int] = {
            tile: await host.read("ERROR") for tile, host in enumerate(self.tiles)
        }
        for number, host in enumerate(self.slices):
            values[f"slice {number}"] = await host.read("ERROR")
        return {where: value for where, value in values.items() if value}

    async def count(self, register: str, program: ChipProgram) -> dict[int, int]:
        """A counter of every tile that computes."""
        assert register in BY_NAME
        return {
            tile.tile: await self.tiles[tile.tile].read(register)
            for tile in program.tiles
            if tile.config is not None
        }
