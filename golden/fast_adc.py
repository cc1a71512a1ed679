"""`adc.convert` in fewer operations: in float64, and without what is not there.

Exact, because the contract's numbers fit: a charge (25 bits with its sign) times a gain (24 bits),
an offset (16 bits) and noise (a sample of 14 bits times 16) are all multiples of 2**-32 count, and
their sum is below 2**18 counts: 50 bits, of which float64 holds 53. Limiting before flooring is the
same as after it, as the limits are whole numbers; what is then positive is floored, and what is
negative, a count for N, is floored in magnitude, when a conversion to int32 cuts off the fraction.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from golden import read_noise
from spec import formats
from spec.formats import ReadMode, Steer
from spec.pcm_state import PcmState

Counts = NDArray[np.int32]
"""Whole numbers, [n, columns]."""


class FastAdc:
    """The converters of tile number `tile` of `state`, of the first `columns` columns.

    Attributes:
        most: the largest value of a counter.
    """

    def __init__(
        self, state: PcmState, tile: int, columns: int, mode: ReadMode, phase_limit: int
    ) -> None:
        here = (tile, slice(columns))
        self._phases = formats.PHASES[mode]
        self._limit = phase_limit
        self._seed, self._tile = state.seed, tile
        self._gains = {
            Steer.P: state.gain_p[here] * 2.0**-formats.GAIN_FRACTION,
            Steer.N: state.gain_n[here] * 2.0**-formats.GAIN_FRACTION,
        }
        self._offsets = {
            Steer.P: state.offset_p[here] * 2.0**-formats.OFFSET_FRACTION,
            Steer.N: state.offset_n[here] * 2.0**-formats.OFFSET_FRACTION,
        }
        self._noise = state.noise[here] * 2.0 ** -(formats.NOISE_FRACTION + formats.SAMPLE_FRACTION)
        self._noisy = bool(self._noise.any())
        self._same_gains = bool((self._gains[Steer.P] == self._gains[Steer.N]).all())
        self._no_offsets = not any(offset.any() for offset in self._offsets.values())
        windows = 1 if mode == ReadMode.ONE_PHASE else 2
        self.most = min(windows * phase_limit, formats.COUNT_MAX)

    def difference(
        self, charges: Iterable[NDArray[np.float32] | None], shape: tuple[int, int],
        reads: NDArray[np.int64],
    ) -> Counts:  # fmt: skip
        """P - N after each of a batch of MVMs.

        Args:
            charges: by window whole numbers [n, columns]; None for a window without pulses.
            shape: n and columns.
            reads: read index of each MVM, [n].
        """
        if len(self._phases) == 1:
            [charge] = charges
            return self._by_sign(charge, shape, reads)
        p, n = self.counters(charges, shape, reads)
        return np.subtract(p, n, out=p)

    def counters(
        self, charges: Iterable[NDArray[np.float32] | None], shape: tuple[int, int],
        reads: NDArray[np.int64],
    ) -> tuple[Counts, Counts]:  # fmt: skip
        """P and N; arguments as for `difference`."""
        if len(self._phases) == 1:
            count = self.difference(charges, shape, reads)
            return np.maximum(count, 0), np.maximum(-count, 0)
        found: dict[Steer, Counts] = {}
        for index, (phase, charge) in enumerate(zip(self._phases, charges, strict=True)):
            count = self._window(index, phase.steer, charge, shape, reads)
            if phase.steer in found:
                found[phase.steer] += count
            else:
                found[phase.steer] = count
        if self._limit * 2 > formats.COUNT_MAX:
            for counter in found.values():
                np.minimum(counter, formats.COUNT_MAX, out=counter)
        return found[Steer.P], found[Steer.N]

    def _by_sign(
        self, charge: NDArray[np.float32] | None, shape: tuple[int, int], reads: NDArray[np.int64]
    ) -> Counts:
        """What a window counts that is steered by sign; what goes to N is negative."""
        gain_p, gain_n = self._gains.values()
        if charge is None:
            scaled = np.zeros(shape)
        elif self._same_gains:
            scaled = charge * gain_p
        else:
            scaled = np.maximum(charge, 0) * gain_p
            scaled += np.minimum(charge, 0) * gain_n
        if self._noisy:
            scaled += self._sampled(0, reads)
        if self._no_offsets:
            np.clip(scaled, -self._limit, self._limit, out=scaled)
        else:
            offset_p, offset_n = self._offsets.values()
            p = (scaled + offset_p).clip(0, self._limit)
            n = (scaled - offset_n).clip(-self._limit, 0)
            scaled = np.where(scaled >= 0, p, n)
        return scaled.astype(np.int32)

    def _window(
        self, index: int, steer: Steer, charge: NDArray[np.float32] | None, shape: tuple[int, int],
        reads: NDArray[np.int64],
    ) -> Counts:  # fmt: skip
        """What window number `index` counts, which is steered to one counter."""
        if charge is not None:
            scaled = charge * self._gains[steer]
        elif self._noisy or not self._no_offsets:
            scaled = np.zeros(shape)
        else:
            return np.zeros(shape, dtype=np.int32)
        if self._noisy:
            scaled += self._sampled(index, reads)
        if not self._no_offsets:
            scaled += self._offsets[steer]
        np.clip(scaled, 0, self._limit, out=scaled)
        return scaled.astype(np.int32)

    def _sampled(self, phase: int, reads: NDArray[np.int64]) -> NDArray[np.float64]:
        """Noise in counts, [n, columns]."""
        columns = len(self._noise)
        return read_noise.samples(self._seed, self._tile, reads, phase, columns) * self._noise
