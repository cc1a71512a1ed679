"""A tile: modulator, PCM array, converters and LDPU, for batches of vectors."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike, NDArray

from golden import adc, ldpu
from golden.fast_tile import FastTile
from golden.payload import Values
from golden.pcm_array import Crossbar
from spec import formats
from spec.chip import Chip
from spec.errors import UserError
from spec.pcm_state import PcmState
from spec.program import TileConfig

BLOCK_VALUES = 128 * 256
"""Inputs or results processed together: their temporaries stay in the processor's cache."""


class Tile:
    """One tile of `chip` with the devices of tile number `tile` of `state`.

    Results depend on a vector and its read index alone: batches may be split and ordered at will.

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
        self._phase_limit = chip.adc.phase_limit
        self._state = state
        self._tile = tile
        self._crossbar = Crossbar(state, tile)
        self._prepared: tuple[tuple, FastTile] | None = None

    def run(
        self,
        config: TileConfig,
        x: NDArray[np.int8],
        rx: Values | None = None,
        first_read: int | NDArray[np.int64] = 0,
    ) -> Values:
        """Results of a batch.

        Args:
            config: what the tile is told to do.
            x: int8 [n, config.rows].
            rx: [n, config.columns] if `config.rx_enable`, else None; int8, or binary16 bits as
                uint16 with `config.rx_binary16`.
            first_read: MVMs that the tile did since its state was loaded; or that number for each
                vector, [n].

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
            if rx.dtype == np.int8:
                rx = np.maximum(rx, -formats.INT8_MAX)  # -128 is read as -127
        kind = np.uint16 if config.tx_binary16 else np.int8
        result = np.empty((len(x), config.columns), dtype=kind)
        fast = self._fast(config)
        for block in _blocks(config, len(x)):
            added = None if rx is None else rx[block]
            reads = _reads(first_read, block)
            if fast.fits:
                result[block] = fast.run(self._crossbar, x[block], added, reads)
            else:
                result[block] = self._run(config, x[block], added, reads)
        return result

    def counts(
        self, config: TileConfig, x: NDArray[np.int8], first_read: int | NDArray[np.int64] = 0
    ) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """Counters P and N, uint16 [n, config.columns] each; arguments and errors as for `run`."""
        self._check(config, x)
        p, n = np.empty((2, len(x), config.columns), dtype=np.uint16)
        for block in _blocks(config, len(x)):
            p[block], n[block] = self._counts(config, x[block], _reads(first_read, block))
        return p, n

    def _run(
        self,
        config: TileConfig,
        x: NDArray[np.int8],
        rx: Values | None,
        first_read: int | NDArray[np.int64],
    ) -> Values:
        """Results of a block, as the parts of the tile define them."""
        p, n = self._counts(config, x, first_read)
        return ldpu.process(
            p, n, config.constants, config.relu_1, config.relu_2, rx, config.rx_scale,
            config.tx_binary16,
        )  # fmt: skip

    def _fast(self, config: TileConfig) -> FastTile:
        """What makes the same bits sooner, kept until another configuration comes."""
        key = (
            config.read_mode, config.columns, config.constants.tobytes(), config.relu_1,
            config.relu_2, config.rx_enable, config.rx_scale, config.tx_binary16,
        )  # fmt: skip
        if self._prepared is None or self._prepared[0] != key:
            fast = FastTile(config, self._state, self._tile, self._phase_limit)
            self._prepared = key, fast
        return self._prepared[1]

    def _counts(
        self, config: TileConfig, x: NDArray[np.int8], first_read: int | NDArray[np.int64]
    ) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        charges = self._crossbar.charges(x, config.read_mode, config.columns)
        return adc.convert(
            charges, self._state, self._tile, config.read_mode, self._phase_limit, first_read
        )

    def _check(self, config: TileConfig, x: NDArray[np.int8]) -> None:
        for name, size, limit in (
            ("rows", config.rows, self._crossbar.rows),
            ("columns", config.columns, self._crossbar.columns),
        ):
            if not 1 <= size <= limit:
                raise UserError(f"tile configuration: {name} = {size}: allowed is 1 to {limit}")
        _demand("input vectors", x, np.int8, (len(x), config.rows))


def _blocks(config: TileConfig, vectors: int) -> Iterator[slice]:
    """Parts of a batch, of about `BLOCK_VALUES` inputs or results each."""
    size = max(1, BLOCK_VALUES // max(config.rows, config.columns))
    return (slice(start, start + size) for start in range(0, vectors, size))


def _reads(first_read: int | NDArray[np.int64], block: slice) -> int | NDArray[np.int64]:
    """Read indices of a part of a batch."""
    return first_read[block] if np.ndim(first_read) else first_read + block.start


def _demand(what: str, array: NDArray, kind: DTypeLike, shape: tuple[int, int]) -> None:
    if array.dtype != kind or array.shape != shape:
        raise UserError(
            f"{what}: {array.dtype} {list(array.shape)}: allowed is {np.dtype(kind)} {list(shape)}"
        )
