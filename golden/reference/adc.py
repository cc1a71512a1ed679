"""Analog-to-digital conversion: charge to the two 12-bit counters of every column.

All in integers, in units of 2**-GAIN_FRACTION count (our choice; the published law is a gain, an
offset and saturation). With q the charge of a window and z the column's noise:

    window steered to X    count = (q * gain_X + offset_X + z) // 1, at least 0, at most the limit
                           counter_X = counter_X + count, at most COUNT_MAX
    steered by sign        s = q * gain + z, with gain_P for q >= 0, else gain_N
                           counter_P = (s + offset_P) // 1 if s >= 0,
                           counter_N = (-s + offset_N) // 1 otherwise; limits as above
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.reference import read_noise
from caduceus.spec import formats
from caduceus.spec.formats import Phase, ReadMode, Steer
from caduceus.spec.pcm_state import PcmState

_OFFSET_SHIFT = formats.GAIN_FRACTION - formats.OFFSET_FRACTION
_NOISE_SHIFT = formats.GAIN_FRACTION - formats.NOISE_FRACTION - formats.SAMPLE_FRACTION


def convert(
    charges: NDArray[np.int32],
    state: PcmState,
    tile: int,
    mode: ReadMode,
    phase_limit: int,
    first_read: int | NDArray[np.int64] = 0,
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Counters P and N after each of a batch of MVMs.

    Args:
        charges: int32 [phases, n, columns] of the tile's first columns.
        state: gives the columns' gains, offsets and noise.
        tile: tile number in `state`.
        mode: gives the windows and their order.
        phase_limit: counts at which one conversion saturates.
        first_read: MVMs that the tile did since its state was loaded; or that number for each, [n].

    Returns:
        Two arrays uint16 [n, columns].
    """
    _, vectors, columns = charges.shape
    here = (tile, slice(columns))
    gains = {Steer.P: state.gain_p[here], Steer.N: state.gain_n[here]}
    offsets = {Steer.P: state.offset_p[here], Steer.N: state.offset_n[here]}
    noisy = state.noise[here].any()
    reads = first_read if np.ndim(first_read) else first_read + np.arange(vectors)
    counters = {steer: np.zeros((vectors, columns), dtype=np.int32) for steer in gains}
    for index, (phase, charge) in enumerate(zip(formats.PHASES[mode], charges, strict=True)):
        noise = _disturbance(state, tile, reads, index, columns) if noisy else 0
        count, to_p = _window(phase, charge, gains, offsets, noise, phase_limit)
        counters[Steer.P] += count * to_p
        counters[Steer.N] += count * ~to_p
    # Counts are never negative, so saturating once at the end is saturating after every window.
    p, n = (
        np.minimum(counter, formats.COUNT_MAX).astype(np.uint16) for counter in counters.values()
    )
    return p, n


def saturated(
    charges: NDArray[np.int32], state: PcmState, tile: int, mode: ReadMode, phase_limit: int
) -> NDArray[np.bool_]:
    """Which conversions reach `phase_limit`, without read noise; arguments as for `convert`.

    Returns:
        bool [phases, n, columns].
    """
    here = (tile, slice(charges.shape[2]))
    gains = {Steer.P: state.gain_p[here], Steer.N: state.gain_n[here]}
    offsets = {Steer.P: state.offset_p[here], Steer.N: state.offset_n[here]}
    found = np.empty(charges.shape, dtype=np.bool_)
    for reached, phase, charge in zip(found, formats.PHASES[mode], charges, strict=True):
        count, _ = _window(phase, charge, gains, offsets, 0, phase_limit)
        np.greater_equal(count, phase_limit, out=reached)
    return found


def _window(
    phase: Phase,
    charge: NDArray[np.int32],
    gains: Mapping[Steer, NDArray],
    offsets: Mapping[Steer, NDArray],
    noise: NDArray[np.int64] | int,
    phase_limit: int,
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Counts [n, columns] of a window, and whether they go to counter P."""
    if phase.steer != Steer.BY_SIGN:
        scaled = np.multiply(charge, gains[phase.steer], dtype=np.int64)
        scaled += noise
        to_p = np.full(charge.shape[1], phase.steer == Steer.P)
        return _count(scaled, offsets[phase.steer], phase_limit), to_p
    scaled = np.multiply(charge, np.where(charge >= 0, *gains.values()), dtype=np.int64)
    scaled += noise
    to_p = scaled >= 0
    return _count(np.abs(scaled), np.where(to_p, *offsets.values()), phase_limit), to_p


def steered(
    charges: NDArray[np.int32],
    steer: Steer,
    state: PcmState,
    tile: int,
    phase_limit: int,
    reads: NDArray[np.int64],
) -> NDArray[np.int32]:
    """Counts of MVMs of a single window, steered to a counter, as verify reads are.

    Args:
        charges: int32 [n, columns], magnitudes.
        steer: P or N, which says whose gains and offsets.
        state: as in `convert`.
        tile: as in `convert`.
        phase_limit: as in `convert`.
        reads: [n], MVMs that the tile did before since its state was loaded.

    Returns:
        int32 [n, columns].
    """
    columns = charges.shape[1]
    here = (tile, slice(columns))
    to_p = steer == Steer.P
    gain, offset = (
        (state.gain_p[here], state.offset_p[here])
        if to_p
        else (state.gain_n[here], state.offset_n[here])
    )
    scaled = np.multiply(charges, gain, dtype=np.int64)
    if state.noise[here].any():
        scaled += _disturbance(state, tile, reads, 0, columns)
    return _count(scaled, offset, phase_limit)


def _disturbance(
    state: PcmState, tile: int, reads: NDArray[np.int64], window: int, columns: int
) -> NDArray[np.int64]:
    """Noise [n, columns] of a window of each of these reads."""
    sample = read_noise.samples(state.seed, tile, reads, window, columns)
    noise = state.noise[tile, :columns]
    return np.multiply(sample, noise, dtype=np.int64) << _NOISE_SHIFT


def _count(
    scaled: NDArray[np.int64], offset: NDArray[np.int16], phase_limit: int
) -> NDArray[np.int32]:
    """Counts of one window: offset added, floored, limited. Overwrites `scaled`."""
    scaled += np.left_shift(offset, _OFFSET_SHIFT, dtype=np.int64)
    scaled >>= formats.GAIN_FRACTION
    # Without its fraction the largest value (a charge of 24 bits, a gain of 24) needs 17 bits.
    return scaled.astype(np.int32).clip(0, phase_limit)
