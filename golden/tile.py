"""A tile: modulator, PCM array, converters and LDPU, for batches of vectors."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import DTypeLike, NDArray

from golden.fast_tile import Counters, FastConverters, FastLdpu, ready
from golden.payload import Values
from golden.pcm_array import Crossbar
from spec import formats
from spec.chip import Chip
from spec.errors import UserError
from spec.formats import ReadMode, Steer
from spec.pcm_state import PcmState
from spec.program import TileConfig

BLOCK_VALUES = 128 * 256
"""Inputs or results processed together: their temporaries stay in the processor's cache."""

Tap = Callable[[int, NDArray[np.int8]], None]
"""Who is shown a tile's input vectors: called with the tile's number and int8 [n, rows]."""


class Tile:
    """One tile of `chip` with the devices of tile number `tile` of `state`.

    Results depend on a vector and its read index alone: batches may be split and ordered at will.

    Attributes:
        chip: the description it was made of.

    Raises:
        UserError: the state is for another array size, or has no such tile.
    """

    def __init__(self, chip: Chip, state: PcmState, tile: int = 0) -> None:
        array = chip.array
        if (state.rows, state.columns) != (array.rows, array.columns):
            raise UserError(
                f"PCM state has {state.rows}x{state.columns} arrays: chip '{chip.name}' allows "
                f"{array.rows}x{array.columns}"
            )
        if not 0 <= tile < state.tiles:
            raise UserError(f"tile = {tile}: the PCM state allows 0 to {state.tiles - 1}")
        self.chip = chip
        self._phase_limit = chip.adc.phase_limit
        self._state = state
        self._tile = tile
        self._crossbar = Crossbar(state, tile)
        self._converters: tuple[tuple, FastConverters] | None = None
        self._ldpu: tuple[tuple, FastLdpu] | None = None

    def run(
        self,
        config: TileConfig,
        x: NDArray[np.int8],
        rx: Values | None = None,
        first_read: int | NDArray[np.int64] = 0,
        reference: int = 0,
    ) -> Values:
        """Results of a batch.

        Args:
            config: what the tile is told to do.
            x: int8 [n, config.rows].
            rx: [n, config.columns] if `config.rx_enable`, else None; int8, or binary16 bits as
                uint16 with `config.rx_binary16`.
            first_read: MVMs that the tile did since its state was loaded; or that number for each
                vector, [n].
            reference: the register REFERENCE: other than 0, the reference current takes the place
                of the cells', and the vectors' values do not matter.

        Returns:
            int8 [n, config.columns], or binary16 bits as uint16 with `config.tx_binary16`.

        Raises:
            UserError: an array or the configuration does not fit.
        """
        self._check(config, x)
        if (rx is not None) != config.rx_enable:
            given = "missing" if rx is None else "given"
            raise UserError(f"RX vectors are {given}: rx_enable = {config.rx_enable} does not fit")
        if rx is not None:
            kind = np.uint16 if config.rx_binary16 else np.int8
            _demand("RX vectors", rx, kind, (len(x), config.columns))
            rx = ready(rx)
        ldpu = self._prepared_ldpu(config)
        result = np.empty((len(x), config.columns), dtype=ldpu.kind)
        for block, p, n in self._counted(config, x, first_read, reference):
            ldpu.process(p, n, None if rx is None else rx[block], result[block])
        return result

    def counts(
        self,
        config: TileConfig,
        x: NDArray[np.int8],
        first_read: int | NDArray[np.int64] = 0,
        reference: int = 0,
    ) -> Counters:
        """Counters P and N, uint16 [n, config.columns] each; arguments and errors as for `run`."""
        self._check(config, x)
        p, n = np.empty((2, len(x), config.columns), dtype=np.uint16)
        for block, *counters in self._counted(config, x, first_read, reference):
            p[block], n[block] = (counter[:, : config.columns] for counter in counters)
        return p, n

    def _counted(
        self,
        config: TileConfig,
        x: NDArray[np.int8],
        first_read: int | NDArray[np.int64],
        reference: int,
    ) -> Iterator[tuple[slice, NDArray[np.uint16], NDArray[np.uint16]]]:
        """Counters of every block of a batch, and which vectors it is of."""
        converters = self._prepared_converters(config.read_mode, config.columns)
        x = ready(x)
        reads = first_read if np.ndim(first_read) else first_read + np.arange(len(x))
        reads = reads.astype(np.uint32)
        size = max(1, BLOCK_VALUES // max(config.rows, config.columns))
        for start in range(0, len(x), size):
            block = slice(start, start + size)
            yield block, *converters.counts(x[block], reads[block], reference)

    def _prepared_converters(self, mode: ReadMode, columns: int) -> FastConverters:
        """What is kept until another configuration comes."""
        key = mode, columns
        if self._converters is None or self._converters[0] != key:
            made = FastConverters(self._crossbar, self._state, self._tile, *key, self._phase_limit)
            self._converters = key, made
        return self._converters[1]

    def _prepared_ldpu(self, config: TileConfig) -> FastLdpu:
        """Likewise; constants may be changed in place."""
        key = (
            config.read_mode, config.columns, config.constants.tobytes(), config.relu_1,
            config.relu_2, config.rx_scale, config.tx_binary16,
        )  # fmt: skip
        if self._ldpu is None or self._ldpu[0] != key:
            windows = sum(phase.steer != Steer.N for phase in formats.PHASES[config.read_mode])
            most = min(windows * self._phase_limit, formats.COUNT_MAX)
            self._ldpu = key, FastLdpu(config, most)
        return self._ldpu[1]

    def _check(self, config: TileConfig, x: NDArray[np.int8]) -> None:
        for name, size, limit in (
            ("rows", config.rows, self._crossbar.rows),
            ("columns", config.columns, self._crossbar.columns),
        ):
            if not 1 <= size <= limit:
                raise UserError(f"tile configuration: {name} = {size}: allowed is 1 to {limit}")
        _demand("input vectors", x, np.int8, (len(x), config.rows))


def _demand(what: str, array: NDArray, kind: DTypeLike, shape: tuple[int, int]) -> None:
    if array.dtype != kind or array.shape != shape:
        raise UserError(
            f"{what}: {array.dtype} {list(array.shape)}: allowed is {np.dtype(kind)} {list(shape)}"
        )
