"""Golden converters against the contract in Python's unbounded integers."""

import dataclasses

import numpy as np
import pytest
from golden_reference import random_state

from caduceus.golden.reference import adc, read_noise
from caduceus.spec import formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode, Steer
from caduceus.spec.pcm_state import PcmState

TINY = Chip.find("tiny")
LIMIT = TINY.adc.phase_limit


def _clamp(value: int, lowest: int, highest: int) -> int:
    return min(max(value, lowest), highest)


def _column(
    charges: list[int], mode: ReadMode, gain: tuple[int, int], offset: tuple[int, int],
    noise: int, samples: list[int], limit: int,
) -> tuple[int, int]:  # fmt: skip
    """Counters of one column after one MVM; pairs are (P, N)."""
    if mode == ReadMode.ONE_PHASE:
        [charge], [sample] = charges, samples
        scaled = charge * gain[0 if charge >= 0 else 1] + (sample * noise << 14)
        if scaled >= 0:
            return _clamp(scaled + (offset[0] << 24) >> 32, 0, limit), 0
        return 0, _clamp(-scaled + (offset[1] << 24) >> 32, 0, limit)
    counters = [0, 0]
    for charge, sample, counter in zip(charges, samples, (0, 0, 1, 1), strict=True):
        total = charge * gain[counter] + (offset[counter] << 24) + (sample * noise << 14)
        counters[counter] = min(counters[counter] + _clamp(total >> 32, 0, limit), 4095)
    return counters[0], counters[1]


def _expect(
    charges: np.ndarray, state: PcmState, tile: int, mode: ReadMode, limit: int, first_read: int
) -> tuple[np.ndarray, np.ndarray]:
    """Compare a whole batch with `_column`; gives the counters."""
    p, n = adc.convert(charges, state, tile, mode, limit, first_read)
    assert p.dtype == n.dtype == np.uint16
    _, vectors, columns = charges.shape
    reads = np.arange(first_read, first_read + vectors)
    samples = np.stack(
        [
            read_noise.samples(state.seed, tile, reads, phase, columns)
            for phase in range(len(charges))
        ]
    )
    for vector, column in np.ndindex(vectors, columns):
        expected = _column(
            charges[:, vector, column].tolist(),
            mode,
            (int(state.gain_p[tile, column]), int(state.gain_n[tile, column])),
            (int(state.offset_p[tile, column]), int(state.offset_n[tile, column])),
            int(state.noise[tile, column]),
            samples[:, vector, column].tolist(),
            limit,
        )
        assert (p[vector, column], n[vector, column]) == expected, (vector, column)
    return p, n


def _charges(rng: np.random.Generator, mode: ReadMode, vectors: int, largest: int) -> np.ndarray:
    lowest = -largest if mode == ReadMode.ONE_PHASE else 0
    shape = (len(formats.PHASES[mode]), vectors, TINY.array.columns)
    return rng.integers(lowest, largest + 1, shape).astype(np.int32)


@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.parametrize("noise", [False, True])
def test_random_columns(mode: ReadMode, noise: bool) -> None:
    state = random_state(TINY, seed=1, tiles=3, noise=noise)
    rng = np.random.default_rng(2)
    for tile, largest in ((0, 3_000), (1, 400_000), (2, 16_580_520)):
        _expect(_charges(rng, mode, 60, largest), state, tile, mode, LIMIT, first_read=1000 * tile)


@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.parametrize("limit", [1, 2047, formats.COUNT_MAX])
def test_extremes(mode: ReadMode, limit: int) -> None:
    """Every combination of smallest and largest gain, offset and noise, at extreme charges."""
    gains = (0, 1, (1 << formats.GAIN_BITS) - 1)
    offsets = (-(1 << 15), -1, (1 << 15) - 1)
    noises = (0, 1, (1 << formats.NOISE_BITS) - 1)
    grid = np.stack(np.meshgrid(gains, gains, offsets, offsets, noises)).reshape(5, -1)
    charges = np.array([0, 1, -1, 255, -256, 16_580_520, -16_580_520], dtype=np.int32)
    if mode == ReadMode.FOUR_PHASE:
        charges = np.abs(charges)
    windows, columns = len(formats.PHASES[mode]), grid.shape[1]
    # Each window gets the charges in another order.
    shifted = np.stack([np.roll(charges, window) for window in range(windows)])
    batch = np.repeat(shifted[:, :, np.newaxis], columns, axis=2)
    state = PcmState(
        chip="extreme",
        seed=(1 << 64) - 1,
        codes=np.zeros((1, 1, columns, 4), dtype=np.uint8),
        gain_p=grid[0][np.newaxis].astype(np.uint32),
        gain_n=grid[1][np.newaxis].astype(np.uint32),
        offset_p=grid[2][np.newaxis].astype(np.int16),
        offset_n=grid[3][np.newaxis].astype(np.int16),
        noise=grid[4][np.newaxis].astype(np.uint16),
    )
    p, n = _expect(batch, state, 0, mode, limit, first_read=(1 << 32) - len(charges))
    windows_per_counter = 1 if mode == ReadMode.ONE_PHASE else 2
    assert max(p.max(), n.max()) == min(windows_per_counter * limit, formats.COUNT_MAX)


