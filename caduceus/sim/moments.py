"""Simulated times of values on the wires, to find them in a waveform."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from caduceus.sim.recording import Recorded
from caduceus.spec.chip import Chip
from caduceus.spec.program import TileProgram


@dataclass(frozen=True)
class Moment:
    """A rising edge of `sync`, the one that takes a value.

    Attributes:
        time_ns: simulated time since the simulation began.
        clock: number of the edge, from 0: what the harness's `aclk_cycles` shows before it.
        job: number of the simulation, where several processes simulate.
    """

    time_ns: float
    clock: int
    job: int | None = None

    def __str__(self) -> str:
        where = "" if self.job is None else f" of job {self.job}"
        return f"at {self.time_ns:.3f} ns (sync clock {self.clock}{where})"


@dataclass(frozen=True)
class SyncClock:
    """The rising edges of `sync`: number 0 at `origin_ps`, then one every `period_ps`.

    Attributes:
        job: number of the simulation, where several processes simulate.
    """

    origin_ps: int
    period_ps: int
    job: int | None = None

    def edge(self, number: int) -> Moment:
        """The edge of that number."""
        return Moment((self.origin_ps + number * self.period_ps) / 1e3, number, self.job)

    def at(self, time_ps: int) -> Moment:
        """The edge at that time."""
        number = round((time_ps - self.origin_ps) / self.period_ps)
        return Moment(time_ps / 1e3, number, self.job)


@dataclass(frozen=True)
class Moments:
    """Simulated times of a run's values on the chip's wires.

    Attributes:
        chip: its lanes and links give the number of values per beat.
        clock: its `sync`.
        outputs: edge of each value that left the chip, int64 [n, vectors, output_length].
        tiles: what every tile recorded, with times.
        first: number of vectors that the tiles recorded before this run.
        states: by step, for each sequence and GDPU slice, in the program's order, the edge at which
            the slice was last awake.
    """

    chip: Chip
    clock: SyncClock
    outputs: NDArray[np.int64]
    tiles: Mapping[int, Recorded] = field(default_factory=dict)
    first: int = 0
    states: Mapping[int, Sequence[Sequence[int]]] = field(default_factory=dict)

    def of_tile(
        self, tile: TileProgram, sent: bool, at: tuple[int, int, int], per_input: int
    ) -> Moment | None:
        """Time of a value at the LDPU's output, or in a packet of the tile; None if unknown.

        Args:
            tile: the tile.
            sent: whether the value is in a packet.
            at: input or sequence, vector of it, and column.
            per_input: the tile's vectors per input or sequence.
        """
        number, vector, column = at
        recorded = self.tiles.get(tile.tile)
        if recorded is None:
            return None
        beat = column // self.chip.ldpu.lanes
        if sent:
            beat = column * (2 if tile.config.tx_binary16 else 1) // self.chip.link.units
        time_ps = recorded.time_ps(sent, self.first + number * per_input + vector, beat)
        return None if time_ps is None else self.clock.at(time_ps)

    def of_output(self, at: tuple[int, ...]) -> Moment:
        """Time at which a value left the chip: index as of `outputs`."""
        return self.clock.edge(int(self.outputs[at]))

    def of_state(self, step: int, sequence: int, index: int) -> Moment | None:
        """Time at which GDPU slice number `index` of the program ended a step; None if unknown."""
        if step not in self.states:
            return None
        return self.clock.edge(self.states[step][sequence][index])


@dataclass(frozen=True)
class JoinedMoments:
    """Moments of several simulations; indices count their inputs, or sequences, one after another.

    Attributes:
        parts: of each simulation, the number of its inputs or sequences, and their moments.
    """

    parts: Sequence[tuple[int, Moments]]

    def of_tile(
        self, tile: TileProgram, sent: bool, at: tuple[int, int, int], per_input: int
    ) -> Moment | None:
        """As `Moments.of_tile`."""
        moments, number = self._part(at[0])
        return moments.of_tile(tile, sent, (number, *at[1:]), per_input)

    def of_output(self, at: tuple[int, ...]) -> Moment:
        """As `Moments.of_output`."""
        moments, number = self._part(at[0])
        return moments.of_output((number, *at[1:]))

    def of_state(self, step: int, sequence: int, index: int) -> Moment | None:
        """As `Moments.of_state`."""
        moments, number = self._part(sequence)
        return moments.of_state(step, number, index)

    def _part(self, number: int) -> tuple[Moments, int]:
        """The simulation of an input or sequence, and its number there."""
        for count, moments in self.parts:
            if number < count:
                return moments, number
            number -= count
        raise IndexError(number)
