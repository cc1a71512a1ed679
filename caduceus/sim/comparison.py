"""Two runs of a program, value by value: every tile, the chip's outputs, the GDPU's states."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.machine import TileTrace
from caduceus.sim.recording import Recorded
from caduceus.sim.scoreboard import Scoreboard
from caduceus.spec.gdpu import LstmState
from caduceus.spec.program import Program, TileProgram
from caduceus.spec.program_codes import computing, replicas

OUTPUT, STATE = "chip output", "GDPU state"
"""Besides the layers, whose names have no space: what leaves the chip, and states."""


@dataclass(frozen=True)
class Observed:
    """What was seen of a run.

    Attributes:
        outputs: int8 [n, vectors, output_length].
        tiles: of each computing tile, in the order in which they compute.
        states: the GDPU's, int8 and uint16 [n, units], by the step after which they were read.
    """

    outputs: NDArray[np.int8]
    tiles: Mapping[int, TileTrace] = field(default_factory=dict)
    states: Mapping[int, LstmState] = field(default_factory=dict)


def unit(program: Program) -> str:
    """What an input of a program is called: an image, a vector, or a step of a sequence."""
    if program.slices:
        return "step"
    return "image" if program.input_pixels > 1 else "vector"


def results_per_input(tile: TileProgram) -> int:
    """Results that a tile makes of an input."""
    return tile.config.window.results if tile.config.window else 1


def as_recorded(
    recorded: Mapping[int, Recorded], expected: Mapping[int, TileTrace]
) -> dict[int, TileTrace]:
    """What tiles wrote down, vector by vector, in the shapes of what is expected of them.

    Where there are more or fewer vectors, they stay as they are: then nothing else fits.
    """
    return {
        number: TileTrace(
            _as(values.results, expected[number].results), _as(values.sent, expected[number].sent)
        )
        for number, values in recorded.items()
    }


def by_input(recorded: Mapping[int, Recorded], inputs: int) -> dict[int, TileTrace]:
    """What tiles wrote down, the same number of vectors for each of so many inputs.

    Where that is not so, they stay as they are: then nothing else fits.
    """
    return {
        number: TileTrace(_shared(values.results, inputs), _shared(values.sent, inputs))
        for number, values in recorded.items()
    }


def _shared(values: NDArray, inputs: int) -> NDArray:
    each, rest = divmod(len(values), inputs)
    return values.reshape(inputs, each, -1) if each and not rest else values


def _as(values: NDArray, wanted: NDArray) -> NDArray:
    return values.reshape(wanted.shape) if values.size == wanted.size else values


def compare(
    program: Program,
    expected: Observed,
    got: Observed,
    score: Scoreboard,
    when: str = "",
) -> None:
    """Compare into `score`: tiles first, layer by layer as `expected.tiles` has them.

    Args:
        program: that both ran.
        expected: the golden model's; has all that `got` has.
        got: what is compared with it; with all computing tiles, or with none.
        score: adds up what is compared; groups are layers, `OUTPUT` and `STATE`.
        when: part of every place's description, such as which of several passes.

    Raises:
        KeyError: both have tiles, but other ones, or `expected` lacks a state.
    """
    when = f"{when}, " if when else ""
    named = unit(program)
    turns = replicas(program) if got.tiles else {}
    tiles = {tile.tile: tile for tile in computing(program)}
    layers: dict[str, list[int]] = {}
    if got.tiles:
        if got.tiles.keys() != expected.tiles.keys():
            raise KeyError(
                f"tiles {sorted(got.tiles)} were seen, expected are {sorted(expected.tiles)}"
            )
        for number in expected.tiles:
            layers.setdefault(tiles[number].block.layer, []).append(number)
    for layer, numbers in layers.items():
        for number in numbers:
            tile = tiles[number]
            for kind in ("results", "sent"):
                place = _Place(tile, kind == "sent", turns.get(layer, 1), named, when)
                score.add(
                    getattr(expected.tiles[number], kind), getattr(got.tiles[number], kind),
                    place.describe, layer,
                )  # fmt: skip
    vectors = "step" if program.slices else "vector"
    score.add(
        expected.outputs,
        got.outputs,
        lambda at: (
            f"{when}{OUTPUT}"
            + (f", {named} {at[0]}" if not program.slices else "")
            + (f", {vectors} {at[1]}, value {at[2]}" if len(at) > 2 else "")
        ),
        OUTPUT,
    )
    for step, state in got.states.items():
        for what in ("hidden", "cell"):
            score.add(
                getattr(expected.states[step], what), getattr(state, what),
                lambda at, what=what, step=step: (
                    f"{when}{what} state after step {step}, unit {at[-1]}"
                ),
                STATE,
            )  # fmt: skip


@dataclass(frozen=True)
class _Place:
    """Where a tile's values lie in its layer."""

    tile: TileProgram
    sent: bool
    replicas: int
    unit: str
    when: str

    def describe(self, at: tuple[int, ...]) -> str:
        block = self.tile.block
        text = f"{self.when}layer {block.layer}, tile {self.tile.tile}"
        text += f" (row block {block.rows}, column block {block.columns}"
        text += f", replica {block.replica})" if self.replicas > 1 else ")"
        if len(at) < 3:
            return text
        number = at[1] if self.unit == "step" else at[0]
        y, x = self._pixel(0 if self.unit == "step" else at[1])
        kind = "packet" if self.sent else "result"
        return f"{text}, {self.unit} {number}, {kind} of pixel ({y}, {x}), column {at[2]}"

    def _pixel(self, number: int) -> tuple[int, int]:
        """Row and column, in the layer's feature map, of a tile's result or packet."""
        window, pooling = self.tile.config.window, self.tile.config.pooling
        if window is None:
            return 0, 0
        if self.sent and pooling is not None:
            # Replicas send pooled pixels in turn.
            across = pooling.across * self.replicas
            return divmod(number * self.replicas + self.tile.block.replica, across)
        y, x = divmod(number, len(window.columns))
        return y, window.columns[x]
