"""The golden model of a whole chip, by one interface; goes once `golden.machine` has it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden import chip as golden_chip
from golden import images as golden_images
from golden.images import TileTrace
from golden.tile import Tap
from spec.chip import Chip
from spec.gdpu import LstmState
from spec.pcm_state import PcmState
from spec.program import ChipProgram
from spec.program_codes import gathers


@dataclass(frozen=True)
class Outcome:
    """What became of inputs.

    Attributes:
        outputs: int8 [n, vectors, output_length]; vectors are an image's, or a sequence's steps.
        tiles: of each computing tile, in the order in which they compute; empty unless asked for.
        hidden, cell: int8 and uint16 [n, steps, units] after every step; None without GDPU slices.
    """

    outputs: NDArray[np.int8]
    tiles: dict[int, TileTrace]
    hidden: NDArray[np.int8] | None = None
    cell: NDArray[np.uint16] | None = None

    @property
    def state(self) -> LstmState | None:
        """The state after the last step."""
        if self.hidden is None or self.cell is None:
            return None
        return LstmState(self.hidden[:, -1], self.cell[:, -1])


class Machine:
    """A program on a chip, ready to compute."""

    def __init__(
        self, program: ChipProgram, chip: Chip, state: PcmState, tap: Tap | None = None
    ) -> None:
        self._program, self._given = program, (program, chip, state)
        kind = golden_images.Machine if gathers(program) else golden_chip.Machine
        self._machine = kind(program, chip, state, tap)

    def run(
        self,
        x: NDArray[np.int8],
        *,
        initial: LstmState | None = None,
        first: int = 0,
        capture: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Outcome:
        """Inputs, int8 [n, pixels or steps, input_length], after `first` others."""
        if self._program.slices:
            return self._sequences(x, initial, first, capture)
        x = x.reshape(len(x), -1, x.shape[-1])
        if isinstance(self._machine, golden_images.Machine):
            return self._images(x, first, capture, progress)
        nothing = LstmState(np.zeros((len(x), 0), np.int8), np.zeros((len(x), 0), np.uint16))
        outputs, _, found = self._machine.step(x[:, 0], nothing, first + np.arange(len(x)))
        values = {number: each[:, np.newaxis] for (_, number), each in found.items()}
        tiles = {number: TileTrace(each, each) for number, each in values.items()}
        return Outcome(outputs[:, np.newaxis], tiles if capture else {})

    def _images(
        self,
        x: NDArray[np.int8],
        first: int,
        capture: bool,
        progress: Callable[[int], None] | None,
    ) -> Outcome:
        step = golden_images.IMAGES_PER_BLOCK
        outputs, traces = [], []
        for start in range(0, max(len(x), 1), step):
            final, trace = self._machine.run(x[start : start + step], first + start)
            outputs.append(final)
            if capture:
                traces.append(trace)
            if progress:
                progress(len(x[start : start + step]))
        tiles = {
            tile: TileTrace(
                np.concatenate([trace[tile].results for trace in traces]),
                np.concatenate([trace[tile].sent for trace in traces]),
            )
            for tile in (traces[0] if traces else ())
        }
        return Outcome(np.concatenate(outputs), tiles)

    def _sequences(
        self, x: NDArray[np.int8], initial: LstmState | None, first: int, capture: bool
    ) -> Outcome:
        if not capture:
            found = self._machine.run_sequences(x, initial, first)
            return Outcome(found.outputs, {}, found.hidden, found.cell)
        count, steps, _ = x.shape
        units = sum(each.config.units for each in self._program.slices)
        now = initial or LstmState(
            np.zeros((count, units), np.int8), np.zeros((count, units), np.uint16)
        )
        reads = first + np.arange(count) * steps
        outputs, hidden, cell, tiles = [], [], [], {}
        for t in range(steps):
            logits, now, found = self._machine.step(x[:, t], now, reads + t)
            outputs.append(logits)
            hidden.append(now.hidden)
            cell.append(now.cell)
            for (kind, number), values in found.items():
                if kind == "tile":
                    tiles.setdefault(number, []).append(values)
        joined = {number: np.stack(each, axis=1) for number, each in tiles.items()}
        return Outcome(
            np.stack(outputs, axis=1),
            {number: TileTrace(each, each) for number, each in joined.items()},
            np.stack(hidden, axis=1),
            np.stack(cell, axis=1),
        )
