"""The PCM crossbar: pulses on the rows become charge on the columns."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from golden import modulator
from spec import formats
from spec.formats import Phase, ReadMode, Steer
from spec.pcm_state import PcmState


class Crossbar:
    """The unit cells of one tile.

    A charge is the sum over the rows of pulse slots times the conductance codes of the connected
    devices. It is an integer below 127 x 510 x 256 < 2**24, so float32 holds it and every partial
    sum of it exactly, in any order of summation: one matrix product in float32 gives the bits.
    """

    def __init__(self, state: PcmState, tile: int) -> None:
        codes = state.codes[tile].astype(np.float32)
        self._plus = codes[..., 0] + codes[..., 1]
        self._minus = codes[..., 2] + codes[..., 3]
        self._net = self._plus - self._minus

    @property
    def rows(self) -> int:
        """Inputs of the array."""
        return self._net.shape[0]

    @property
    def columns(self) -> int:
        """Outputs of the array."""
        return self._net.shape[1]

    def charges(
        self, x: NDArray[np.int8], mode: ReadMode, columns: int | None = None
    ) -> NDArray[np.int32]:
        """Charge of every window of an MVM.

        Args:
            x: int8 [n, r], at most as many rows as the array has; the others are not driven.
            mode: gives the windows and their order.
            columns: only the first so many columns; all by default.

        Returns:
            int32 [phases, n, columns]; signed in 1-phase, never negative in 4-phase.
        """
        phases = formats.PHASES[mode]
        columns = self.columns if columns is None else columns
        charges = np.empty((len(phases), x.shape[0], columns), dtype=np.float32)
        for charge, phase in zip(charges, phases, strict=True):
            pulses = modulator.signed_pulses(x, phase).astype(np.float32)
            np.matmul(pulses, self._weights(phase)[: x.shape[1], :columns], out=charge)
        return charges.astype(np.int32)

    def driven(
        self, x: NDArray[np.int8], mode: ReadMode, columns: int
    ) -> Iterator[NDArray[np.float32] | None]:
        """As `charges`, window after window and as float32; None for one without a pulse."""
        lowest, highest = (int(x.min()), int(x.max())) if x.size else (0, 0)
        made: dict[tuple[bool, bool], NDArray[np.float32]] = {}
        for phase in formats.PHASES[mode]:
            positive = phase.drive_positive and highest > 0
            negative = phase.drive_negative and lowest < 0
            if not positive and not negative:
                yield None
                continue
            drives = phase.drive_positive, phase.drive_negative
            if drives not in made:
                # Pulses are the inputs themselves, where there are none of the other sign.
                by_sign = phase.steer == Steer.BY_SIGN and lowest >= -formats.INT8_MAX
                same = by_sign or (phase.drive_positive and lowest >= 0)
                pulses = x if same else modulator.signed_pulses(x, phase)
                made[drives] = pulses.astype(np.float32)
            yield made[drives] @ self._weights(phase)[: x.shape[1], :columns]

    def _weights(self, phase: Phase) -> NDArray[np.float32]:
        if phase.steer == Steer.BY_SIGN:
            return self._net
        return self._plus if phase.select_plus else self._minus
