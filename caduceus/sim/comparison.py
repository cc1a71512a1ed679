"""Compare two runs of a program value by value: tiles, chip outputs, GDPU states."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.machine import TileTrace
from caduceus.sim.moments import JoinedMoments, Moment, Moments
from caduceus.sim.recording import Recorded
from caduceus.sim.scoreboard import Mismatch, Scoreboard
from caduceus.spec.gdpu import LstmState
from caduceus.spec.program import Program, TileProgram
from caduceus.spec.program_codes import computing, replicas

OUTPUT, STATE = "chip output", "GDPU state"
"""Groups besides the layers, whose names have no space: chip outputs and GDPU states."""


@dataclass(frozen=True)
class Observed:
    """Values of a run.

    Attributes:
        outputs: int8 [n, vectors, output_length].
        tiles: of each computing tile, in the order of computation.
        states: of the GDPU, int8 and uint16 [n, units], by the step after which they were read.
        moments: times in a simulation; None without one.
        first: number of the first input, or of the first sequence.
        sequences: number of sequences in all; places name theirs if there are several.
    """

    outputs: NDArray[np.int8]
    tiles: Mapping[int, TileTrace] = field(default_factory=dict)
    states: Mapping[int, LstmState] = field(default_factory=dict)
    moments: Moments | JoinedMoments | None = None
    first: int = 0
    sequences: int = 1


def unit(program: Program) -> str:
    """The name of a program's input: an image, a vector, or a step of a sequence."""
    if program.slices:
        return "step"
    return "image" if program.input_pixels > 1 else "vector"


