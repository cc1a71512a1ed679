"""A tile's devices and configuration, as the compiled loops are given them."""

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.fast.arguments import Analog, Digital, Noise
from caduceus.golden.reference import fp16
from caduceus.golden.reference.pcm_array import Crossbar
from caduceus.spec import formats, read_noise
from caduceus.spec.formats import ReadMode, Steer
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import TileConfig

VECTOR = 16
"""Columns are filled up to a multiple of this: the loops take so many at a time."""

_FRACTION = formats.NOISE_FRACTION + formats.SAMPLE_FRACTION
_WHOLE = 1 << formats.FP16_FRACTION_BITS + 1
"""All integers up to this are binary16 numbers."""
_OVERFLOW = 65504.0
_WORD = 0xFFFFFFFF


def filled_up(columns: NDArray) -> NDArray:
    """Columns of zeros added to [..., columns], in contiguous memory."""
    missing = -columns.shape[-1] % VECTOR
    return np.ascontiguousarray(np.pad(columns, ((0, 0), (0, missing))) if missing else columns)


def analog(
    crossbar: Crossbar,
    state: PcmState,
    tile: int,
    mode: ReadMode,
    rows: int,
    columns: int,
    phase_limit: int,
) -> Analog:
    """Modulator, crossbar and converters of tile number `tile` of `state` in this read mode."""
    here = tile, slice(columns)
    phases = formats.PHASES[mode]
    polarities = [phase for phase in phases if phase.drive_positive]
    windows = [
        (
            not phase.drive_positive,
            [each.select_plus for each in polarities].index(phase.select_plus),
            phase.steer,
        )
        for phase in phases
    ]
    gains = np.array([state.gain_p[here], state.gain_n[here]]) * 2.0**-formats.GAIN_FRACTION
    offsets = np.array([state.offset_p[here], state.offset_n[here]], dtype=np.int32)
    return Analog(
        windows=np.array(windows, dtype=np.int64),
        weights=np.array([_packed(crossbar.weights(p)[:rows, :columns]) for p in polarities]),
        gains=filled_up(gains),
        offsets=filled_up(offsets << _FRACTION - formats.OFFSET_FRACTION),
        noise=filled_up(state.noise[here].astype(np.int32)[np.newaxis])[0],
        fraction=_FRACTION,
        slots=formats.INT8_MAX,
        limit=phase_limit,
        most=formats.COUNT_MAX,
    )


def _packed(weights: NDArray[np.float32]) -> NDArray[np.int16]:
    """Weights [rows, columns] in the order of `Analog.weights`."""
    missing = len(weights) % 2
    even = filled_up(np.pad(weights, ((0, missing), (0, 0))).astype(np.int16))
    rows, columns = even.shape
    split = even.reshape(rows // 2, 2, columns // VECTOR, VECTOR)
    return split.transpose(2, 0, 3, 1).reshape(-1)


def noise(state: PcmState, tile: int, mode: ReadMode, columns: int) -> Noise:
    """Read noise of tile number `tile` of `state`."""
    there = bool(state.noise[tile, :columns].any())
    groups = -(-columns // VECTOR) * VECTOR // read_noise.COLUMNS_PER_DRAW
    tables, first, keys = _philox(state.seed, tile, len(formats.PHASES[mode]) * there, groups)
    levels = np.array(read_noise.QUANTILES, dtype=np.int32)
    magnitudes = levels[: len(levels) // 2].reshape(8, 1, 16)
    halves = np.concatenate([magnitudes & 0xFF, magnitudes >> 8], axis=1)
    halves[1:] ^= halves[:-1].copy()
    return Noise(
        there=there,
        first=first,
        keys=keys,
        tables=tables,
        bytes=np.tile(halves, 2).astype(np.uint8).view(np.int8).reshape(-1),
        levels=levels,
    )


def _philox(
    seed: int, tile: int, windows: int, draws: int
) -> tuple[NDArray[np.uint64], np.uint64, NDArray[np.uint64]]:
    """`Noise.tables`, `Noise.first` and `Noise.keys`, for as many draws in every window.

    A round makes of words a, b, c, d and the key's k, l, with m and n the multipliers:

        a = upper(c * n) ^ b ^ k    b = lower(c * n)
        c = upper(a * m) ^ d ^ l    d = lower(a * m)

    The words begin as draw, read index, tile and window. So after the first round the draw and the
    window are in c and d alone, and the read index in a alone; after the second, the read index is
    in c and d alone.
    """
    m, n = read_noise.PHILOX_MULTIPLIERS
    keys = [
        [np.uint64(part + number * step & _WORD) for number in range(read_noise.PHILOX_ROUNDS)]
        for part, step in zip((seed & _WORD, seed >> 32), read_noise.PHILOX_WEYL, strict=True)
    ]
    k, opposite = keys
    count = windows * draws
    draw = np.tile(np.arange(draws, dtype=np.uint64), windows)
    window = np.repeat(np.arange(windows, dtype=np.uint64), draws)
    of_tile, of_draw = np.uint64(tile * n), draw * np.uint64(m)
    c = _upper(of_draw) ^ window ^ opposite[0]
    product = c * np.uint64(n)
    a, b = _upper(product) ^ _lower(of_tile) ^ k[1], _lower(product)
    product = a * np.uint64(m)
    tables = np.zeros((4, -(-count // 8) * 8), dtype=np.uint64)
    tables[0, :count] = _lower(of_draw) ^ opposite[1]
    tables[1, :count] = b ^ k[2]
    tables[2, :count] = _upper(product) ^ opposite[2]
    tables[3, :count] = _lower(product)
    # In this order, halves of two vectors of samples put together are in the columns' order.
    tables = tables.reshape(4, -1, 4)[:, :, [0, 2, 1, 3]].reshape(4, -1)
    return tables, _upper(of_tile) ^ k[0], np.repeat(np.array(keys)[:, 3:].T.reshape(-1), 4)


def _upper(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return words >> np.uint64(32)


def _lower(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return words & np.uint64(_WORD)


def digital(config: TileConfig, phase_limit: int) -> Digital:
    """The LDPU with this configuration, of counters filled by conversions up to that limit."""
    windows = sum(phase.steer != Steer.N for phase in formats.PHASES[config.read_mode])
    most = min(windows * phase_limit, formats.COUNT_MAX)
    constants = filled_up(fp16.values(config.constants.T).astype(np.float64))
    rx_scale = float(fp16.values(config.rx_scale))
    with np.errstate(invalid="ignore"):  # infinity times zero
        gain_p, gain_n, offset, scale, bias = np.abs(constants)
        counted = (gain_p + gain_n) * most + offset
        scaled = counted * scale + bias
        largest = np.max([counted, scaled, scaled + abs(rx_scale) * formats.INT8_MAX])
    return Digital(
        constants=constants,
        exact=most <= _WHOLE,
        # Four roundings add less than a hundredth; of NaN, nothing is less.
        bounded=bool(1.01 * largest + 1 < _OVERFLOW),
        relu_1=config.relu_1,
        relu_2=config.relu_2,
        rx_scale=rx_scale,
        most=formats.INT8_MAX,
    )
