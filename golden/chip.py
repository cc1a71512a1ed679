"""A whole chip: packets follow their routes, tiles and GDPU slices compute once a vector."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.fast_gdpu import FastGdpu
from golden.payload import Values, from_bytes, to_bytes
from golden.plan import End, Node, plan
from golden.tile import Tap, Tile
from spec.chip import Chip
from spec.errors import UserError
from spec.fabric import GDPU, INPUT, RX
from spec.gdpu import LstmState
from spec.pcm_state import PcmState
from spec.program import Program
from spec.program_check import check
from spec.program_codes import computing, gathers


@dataclass(frozen=True)
class Sequences:
    """What became of sequences of input vectors.

    Attributes:
        outputs: int8 [sequences, steps, program.output_length].
        hidden: int8 [sequences, steps, units of all slices], after every step.
        cell: uint16, likewise.
    """

    outputs: NDArray[np.int8]
    hidden: NDArray[np.int8]
    cell: NDArray[np.uint16]

    @property
    def state(self) -> LstmState:
        """The state after the last step."""
        return LstmState(self.hidden[:, -1], self.cell[:, -1])


def run(
    program: Program,
    chip: Chip,
    state: PcmState,
    x: NDArray[np.int8],
    capture: bool = False,
    first_read: int = 0,
) -> NDArray[np.int8] | tuple[NDArray[np.int8], dict[int, Values]]:
    """Output vectors of a batch of input vectors, for a program without GDPU slices.

    Results depend on a vector and its read index alone: batches may be split at will.

    Args:
        program: what the compiler made for `chip`.
        chip: the chip description.
        state: devices of the computing tiles, in the order of `spec.program_codes.computing`.
        x: int8 [n, program.input_length].
        capture: whether to give every tile's results, too.
        first_read: vectors that came before, since the state was loaded.

    Returns:
        int8 [n, program.output_length]; with `capture` that, and the results of each computing
        tile by its number, int8 [n, columns], or binary16 bits as uint16.

    Raises:
        UserError: program, chip, state or vectors do not fit each other; a packet has no route,
            arrives where nobody takes it or twice, or does not arrive; tiles wait for each other.
    """
    if program.slices:
        raise UserError("program: has GDPU slices: allowed are sequences of vectors")
    if gathers(program):
        raise UserError("program: gathers from feature maps: allowed are images")
    machine = Machine(program, chip, state)
    _demand_vectors(x, 2, program)
    outputs, _, results = machine.step(x, _nothing(len(x), 0), first_read + np.arange(len(x)))
    tiles = {number: values for (_, number), values in results.items()}
    return (outputs, dict(sorted(tiles.items()))) if capture else outputs


def run_sequences(
    program: Program,
    chip: Chip,
    state: PcmState,
    x: NDArray[np.int8],
    initial: LstmState | None = None,
    first_read: int = 0,
) -> Sequences:
    """Sequences of equal length through a program with GDPU slices, as if one after another.

    Args:
        program: what the compiler made for `chip`.
        chip: the chip description.
        state: devices of the computing tiles, as for `run`.
        x: int8 [sequences, steps, program.input_length], at least one step.
        initial: hidden and cell state before the first step; all 0 if None.
        first_read: vectors that came before, since the state was loaded.

    Raises:
        UserError: as for `run`; or the initial state does not fit.
    """
    return Machine(program, chip, state).run_sequences(x, initial, first_read)


def _nothing(count: int, units: int) -> LstmState:
    return LstmState(np.zeros((count, units), np.int8), np.zeros((count, units), np.uint16))


def _demand_vectors(x: NDArray[np.int8], dimensions: int, program: Program) -> None:
    allowed = ["n", program.input_length] if dimensions == 2 else ["n", "steps >= 1"]
    allowed = allowed if dimensions == 2 else [*allowed, program.input_length]
    fits = x.ndim == dimensions and x.shape[-1] == program.input_length
    if x.dtype != np.int8 or not fits or (dimensions == 3 and x.shape[1] == 0):
        raise UserError(
            f"input vectors: {x.dtype} {list(x.shape)}: allowed is int8 "
            f"[{', '.join(map(str, allowed))}]"
        )


class Machine:
    """A program on a chip, ready to compute vectors.

    Raises:
        UserError: they do not fit each other, or the program's packets go wrong.

    `tap` is called with each computing tile's number and its input vectors, int8 [n, rows].
    """

    def __init__(
        self, program: Program, chip: Chip, state: PcmState, tap: Tap | None = None
    ) -> None:
        check(program, chip)
        self._tap = tap
        tiles = computing(program)
        if state.tiles != max(1, len(tiles)):
            raise UserError(
                f"PCM state has {state.tiles} tiles: the program allows {max(1, len(tiles))}"
            )
        self._program = program
        self._plan = plan(program, chip)
        self._tiles = {
            tile.tile: (tile, Tile(chip, state, index)) for index, tile in enumerate(tiles)
        }
        self._slices = {}
        end = 0
        for each in program.slices:
            start, end = end, end + each.config.units
            self._slices[each.slice] = FastGdpu(each.config), slice(start, end)

    def run_sequences(
        self, x: NDArray[np.int8], initial: LstmState | None = None, first_read: int = 0
    ) -> Sequences:
        """Sequences of equal length; arguments, result and errors as for the function."""
        if not self._program.slices:
            raise UserError("program: has no GDPU slices: allowed are batches of vectors")
        _demand_vectors(x, 3, self._program)
        count, steps, _ = x.shape
        units = sum(each.config.units for each in self._program.slices)
        now = initial or _nothing(count, units)
        for key, kind in (("hidden", np.int8), ("cell", np.uint16)):
            given = getattr(now, key)
            if given.dtype != kind or given.shape != (count, units):
                raise UserError(
                    f"initial {key} state: {given.dtype} {list(given.shape)}: allowed is "
                    f"{np.dtype(kind)} [{count}, {units}]"
                )
        reads = first_read + np.arange(count) * steps
        outputs = np.empty((count, steps, self._program.output_length), dtype=np.int8)
        hidden = np.empty((count, steps, units), dtype=np.int8)
        cell = np.empty((count, steps, units), dtype=np.uint16)
        for t in range(steps):
            outputs[:, t], now, _ = self.step(x[:, t], now, reads + t)
            hidden[:, t], cell[:, t] = now.hidden, now.cell
        return Sequences(outputs, hidden, cell)

    def step(
        self, x: NDArray[np.int8], before: LstmState, reads: NDArray[np.int64]
    ) -> tuple[NDArray[np.int8], LstmState, dict[Node, Values]]:
        """One vector of each of a batch: outputs, the new state, and what every node computed.

        Args:
            x: int8 [n, program.input_length].
            before: state of the slices, of n sequences.
            reads: int [n], read index of each.
        """
        results: dict[Node, Values] = {}
        hidden, cell = np.empty_like(before.hidden), np.empty_like(before.cell)

        def payload(end: End) -> NDArray[np.int8] | None:
            """What an end gets, as bytes."""
            part = self._plan.kept.get(end)
            if part is None:
                return None
            source = part.source
            if source.node is None:
                sent = x[:, source.start : source.start + source.length]
            elif part.before:
                sent = before.hidden[:, self._slices[source.node[1]][1]]
            else:
                sent = to_bytes(results[source.node])
            return sent[:, part.start : part.end]

        for node in self._plan.order:
            kind, number = node
            if kind == "slice":
                unit, units = self._slices[number]
                gates = payload((node, GDPU, 0))
                hidden[:, units], cell[:, units] = unit.step(gates, before.cell[:, units])
                results[node] = hidden[:, units]
                continue
            wanted, tile = self._tiles[number]
            inputs = np.zeros((len(x), wanted.config.rows), dtype=np.int8)
            for index, part in enumerate(wanted.config.input_parts):
                where = slice(part.start, part.start + part.length)
                inputs[:, where] = payload((node, INPUT, index))
            if self._tap:
                self._tap(number, inputs)
            rx = from_bytes(wanted.config, payload((node, RX, 0)))
            results[node] = tile.run(wanted.config, inputs, rx, reads)
        final = np.empty((len(x), self._program.output_length), dtype=np.int8)
        for output, source in zip(self._program.outputs, self._plan.outputs, strict=True):
            sent = (
                x[:, source.start : source.start + source.length]
                if source.node is None
                else to_bytes(results[source.node])
            )
            final[:, output.start : output.start + output.length] = sent
        return final, LstmState(hidden, cell), results
