"""The PCM crossbar: pulses on the rows become charge on the columns."""

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.reference import modulator
from caduceus.spec import formats
from caduceus.spec.formats import Phase, ReadMode, Steer
from caduceus.spec.pcm_state import PcmState


def reference_charges(
    reference: int, mode: ReadMode, vectors: int, columns: int
) -> NDArray[np.int32]:
    """Charge of every window of MVMs in which a reference current flows in place of the cells'.

    Args:
        reference: units of charge per slot, signed; not 0.
        mode: read mode, which gives the windows.
        vectors: how many MVMs.
        columns: results of each.

    Returns:
        int32 [phases, vectors, columns]; where a window is steered to a counter, the magnitude.
    """
    charge = reference * formats.SLOTS
    window = [
        charge if phase.steer == Steer.BY_SIGN else abs(charge) for phase in formats.PHASES[mode]
    ]
    return np.broadcast_to(
        np.array(window, dtype=np.int32)[:, np.newaxis, np.newaxis], (len(window), vectors, columns)
    )


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
            np.matmul(pulses, self.weights(phase)[: x.shape[1], :columns], out=charge)
        return charges.astype(np.int32)

    def weights(self, phase: Phase) -> NDArray[np.float32]:
        """Charge of a pulse of one slot in that window, [rows, columns]; read-only."""
        if phase.steer == Steer.BY_SIGN:
            return self._net
        return self._plus if phase.select_plus else self._minus
