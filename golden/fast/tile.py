"""A tile in compiled loops: the bits of `adc`, `read_noise` and `ldpu`, many times sooner."""

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from caduceus.golden.fast import prepare
from caduceus.golden.fast.arguments import Analog, Digital, Noise
from caduceus.golden.reference.pcm_array import Crossbar
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.packets import Values
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import TileConfig

Counters = tuple[NDArray[np.uint16], NDArray[np.uint16]]
"""P and N, [n, columns] each."""


Tap = Callable[[int, NDArray[np.int8]], None]
"""Called with a tile's number and its input vectors, int8 [n, rows]."""


def ready(values: Values) -> Values:
    """The same values as the loops are compiled for: contiguous, aligned, and not read-only."""
    return values if values.flags.carray else values.copy()


class Tile:
    """One tile of `chip` with the devices of tile number `tile` of `state`.

    Results depend on a vector and its read index alone: batches may be split and ordered at will.

    Attributes:
        chip: the description it was made of.

    Raises:
        UserError: the state is for another array size, or has no tile of that number.
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
        self._analog: tuple[tuple, tuple[Analog, Noise]] | None = None
        self._digital: tuple[tuple, Digital] | None = None

    def prepare(self, config: TileConfig) -> None:
        """Prepare for this configuration, which otherwise the first batch does.

        Raises:
            UserError: the configuration does not fit.
        """
        self._check(config, np.empty((0, config.rows), dtype=np.int8))
        self._prepared_analog(config)
        self._prepared_digital(config)

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
            config: configuration of the tile.
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
        kind = np.uint16 if config.tx_binary16 else np.int8
        result = np.empty((len(x), config.columns), dtype=kind)
        self._compute(config, x, rx, first_read, reference, results=result)
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
        self._compute(config, x, None, first_read, reference, counters=(p, n))
        return p, n

    def _compute(
        self,
        config: TileConfig,
        x: NDArray[np.int8],
        rx: Values | None,
        first_read: int | NDArray[np.int64],
        reference: int,
        counters: Counters | None = None,
        results: Values | None = None,
    ) -> None:
        """Fill in counters or results of a batch."""
        from caduceus.golden.fast import kernels  # here: numba takes long to load

        reads = first_read if np.ndim(first_read) else first_read + np.arange(len(x))
        no_int8, no_binary16 = np.empty((0, 0), np.int8), np.empty((0, 0), np.uint16)
        kernels.tile(
            ready(x), reads.astype(np.uint32), reference * formats.SLOTS,
            *self._prepared_analog(config), self._prepared_digital(config),
            *(rx if rx is not None and rx.dtype == kind.dtype else kind
              for kind in (no_int8, no_binary16)),
            *(counters or (no_binary16, no_binary16)),
            *(results if results is not None and results.dtype == kind.dtype else kind
              for kind in (no_int8, no_binary16)),
        )  # fmt: skip

    def _prepared_analog(self, config: TileConfig) -> tuple[Analog, Noise]:
        """Kept until the configuration changes."""
        mode, rows, columns = key = config.read_mode, config.rows, config.columns
        if self._analog is None or self._analog[0] != key:
            made = (
                prepare.analog(
                    self._crossbar, self._state, self._tile, mode, rows, columns, self._phase_limit
                ),
                prepare.noise(self._state, self._tile, mode, columns),
            )
            self._analog = key, made
        return self._analog[1]

    def _prepared_digital(self, config: TileConfig) -> Digital:
        """Kept until the configuration changes; its constants may be changed in place."""
        key = (
            config.read_mode, config.columns, config.constants.tobytes(), config.relu_1,
            config.relu_2, config.rx_scale,
        )  # fmt: skip
        if self._digital is None or self._digital[0] != key:
            self._digital = key, prepare.digital(config, self._phase_limit)
        return self._digital[1]

    def _check(self, config: TileConfig, x: NDArray[np.int8]) -> None:
        for name, size, limit in (
            ("rows", config.rows, self._crossbar.rows),
            ("columns", config.columns, self._crossbar.columns),
        ):
            if not 1 <= size <= limit:
                raise UserError(f"tile configuration: {name}: got {size}, expected 1 to {limit}")
        _demand("input vectors", x, np.int8, (len(x), config.rows))


def _demand(what: str, array: NDArray, kind: DTypeLike, shape: tuple[int, int]) -> None:
    if array.dtype != kind or array.shape != shape:
        raise UserError(
            f"{what}: {array.dtype} {list(array.shape)}: expected {np.dtype(kind)} {list(shape)}"
        )
