"""Any program on a chip, by one call: a border to the two machines that there still are."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from golden import chip as vectors
from golden import images
from golden.images import TileTrace
from golden.tile import Tap
from spec.chip import Chip
from spec.gdpu import LstmState
from spec.pcm_state import PcmState
from spec.program import Program
from spec.program_codes import gathers


@dataclass(frozen=True)
class Outcome:
    """What became of inputs.

    Attributes:
        outputs: int8 [n, vectors, program.output_length]; vectors of an image, or steps.
        tiles: by computing tile, what it computed and sent; empty unless asked for.
        hidden, cell: int8 and uint16 [n, steps, units], after every step; None without slices.
    """

    outputs: NDArray[np.int8]
    tiles: dict[int, TileTrace] = field(default_factory=dict)
    hidden: NDArray[np.int8] | None = None
    cell: NDArray[np.uint16] | None = None

    @property
    def state(self) -> LstmState | None:
        """The state after the last step."""
        if self.hidden is None or self.cell is None:
            return None
        return LstmState(self.hidden[:, -1], self.cell[:, -1])


class Machine:
    """A program on a chip, ready to compute.

    `tap` is called with each computing tile's number and its input vectors, int8 [n, rows].
    """

    def __init__(
        self, program: Program, chip: Chip, state: PcmState, tap: Tap | None = None
    ) -> None:
        self._program = program
        self._maps = gathers(program)
        kind = images.Machine if self._maps else vectors.Machine
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
        """Compute a batch of inputs.

        Args:
            x: int8 [n, input_pixels, input_length], or [n, steps, input_length] for sequences.
            initial: hidden and cell state before the first step; all 0 if None.
            first: inputs, or steps, that came before since the state was loaded.
            capture: whether to give every tile's results, too; not for sequences.
            progress: called with the number of inputs done since the last call.
        """
        if self._program.sequences:
            found = self._machine.run_sequences(x, initial, first)
            return Outcome(found.outputs, {}, found.hidden, found.cell)
        step = images.IMAGES_PER_BLOCK
        outputs, traces = [], []
        for start in range(0, max(len(x), 1), step):
            block = x[start : start + step]
            final, trace = self._block(block, first + start)
            outputs.append(final)
            if capture:
                traces.append(trace)
            if progress:
                progress(len(block))
        tiles = {}
        for tile in traces[0] if traces else ():
            parts = [trace[tile] for trace in traces]
            tiles[tile] = TileTrace(
                np.concatenate([part.results for part in parts]),
                np.concatenate([part.sent for part in parts]),
            )
        return Outcome(np.concatenate(outputs), tiles)

    def _block(
        self, x: NDArray[np.int8], first: int
    ) -> tuple[NDArray[np.int8], dict[int, TileTrace]]:
        if self._maps:
            return self._machine.run(x, first)
        nothing = LstmState(np.zeros((len(x), 0), np.int8), np.zeros((len(x), 0), np.uint16))
        flat = x.reshape(len(x), -1)
        outputs, _, found = self._machine.step(flat, nothing, first + np.arange(len(x)))
        tiles = {
            number: TileTrace(values[:, np.newaxis], values[:, np.newaxis])
            for (_, number), values in found.items()
        }
        return outputs[:, np.newaxis], dict(sorted(tiles.items()))


def run(
    program: Program, chip: Chip, state: PcmState, x: NDArray[np.int8], **options: object
) -> Outcome:
    """`Machine.run` of a machine made for it."""
    return Machine(program, chip, state).run(x, **options)