def counted(count: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def results_per_input(tile: TileProgram) -> int:
    """Results of a tile per input."""
    return tile.config.window.results if tile.config.window else 1


def as_recorded(
    recorded: Mapping[int, Recorded], expected: Mapping[int, TileTrace]
) -> dict[int, TileTrace]:
    """Tile recordings in the shapes of the expected values.

    A recording with more or fewer vectors keeps its shape, which counts as a mismatch.
    """
    return {
        number: TileTrace(
            _as(values.results, expected[number].results), _as(values.sent, expected[number].sent)
        )
        for number, values in recorded.items()
    }


def by_input(recorded: Mapping[int, Recorded], inputs: int) -> dict[int, TileTrace]:
    """Tile recordings, divided evenly among `inputs`.

    A recording that does not divide keeps its shape, which counts as a mismatch.
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


_MOMENT = tuple(each.name for each in fields(Moment))


@dataclass(frozen=True)
class Place:
    """Place of a value in the network, on the chip, and in a waveform.

    Attributes:
        group: name of the layer, `OUTPUT`, or `STATE`.
        kind: `result` of a tile's LDPU, `packet` that left a tile, `output` of the chip, `hidden
            state` or `cell state` of the GDPU.
        run: name of the run, where several have the same inputs; else empty.
        tile: the tile, or None.
        replicas: number of tile groups that take turns at the layer's results.
        unit: name of an input.
        sequence: its number, where there are several.
        number: of the input.
        pixel: row y and column x of the layer's feature map; None for a vector.
        column: the tile's column, the chip's output channel, or the GDPU's unit.
        moment: time on the wires, in a simulation.
    """

    group: str
    kind: str
    run: str
    unit: str
    tile: TileProgram | None = None
    replicas: int = 1
    sequence: int | None = None
    number: int | None = None
    pixel: tuple[int, int] | None = None
    column: int | None = None
    moment: Moment | None = None

    def __str__(self) -> str:
        parts = [self.run] if self.run else []
        if self.sequence is not None:
            parts.append(f"sequence {self.sequence}")
        kind, state = self.kind, self.group == STATE
        if self.tile is not None:
            block = self.tile.block
            text = f"tile {self.tile.tile} (row block {block.rows}, column block {block.columns}"
            text += f", replica {block.replica})" if self.replicas > 1 else ")"
            parts += [f"layer {self.group}", text]
        elif state:
            parts.append(f"{kind} after {self.unit} {self.number}")
        else:
            parts.append(self.group)
        if self.number is not None and not state:
            parts.append(f"{self.unit} {self.number}")
        if self.column is not None:
            if self.pixel is not None:
                parts.append(f"{kind} of pixel (y={self.pixel[0]}, x={self.pixel[1]})")
            elif self.tile is not None:
                parts.append(kind)
            parts.append(f"{'unit' if state else 'column'} {self.column}")
        if self.moment is not None:
            parts.append(f"{'GDPU slice last at work ' * state}{self.moment}")
        return ", ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """For a result file; see `caduceus.sim.result.Figures.first_mismatches`."""
        block = self.tile.block if self.tile else None
        return {
            "layer": self.group,
            "kind": self.kind,
            "run": self.run or None,
            "tile": self.tile.tile if self.tile else None,
            "row_block": block.rows if block else None,
            "column_block": block.columns if block else None,
            "replica": block.replica if block else None,
            "unit": self.unit,
            "sequence": self.sequence,
            "input": self.number,
            "pixel": dict(zip("yx", self.pixel, strict=True)) if self.pixel else None,
            "column": self.column,
            **(asdict(self.moment) if self.moment else dict.fromkeys(_MOMENT)),
        }


def scoreboard() -> Scoreboard:
    """A scoreboard that reports the earliest mismatch of each layer in simulated time."""

    def order(mismatch: Mismatch) -> float:
        moment = mismatch.place.moment
        return moment.time_ns if moment else 0

    return Scoreboard(order=order)


def compared(score: Scoreboard) -> dict[str, Any]:
    """Outcome of `compare`, with the keys of `caduceus.sim.result.Figures`."""
    groups = score.groups
    return {
        "values_compared": score.compared,
        "mismatches": score.mismatches,
        "values_by_layer": {name: each.compared for name, each in groups.items()},
        "mismatches_by_layer": {name: each.mismatches for name, each in groups.items()},
        "first_mismatch": score.first,
        "first_mismatches": [
            {
                **each.first.place.as_json(),
                "expected": each.first.expected,
                "got": each.first.got,
                "sentence": str(each.first),
            }
            for each in groups.values()
            if each.first
        ],
    }


def compare(
    program: Program,
    expected: Observed,
    got: Observed,
    score: Scoreboard,
    run: str = "",
) -> None:
    """Compare into `score`: tiles first, layer by layer in the order of `expected.tiles`.

    Args:
        program: of both runs.
        expected: of the golden model; has every part that `got` has.
        got: of the other run; with all computing tiles, or with none. Its numbering counts.
        score: collects the comparisons; groups are layers, `OUTPUT` and `STATE`.
        run: name of the run, where several have the same inputs.

    Raises:
        KeyError: the tiles of both differ, or `expected` lacks a state.
    """
    named = unit(program)
    turns = replicas(program) if got.tiles else {}
    tiles = {tile.tile: tile for tile in computing(program)}
    layers: dict[str, list[int]] = {}
    if got.tiles:
        if got.tiles.keys() != expected.tiles.keys():
            raise KeyError(f"tiles: got {sorted(got.tiles)}, expected {sorted(expected.tiles)}")
        for number in expected.tiles:
            layers.setdefault(tiles[number].block.layer, []).append(number)
    for layer, numbers in layers.items():
        for number in numbers:
            for kind in ("results", "sent"):
                wanted = getattr(expected.tiles[number], kind)
                values = _TileValues(
                    tiles[number], kind == "sent", wanted.shape[1], turns.get(layer, 1),
                    program, run, got,
                )  # fmt: skip
                score.add(wanted, getattr(got.tiles[number], kind), values.place, layer)

    def output(at: tuple[int, ...]) -> Place:
        place = Place(OUTPUT, "output", run, named, **_numbers(program, got, at))
        if len(at) < 3:
            return place
        moment = got.moments.of_output(at) if got.moments else None
        return replace(place, pixel=_output_pixel(program, at[1]), column=at[2], moment=moment)

    score.add(expected.outputs, got.outputs, output, OUTPUT)
    for step, state in got.states.items():
        for what in ("hidden", "cell"):

            def unit_of(at: tuple[int, ...], what: str = what, step: int = step) -> Place:
                moment = None
                if got.moments:
                    moment = got.moments.of_state(step, at[0], _slice_of(program, at[-1]))
                numbers = _numbers(program, got, (at[0], step))
                return Place(
                    STATE, f"{what} state", run, named, column=at[-1], moment=moment, **numbers
                )

            score.add(getattr(expected.states[step], what), getattr(state, what), unit_of, STATE)


def _numbers(program: Program, got: Observed, at: tuple[int, ...]) -> dict[str, int | None]:
    """Numbers of sequence and input in a `Place`, of the value at an index."""
    if not program.slices:
        return {"number": got.first + at[0]}
    return {"sequence": got.first + at[0] if got.sequences > 1 else None, "number": at[1]}


def _output_pixel(program: Program, vector: int) -> tuple[int, int] | None:
    """Row and column of an output vector, if the network's output is a feature map."""
    if program.output_pixels == 1 or program.output is None:
        return None
    y, x = divmod(vector, program.output.shape[1])
    return y, x


def _slice_of(program: Program, unit_number: int) -> int:
    """The program's GDPU slice that holds a unit."""
    ends = np.cumsum([each.config.units for each in program.slices])
    return int(np.searchsorted(ends, unit_number, side="right"))


@dataclass(frozen=True)
class _TileValues:
    """Computed or sent values of a tile, `per_input` vectors per input or sequence."""

    tile: TileProgram
    sent: bool
    per_input: int
    replicas: int
    program: Program
    run: str
    got: Observed

    def place(self, at: tuple[int, ...]) -> Place:
        """Place of the value at an index."""
        kind, layer = "packet" if self.sent else "result", self.tile.block.layer
        place = Place(layer, kind, self.run, unit(self.program), self.tile, self.replicas)
        if len(at) < 3:
            return place
        moments = self.got.moments
        return replace(
            place,
            pixel=self._pixel(at[1]),
            column=at[2],
            moment=moments.of_tile(self.tile, self.sent, at, self.per_input) if moments else None,
            **_numbers(self.program, self.got, at),
        )

    def _pixel(self, number: int) -> tuple[int, int] | None:
        """Row and column, in the layer's feature map, of a tile's result or packet."""
        window, pooling = self.tile.config.window, self.tile.config.pooling
        if window is None:
            return None
        if self.sent and pooling is not None:
            # Replicas take turns at pooled pixels.
            across = pooling.across * self.replicas
            return divmod(number * self.replicas + self.tile.block.replica, across)
        y, x = divmod(number, len(window.columns))
        return y, window.columns[x]
