"""Analog-to-digital conversion: charge to the two 12-bit counters of every column.

All in integers, in units of 2**-GAIN_FRACTION count (our choice; the published law is a gain, an
offset and saturation). With q the charge of a window and z the column's noise:

    window steered to X    count = (q * gain_X + offset_X + z) // 1, at least 0, at most the limit
                           counter_X = counter_X + count, at most COUNT_MAX
    steered by sign        s = q * gain + z, with gain_P for q >= 0, else gain_N
                           counter_P = (s + offset_P) // 1 if s >= 0,
                           counter_N = (-s + offset_N) // 1 otherwise; limits as above
"""

import numpy as np
from numpy.typing import NDArray

from golden import read_noise
from spec import formats
from spec.formats import ReadMode, Steer
from spec.pcm_state import PcmState

_OFFSET_SHIFT = formats.GAIN_FRACTION - formats.OFFSET_FRACTION
_NOISE_SHIFT = formats.GAIN_FRACTION - formats.NOISE_FRACTION - formats.SAMPLE_FRACTION


def convert(
    charges: NDArray[np.int32],
    state: PcmState,
    tile: int,
    mode: ReadMode,
    phase_limit: int,
    first_read: int = 0,
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Counters P and N after each of a batch of MVMs.

    Args:
        charges: int32 [phases, n, columns] of the tile's first columns.
        state: gives the columns' gains, offsets and noise.
        tile: tile number in `state`.
        mode: gives the windows and their order.
        phase_limit: counts at which one conversion saturates.
        first_read: MVMs that the tile did since its state was loaded.

    Returns:
        Two arrays uint16 [n, columns].
    """
    reads = np.arange(first_read, first_read + charges.shape[1])
    gains, offsets = _columns(state, tile, charges.shape[2])
    counters = {steer: np.zeros(charges.shape[1:], dtype=np.int64) for steer in (Steer.P, Steer.N)}
    for index, (phase, charge) in enumerate(zip(formats.PHASES[mode], charges, strict=True)):
        noise = _noise(state, tile, reads, index, charges.shape[2])
        if phase.steer == Steer.BY_SIGN:
            scaled = charge * np.where(charge >= 0, gains[Steer.P], gains[Steer.N]) + noise
            to_p = scaled >= 0
            total = np.abs(scaled) + np.where(to_p, offsets[Steer.P], offsets[Steer.N])
            count = np.clip(total >> formats.GAIN_FRACTION, 0, phase_limit)
            counters[Steer.P] += count * to_p
            counters[Steer.N] += count * ~to_p
        else:
            total = charge * gains[phase.steer] + offsets[phase.steer] + noise
            counters[phase.steer] += np.clip(total >> formats.GAIN_FRACTION, 0, phase_limit)
    # Counts are never negative, so saturating once at the end is saturating after every window.
    p, n = (
        np.minimum(counters[steer], formats.COUNT_MAX).astype(np.uint16)
        for steer in (Steer.P, Steer.N)
    )
    return p, n


def _columns(
    state: PcmState, tile: int, columns: int
) -> tuple[dict[Steer, NDArray[np.int64]], dict[Steer, NDArray[np.int64]]]:
    """Gains and offsets of the first columns, in the module's unit, by counter."""
    wide = [
        field[tile, :columns].astype(np.int64)
        for field in (state.gain_p, state.gain_n, state.offset_p, state.offset_n)
    ]
    return (
        {Steer.P: wide[0], Steer.N: wide[1]},
        {Steer.P: wide[2] << _OFFSET_SHIFT, Steer.N: wide[3] << _OFFSET_SHIFT},
    )


def _noise(
    state: PcmState, tile: int, reads: NDArray[np.int64], phase: int, columns: int
) -> NDArray[np.int64] | int:
    """Noise [n, columns] of one window in the module's unit; 0 for a tile without noise."""
    codes = state.noise[tile, :columns].astype(np.int64)
    if not codes.any():
        return 0
    return read_noise.samples(state.seed, tile, reads, phase, columns) * codes << _NOISE_SHIFT
