"""Program-and-verify: the diagonals of an array brought to target conductances.

The procedure is the published one (Le Gallo et al., Nature Electronics 2023). docs/pcm_write.md has
its order and the choices that the record leaves open. With one device of a cell (ODP) or two (TDP):

    all four devices are RESET; those in use, of the target's polarity, SET
    ODP: device 1 is iterated, its goal the target's magnitude
    TDP: both are read. If the target exceeds both, the lower one is iterated, its goal what the
         other one leaves; else the higher one is, its goal the target, and the other is RESET
    until |error| < margin, or `iterations` pulses are done: amplitude += step * (read - goal), a
    square pulse, a verify read

One device number after the other is iterated. A cell with target 0 stays RESET.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.reference import adc
from caduceus.golden.reference.pcm_devices import PcmDevices
from caduceus.spec import formats
from caduceus.spec import pcm_write as spec
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import Steer
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.pcm_write import Procedure, Pulse


@dataclass(frozen=True)
class PcmWritten:
    """Outcome for a diagonal; each an array [lines].

    Attributes:
        error: last read of the iterated device less its goal, in counts; 0 where the target is 0.
        iterations: pulses that the iterated device got.
        device: which of the cell's four was iterated; 0 where the target is 0.
        within: the error is within the margin; false where the target is 0.
    """

    error: NDArray[np.int64]
    iterations: NDArray[np.int64]
    device: NDArray[np.int64]
    within: NDArray[np.bool_]


class PcmWriter:
    """The array of one tile and its program-and-verify.

    Attributes:
        codes: uint8 [rows, columns, 4], the devices as they are now.
        reads: MVMs and verify reads since the state was loaded.
        pulses: pulses since then; one reaches a line of every head at most.

    Args:
        chip: gives the sizes.
        state: devices and converters at the start.
        tile: tile number in `state`.
    """

    def __init__(self, chip: Chip, state: PcmState, tile: int = 0) -> None:
        self._chip, self._state, self._tile = chip, state, tile
        self._devices = PcmDevices(state.seed, tile, state.rows, state.columns)
        self.codes = state.codes[tile].copy()
        self.reads = self.pulses = 0

    def state(self) -> PcmState:
        """The PCM state with the devices as they are now."""
        codes = self._state.codes.copy()
        codes[self._tile] = self.codes
        return replace(self._state, codes=codes)

    def read(self, diagonal: int, device: int) -> NDArray[np.int64]:
        """Verify read of device `device` of every cell of a diagonal: counts [lines]."""
        rows, columns = places(self._chip, diagonal)
        charges = np.zeros((1, self._chip.array.columns), dtype=np.int32)
        charges[0, columns] = spec.VERIFY_SLOTS * self.codes[rows, columns, device].astype(np.int32)
        plus = formats.DEVICES[device].endswith("plus")
        counts = adc.steered(
            charges, Steer.P if plus else Steer.N, self._state, self._tile,
            self._chip.adc.phase_limit, np.array([self.reads]),
        )  # fmt: skip
        self.reads += 1
        return counts[0, columns].astype(np.int64)

    def program(
        self, diagonal: int, targets: NDArray[np.int64], procedure: Procedure
    ) -> PcmWritten:
        """Program a diagonal.

        Args:
            diagonal: its number.
            targets: [lines], in counts of a verify read, negative ones for g-.
            procedure: number of devices, margin and so on.

        Raises:
            UserError: the diagonal, a target, or the number of targets or devices is out of range.
        """
        chip = self._chip
        if not 0 <= diagonal < spec.diagonals(chip):
            raise UserError(f"diagonal: got {diagonal}, expected 0 to {spec.diagonals(chip) - 1}")
        if targets.shape != (spec.lines(chip),) or np.abs(targets).max() > spec.TARGET_MAX:
            raise UserError(
                f"targets: expected {spec.lines(chip)} from {-spec.TARGET_MAX} to {spec.TARGET_MAX}"
            )
        if procedure.devices == 0:
            raise UserError("devices: got 0, expected 1 or 2")
        two = procedure.devices == 2
        first = np.where(targets < 0, 2, 0)
        used = targets != 0
        everywhere = np.full(targets.shape, spec.AMPLITUDE_MAX)

        def has(device: int) -> NDArray[np.bool_]:
            """Cells of which that device is in use."""
            return used & ((first == device) | (two & (first + 1 == device)))

        for device in range(len(formats.DEVICES)):
            self._pulse(diagonal, device, Pulse.SQUARE, np.ones_like(used), everywhere)
        for device in range(len(formats.DEVICES)):
            self._pulse(diagonal, device, Pulse.SET, has(device), everywhere)
        goal, chosen = np.abs(targets), first
        if two:
            goal, chosen, reset = self._choose(diagonal, targets, has)
            other = first + (chosen == first)
            for device in range(len(formats.DEVICES)):
                here = used & reset & (other == device)
                self._pulse(diagonal, device, Pulse.SQUARE, here, everywhere)
        result = PcmWritten(
            error=np.zeros_like(targets),
            iterations=np.zeros_like(targets),
            device=np.where(used, chosen, 0),
            within=np.zeros_like(used),
        )
        for device in range(len(formats.DEVICES)):
            self._iterate(diagonal, device, used & (chosen == device), goal, procedure, result)
        return result

    def _choose(
        self, diagonal: int, targets: NDArray[np.int64], has: Callable[[int], NDArray[np.bool_]]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """TDP: goal, iterated device, and whether the other one is RESET, of each cell."""
        known = np.zeros((2, len(targets)), dtype=np.int64)
        for device in range(len(formats.DEVICES)):
            here = has(device)
            if here.any():
                known[device % 2][here] = self.read(diagonal, device)[here]
        second_lower = known[1] < known[0]
        high = known.max(axis=0)
        exceeds = np.abs(targets) > high
        goal = np.where(exceeds, np.abs(targets) - high, np.abs(targets))
        chosen = np.where(targets < 0, 2, 0) + (second_lower == exceeds)
        return goal, chosen, ~exceeds

    def _iterate(
        self,
        diagonal: int,
        device: int,
        pending: NDArray[np.bool_],
        goal: NDArray[np.int64],
        procedure: Procedure,
        result: PcmWritten,
    ) -> None:
        """Read and pulse until no device is pending."""
        amplitude = np.full(goal.shape, procedure.first)
        pending = pending.copy()
        while pending.any():
            error = self.read(diagonal, device) - goal
            result.error[pending] = error[pending]
            result.within[pending] = (np.abs(error) < procedure.margin)[pending]
            pending &= ~result.within & (result.iterations < procedure.iterations)
            move = error * procedure.step + (1 << spec.STEP_FRACTION - 1) >> spec.STEP_FRACTION
            amplitude = np.where(pending, (amplitude + move).clip(0, spec.AMPLITUDE_MAX), amplitude)
            result.iterations[pending] += 1
            self._pulse(diagonal, device, Pulse.SQUARE, pending, amplitude)

    def _pulse(
        self,
        diagonal: int,
        device: int,
        shape: Pulse,
        on: NDArray[np.bool_],
        amplitudes: NDArray[np.int64],
    ) -> None:
        """Pulse those cells of a diagonal that are on: one line of every head at a time."""
        if not on.any():
            return
        rows, columns = places(self._chip, diagonal)
        cycle = np.arange(len(on)) % spec.head_lines(self._chip)
        # A line of the heads of which none is on gets no pulse.
        happens = np.bincount(cycle[on], minlength=spec.head_lines(self._chip)) > 0
        numbers = self.pulses + (np.cumsum(happens) - happens)[cycle]
        self._devices.pulse(
            self.codes, rows[on], columns[on], device, shape, amplitudes[on], numbers[on]
        )
        self.pulses += int(happens.sum())


def places(chip: Chip, diagonal: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of every device of a diagonal, two arrays [lines]."""
    rows, columns = chip.array.rows, chip.array.columns
    line = np.arange(min(rows, columns))
    moved = (line + diagonal) % max(rows, columns)
    return (line, moved) if rows <= columns else (moved, line)