def _ideal(**fields: int) -> PcmState:
    codes = np.zeros((1, TINY.array.rows, TINY.array.columns, 4), dtype=np.uint8)
    state = pcm_state.ideal(TINY, codes)
    return dataclasses.replace(
        state, **{name: np.full_like(getattr(state, name), value) for name, value in fields.items()}
    )


def _convert(charges: list[int], state: PcmState, limit: int = LIMIT) -> tuple[int, int]:
    mode = ReadMode.ONE_PHASE if len(charges) == 1 else ReadMode.FOUR_PHASE
    batch = np.array(charges, dtype=np.int32).reshape(-1, 1, 1)
    p, n = adc.convert(batch, state, 0, mode, limit)
    return int(p[0, 0]), int(n[0, 0])


def test_a_full_cell_counts_as_the_chip_says() -> None:
    charge = formats.INT8_MAX * formats.CELL_MAX
    for cells in (1, 3, 7):
        counts, none = _convert([cells * charge + 9], _ideal())
        assert (counts, none) == (cells * TINY.adc.cell_counts, 0)
        assert _convert([-cells * charge - 9], _ideal()) == (0, counts)


def test_counts_are_floored() -> None:
    """A gain of 2**-9 counts per charge: 511 gives nothing yet, 512 one count."""
    state = _ideal(gain_p=1 << 23, gain_n=1 << 23)
    assert [_convert([charge], state) for charge in (511, 512, 1023, 1024)] == [
        (0, 0), (1, 0), (1, 0), (2, 0)
    ]  # fmt: skip
    assert [_convert([charge], state) for charge in (-511, -512)] == [(0, 0), (0, 1)]


def test_each_window_saturates_by_itself_and_the_counter_at_12_bits() -> None:
    state = _ideal(gain_p=1 << 23, gain_n=1 << 23)
    assert _convert([1 << 23, 512, 0, 1 << 23], state) == (LIMIT + 1, LIMIT)
    assert _convert([1 << 23, 512, 1 << 23, 1 << 23], state, 3000) == (3001, 4095)
    assert _convert([1 << 23, 512, 1 << 23, 1 << 23], state, 4095) == (4095, 4095)


def test_offsets_belong_to_their_counter() -> None:
    state = _ideal(gain_p=1 << 23, gain_n=1 << 23, offset_p=-512, offset_n=256)
    assert _convert([512 * 10], state) == (8, 0)
    assert _convert([-512 * 10], state) == (0, 11)
    # Two windows a counter, each with the offset; a count is never negative.
    assert _convert([512 * 10, 512, 512 * 10, 0], state) == (8, 12)


def test_noise_may_turn_the_sign() -> None:
    state = dataclasses.replace(_ideal(noise=5000), seed=3)
    charges = np.zeros((1, 200, TINY.array.columns), dtype=np.int32)
    p, n = adc.convert(charges, state, 0, ReadMode.ONE_PHASE, LIMIT)
    assert (p > 0).any()
    assert (n > 0).any()
    assert not ((p > 0) & (n > 0)).any()


def test_noise_has_the_deviation_of_its_code() -> None:
    state = dataclasses.replace(_ideal(gain_p=1 << 23, noise=5 << 8), seed=4)
    charges = np.full((1, 4000, TINY.array.columns), 200 * 512, dtype=np.int32)
    p, _ = adc.convert(charges, state, 0, ReadMode.ONE_PHASE, LIMIT)
    assert p.std() == pytest.approx(5, rel=0.02)
    assert p.mean() == pytest.approx(200 - 0.5, abs=0.1)


def test_steering_is_as_specified() -> None:
    """The reference above knows the order of the windows by itself."""
    steers = [phase.steer for phase in formats.PHASES[ReadMode.FOUR_PHASE]]
    assert steers == [Steer.P, Steer.P, Steer.N, Steer.N]
