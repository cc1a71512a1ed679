"""A tile in compiled loops: the bits of `adc`, `read_noise` and `ldpu`, many times sooner."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import DTypeLike, NDArray

from caduceus.golden.reference import fp16
from caduceus.golden.reference.pcm_array import Crossbar, reference_charges
from caduceus.spec import formats, read_noise
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode, Steer
from caduceus.spec.packets import Values
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import TileConfig

BLOCK_VALUES = 128 * 256
"""Inputs or results processed together: their temporaries stay in the processor's cache."""

_WHOLE = 1 << formats.FP16_FRACTION_BITS + 1
"""All integers up to this are binary16 numbers."""

_VECTOR = 16
"""Columns are filled up to a multiple of this: the loops take so many at a time."""

Counters = tuple[NDArray[np.uint16], NDArray[np.uint16]]
"""P and N, [n, columns or more] each; values beyond the columns mean nothing."""


Tap = Callable[[int, NDArray[np.int8]], None]
"""Called with a tile's number and its input vectors, int8 [n, rows]."""


def ready(values: Values) -> Values:
    """The same values as the loops are compiled for: contiguous, aligned, and not read-only."""
    return values if values.flags.carray else values.copy()


def _filled_up(columns: NDArray) -> NDArray:
    """Columns of zeros added to [..., columns], in contiguous memory."""
    missing = -columns.shape[-1] % _VECTOR
    return np.ascontiguousarray(np.pad(columns, ((0, 0), (0, missing))) if missing else columns)


class FastConverters:
    """Modulator, crossbar and converters of tile number `tile` of `state` in this read mode."""

    def __init__(
        self,
        crossbar: Crossbar,
        state: PcmState,
        tile: int,
        mode: ReadMode,
        columns: int,
        phase_limit: int,
    ) -> None:
        # Here, because numba takes longer to load than all else together.
        from caduceus.golden.fast import kernels

        self._pulses, self._convert = kernels.pulses, kernels.convert
        here = (tile, slice(columns))
        phases = formats.PHASES[mode]
        self._mode = mode
        self._by_sign = phases[0].steer == Steer.BY_SIGN
        self._weights = [_filled_up(crossbar.weights(phase)[:, :columns]) for phase in phases]
        self._from_negative = [phase.drive_negative and not self._by_sign for phase in phases]
        gains = np.array([state.gain_p[here], state.gain_n[here]]) * 2.0**-formats.GAIN_FRACTION
        offsets = np.array([state.offset_p[here], state.offset_n[here]])
        offsets = offsets * 2.0**-formats.OFFSET_FRACTION
        noise = state.noise[here] * 2.0 ** -(formats.NOISE_FRACTION + formats.SAMPLE_FRACTION)
        key = state.seed & 0xFFFFFFFF, state.seed >> 32
        philox = *key, *read_noise.PHILOX_WEYL, *read_noise.PHILOX_MULTIPLIERS, tile
        self._arguments = (
            np.array([phase.steer for phase in phases], dtype=np.int64),
            _filled_up(np.array([*gains, *offsets, noise])),
            float(phase_limit),
            formats.COUNT_MAX,
            bool(noise.any()),
            np.array(philox, dtype=np.uint32),
            np.array(read_noise.QUANTILES, dtype=np.int32),
        )

    def counts(
        self, x: NDArray[np.int8], reads: NDArray[np.uint32], reference: int = 0
    ) -> Counters:
        """Counters after each of a batch of MVMs.

        Args:
            x: int8 [n, rows], of contiguous memory.
            reads: read index of each, [n].
            reference: charge per slot of the reference current; 0 if the cells are read.
        """
        vectors, rows = x.shape
        columns = self._weights[0].shape[1]
        if reference:
            charges = reference_charges(reference, self._mode, vectors, columns)
            return self.convert(charges.astype(np.float32), -1, reads)
        pulses = np.empty((1 if self._by_sign else 2, vectors, rows), dtype=np.float32)
        some = self._pulses(x, self._by_sign, formats.INT8_MAX, pulses)
        charges = np.empty((len(self._weights), vectors, columns), dtype=np.float32)
        driven = 0
        for window, (weights, negative) in enumerate(
            zip(self._weights, self._from_negative, strict=True)
        ):
            # A window without a pulse needs no product, but its noise and offsets count.
            if any(some) if self._by_sign else some[negative]:
                driven |= 1 << window
                np.matmul(pulses[int(negative)], weights[:rows], out=charges[window])
        return self.convert(charges, driven, reads)

    def convert(
        self, charges: NDArray[np.float32], driven: int, reads: NDArray[np.uint32]
    ) -> Counters:
        """Counters after each of a batch of MVMs.

        Args:
            charges: float32 [windows, n, columns filled up], whole numbers.
            driven: bit w is set if window w has charges; charges of other windows are not read.
            reads: read index of each MVM, [n].
        """
        p, n = np.empty((2, *charges.shape[1:]), dtype=np.uint16)
        self._convert(charges, driven, *self._arguments, reads, p, n)
        return p, n


class FastLdpu:
    """The LDPU with this configuration, of counters that are at most `most`.

    Attributes:
        kind: of results: int8, or uint16 for binary16 bits.
    """

    def __init__(self, config: TileConfig, most: int) -> None:
        from caduceus.golden.fast import kernels

        self._process = kernels.process
        self.kind = np.uint16 if config.tx_binary16 else np.int8
        constants = _filled_up(fp16.values(config.constants.T).astype(np.float64))
        self._arguments = (
            constants, most <= _WHOLE, config.relu_1, config.relu_2,
            float(fp16.values(config.rx_scale)), formats.INT8_MAX,
        )  # fmt: skip
        self._no_int8 = np.empty((0, config.columns), dtype=np.int8)
        self._no_binary16 = np.empty((0, config.columns), dtype=np.uint16)

    def process(
        self, p: NDArray[np.uint16], n: NDArray[np.uint16], rx: Values | None, results: Values
    ) -> None:
        """Fill in the results of a batch; counters and RX as for `ldpu.process`."""
        rx_int8, rx_binary16 = int8, binary16 = self._no_int8, self._no_binary16
        if rx is not None:
            rx_int8, rx_binary16 = (rx, binary16) if rx.dtype == np.int8 else (int8, rx)
        if self.kind == np.int8:
            int8 = results
        else:
            binary16 = results
        self._process(p, n, *self._arguments, rx_int8, rx_binary16, int8, binary16)


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
        """Kept until the configuration changes."""
        key = mode, columns
        if self._converters is None or self._converters[0] != key:
            made = FastConverters(self._crossbar, self._state, self._tile, *key, self._phase_limit)
            self._converters = key, made
        return self._converters[1]

    def _prepared_ldpu(self, config: TileConfig) -> FastLdpu:
        """Kept until the configuration changes; its constants may be changed in place."""
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
                raise UserError(f"tile configuration: {name}: got {size}, expected 1 to {limit}")
        _demand("input vectors", x, np.int8, (len(x), config.rows))


def _demand(what: str, array: NDArray, kind: DTypeLike, shape: tuple[int, int]) -> None:
    if array.dtype != kind or array.shape != shape:
        raise UserError(
            f"{what}: {array.dtype} {list(array.shape)}: expected {np.dtype(kind)} {list(shape)}"
        )
