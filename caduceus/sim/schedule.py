"""Schedules of inputs through a chip in RTL: back to back, or as a sequence that runs twice."""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.machine import Machine, Outcome, Progress, TileTrace
from caduceus.host.chip import ChipHost
from caduceus.sim.comparison import Observed, as_recorded, results_per_input, unit
from caduceus.sim.moments import Moments
from caduceus.sim.played import LOOK_EVERY_CLOCKS, PATIENCE, Played
from caduceus.sim.recording import Recorded
from caduceus.spec.chip import Chip
from caduceus.spec.fabric import PAYLOAD_MAX
from caduceus.spec.formats import ReadMode
from caduceus.spec.gdpu import LstmState
from caduceus.spec.program import Program, TileProgram
from caduceus.spec.program_codes import computing

if TYPE_CHECKING:
    from caduceus.sim.chip_player import ChipPlayer  # Imports cocotb.

Tell = Callable[[Mapping[str, int]], None]
"""Called with the number done of every count."""


@dataclass(frozen=True)
class Timing:
    """Latencies and period of a run, in clocks of `sync`.

    Attributes:
        latency: from the last input value of an input to its last output value, with the chip
            otherwise idle: of the first input, or of every step of a sequence.
        latency_with_input: from the first input value to the last output value.
        latency_of_state: from the last input value until the first GDPU slice has sent its hidden
            units; latency_of_states: until all have. The slices send one after another.
        period: from input to input, back to back; None for a single input.
    """

    latency: list[int]
    latency_with_input: list[int]
    latency_of_state: list[int] = field(default_factory=list)
    latency_of_states: list[int] = field(default_factory=list)
    period: float | None = None


def busiest(program: Program) -> tuple[TileProgram, int]:
    """The tile with the most results per input, and the number of tiles that share its layer.

    Progress counts the pixels of this layer's results.
    """
    tiles = computing(program)
    found = max(tiles, key=results_per_input)
    return found, 1 + max(t.block.replica for t in tiles if t.block.layer == found.block.layer)


def clocks_per_result(tile: TileProgram, chip: Chip) -> int:
    """Upper bound on the `sync` clocks per result, without back-pressure."""
    mvm = chip.mvm.overhead_4phase + 128
    mvm = 4 * mvm if tile.config.read_mode is ReadMode.FOUR_PHASE else mvm + 128
    ratio = chip.clocks.sync_mhz / chip.clocks.mvm_mhz
    return round(mvm * ratio) + 4 * (chip.array.rows + chip.array.columns)


def clocks_per_input(tile: TileProgram, chip: Chip) -> int:
    """Upper bound on the `sync` clocks in which a tile takes an input and makes its results."""
    window = tile.config.window
    taken = window.pixels * window.packets * (1 + PAYLOAD_MAX // chip.link.units) if window else 0
    return taken + results_per_input(tile) * clocks_per_result(tile, chip)


def clocks_to_the_end(program: Program, chip: Chip) -> int:
    """Upper bound on the `sync` clocks for the rest of an input, after its last output.

    Strides and pooling windows leave rows over that no output needs. These are sent and computed as
    all others are. The rest is less than one input, in one layer after the other.
    """
    layers = {tile.block.layer: tile for tile in computing(program)}
    return sum(clocks_per_input(tile, chip) for tile in layers.values())


class Schedule(ABC):
    """Inputs of a program, their playback, and their expected values.

    Attributes:
        played: recordings of the player, in order.
        states: of the GDPU, by run and step; empty without slices.
        counted: total of each progress bar, by name.
        golden_inputs: number of inputs that `expect` has computed.
    """

    counted: Mapping[str, int]

    def __init__(self, program: Program, chip: Chip, x: NDArray[np.int8]) -> None:
        self._program, self._chip, self._x = program, chip, x
        self.played: list[Played] = []
        self.states: Sequence[dict[int, LstmState]] = ()
        self.golden_inputs = 0

    @abstractmethod
    def expect(self, machine: Machine, progress: Progress | None = None) -> None:
        """Compute the inputs on the golden model, with capture of all tiles."""

    def save(self, path: Path) -> None:
        """Write what was played, for the process that compares it."""
        path.write_bytes(pickle.dumps((self.played, self.states)))

    def restore(self, path: Path) -> None:
        """Read what `save` wrote in a schedule of the same inputs."""
        self.played, self.states = pickle.loads(path.read_bytes())

    @abstractmethod
    async def play(self, host: ChipHost, player: "ChipPlayer", tell: Tell) -> None:
        """Send all inputs, and read the state if there is one."""

    @abstractmethod
    def observed(
        self, recorded: Mapping[int, Recorded]
    ) -> Sequence[tuple[str, Observed, Observed]]:
        """The comparisons: name of the run, expected values, and the RTL's values.

        Args:
            recorded: recording of every computing tile.
        """

    @abstractmethod
    def moments(self, recorded: Mapping[int, Recorded]) -> Moments:
        """Simulated times of `outputs`, `state` and tile values on the wires.

        Args:
            recorded: recording of every computing tile.
        """

    @abstractmethod
    def timing(self) -> Timing:
        """Latencies and period of the played inputs."""

    @property
    @abstractmethod
    def outputs(self) -> NDArray[np.int8]:
        """int8 [n, vectors, output_length], in order of arrival."""

    @property
    def state(self) -> LstmState | None:
        """Final state of the GDPU."""
        return None


class BackToBack(Schedule):
    """Images or vectors, back to back."""

    def __init__(self, program: Program, chip: Chip, x: NDArray[np.int8]) -> None:
        super().__init__(program, chip, x)
        self._many = f"{unit(program)}s"
        self._slowest, self._replicas = busiest(program)
        # Progress inside the chip costs register accesses: use it only where an input takes long.
        self._looks_inside = results_per_input(self._slowest) > 1
        self.counted = {self._many: len(x)}
        if self._looks_inside:
            pixels = len(x) * results_per_input(self._slowest) * self._replicas
            self.counted = {"pixels": pixels, **self.counted}
        self._expected: Outcome | None = None

    def expect(self, machine: Machine, progress: Progress | None = None) -> None:
        """As `Schedule.expect`."""
        self._expected = machine.run(self._x, capture=True, progress=progress)
        self.golden_inputs = len(self._x)

    async def play(self, host: ChipHost, player: "ChipPlayer", tell: Tell) -> None:
        """As `Schedule.play`."""
        program, count = self._program, len(self._x)

        async def look() -> int:
            return await host.tiles[self._slowest.tile].read("VECTORS_IN")

        def progress(done: int) -> None:
            ended = player.recorded * count // player.expected
            inside = {"pixels": done * self._replicas} if self._looks_inside else {}
            tell({**inside, self._many: ended})

        # The first result of a layer needs rows of the layer before.
        longest = 2 * clocks_per_input(self._slowest, self._chip) // LOOK_EVERY_CLOCKS
        played = await player.play(
            self._x.reshape(-1, program.input_length),
            progress,
            outputs=count * program.output_pixels,
            count=look if self._looks_inside else None,
            patience=PATIENCE + longest,
        )
        progress(count * results_per_input(self._slowest))
        self.played.append(played)

    def observed(
        self, recorded: Mapping[int, Recorded]
    ) -> Sequence[tuple[str, Observed, Observed]]:
        """As `Schedule.observed`."""
        expected = self._expected
        tiles = as_recorded(recorded, expected.tiles)
        got = Observed(self.outputs, tiles, moments=self.moments(recorded))
        return [("", Observed(expected.outputs, expected.tiles), got)]

    def moments(self, recorded: Mapping[int, Recorded]) -> Moments:
        """As `Schedule.moments`."""
        (played,) = self.played
        clocks = played.clocks.reshape(self.outputs.shape)
        return Moments(self._chip, played.clock, clocks, recorded)

    def timing(self) -> Timing:
        """As `Schedule.timing`."""
        (played,) = self.played
        ends = played.ends[self._program.output_pixels - 1 :: self._program.output_pixels]
        more = len(ends) - 1
        return Timing(
            latency=[ends[0] - played.fed],
            latency_with_input=[ends[0] - played.began],
            period=(ends[-1] - ends[0]) / more if more else None,
        )

    @property
    def outputs(self) -> NDArray[np.int8]:
        """As `Schedule.outputs`."""
        shape = len(self._x), self._program.output_pixels, self._program.output_length
        return self.played[0].outputs.reshape(shape)


class Twice(Schedule):
    """One sequence, twice.

    First step by step, reading the state after each step; then at full speed, stopped in the
    middle to read, clear and load the state again. Read numbers continue.
    """

    PASSES = "step by step", "at full speed"

    def __init__(self, program: Program, chip: Chip, x: NDArray[np.int8]) -> None:
        super().__init__(program, chip, x)
        (self._steps,) = x
        self.counted = {"steps": 2 * len(self._steps)}
        self._expected: list[Outcome] = []
        self.states = {}, {}

    def expect(self, machine: Machine, progress: Progress | None = None) -> None:
        """As `Schedule.expect`."""
        count = len(self._steps)
        self._expected = [
            machine.run(self._x, first=first, capture=True, progress=progress)
            for first in (0, count)
        ]
        self.golden_inputs = 2 * count

    async def play(self, host: ChipHost, player: "ChipPlayer", tell: Tell) -> None:
        """As `Schedule.play`."""
        await self.step_by_step(host, player, tell)
        await self.at_full_speed(host, player, tell)

    async def step_by_step(self, host: ChipHost, player: "ChipPlayer", tell: Tell) -> None:
        """Run every step alone, and read its state."""
        await host.begin(self._program, len(self._steps))
        for t in range(len(self._steps)):
            self.played.append(await player.play(self._steps[t : t + 1]))
            self.states[0][t] = await host.state(self._program)
            tell({"steps": t + 1})

    async def at_full_speed(self, host: ChipHost, player: "ChipPlayer", tell: Tell) -> None:
        """Run all steps at full speed, with a stop and a restart in the middle."""
        count = len(self._steps)
        middle, state = count // 2, None
        for start, end in ((0, middle), (middle, count)):
            if start == end:
                continue
            await host.begin(self._program, end - start, state)
            played = await player.play(
                self._steps[start:end],
                lambda more, start=start: tell({"steps": count + start + more}),
            )
            self.played.append(played)
            self.states[1][end - 1] = await host.state(self._program)
            # The state to load comes from its own readout, as of a host that stops here.
            state = await host.state(self._program)
        tell({"steps": 2 * count})

    def observed(
        self, recorded: Mapping[int, Recorded]
    ) -> Sequence[tuple[str, Observed, Observed]]:
        """As `Schedule.observed`."""
        count, found = len(self._steps), []
        for number, name in enumerate(self.PASSES):
            expected, states = self._expected[number], self.states[number]
            tiles = {
                tile: TileTrace(
                    *(_half(values, number, count) for values in (each.results, each.sent))
                )
                for tile, each in recorded.items()
            }
            wanted = {
                step: LstmState(expected.hidden[:, step], expected.cell[:, step]) for step in states
            }
            found.append(
                (
                    name,
                    Observed(expected.outputs, expected.tiles, wanted),
                    Observed(self._outputs(number), tiles, states, self._moments(number, recorded)),
                )
            )
        return found

    def moments(self, recorded: Mapping[int, Recorded]) -> Moments:
        """As `Schedule.moments`."""
        return self._moments(0, recorded)

    def _moments(self, number: int, recorded: Mapping[int, Recorded]) -> Moments:
        """Comparisons of one pass."""
        played, states, step = self._passes(number), {}, -1
        for each in played:
            step += len(each.outputs)
            states[step] = [each.answered[one.slice] for one in self._program.slices]
        clocks = np.concatenate([each.clocks for each in played])[np.newaxis]
        first = number * len(self._steps)
        return Moments(self._chip, played[0].clock, clocks, recorded, first, states)

    def timing(self) -> Timing:
        """As `Schedule.timing`."""
        count = len(self._steps)
        steps, halves = self.played[:count], self.played[count:]
        answered = [
            [played.answered[each.slice] - played.fed for each in self._program.slices]
            for played in steps
        ]
        # The first step of each half finds the chip at rest.
        gaps = [int(gap) for half in halves for gap in np.diff(half.ends)[1:]]
        return Timing(
            latency=[played.ends[0] - played.fed for played in steps],
            latency_with_input=[played.ends[0] - played.began for played in steps],
            latency_of_state=[min(each) for each in answered],
            latency_of_states=[max(each) for each in answered],
            period=float(np.median(gaps)) if gaps else None,
        )

    def _passes(self, number: int) -> list[Played]:
        count = len(self._steps)
        return self.played[:count] if number == 0 else self.played[count:]

    def _outputs(self, number: int) -> NDArray[np.int8]:
        return np.concatenate([each.outputs for each in self._passes(number)])[np.newaxis]

    @property
    def outputs(self) -> NDArray[np.int8]:
        """Outputs of the single steps: their reads are numbered from 0, as in any first run."""
        return self._outputs(0)

    @property
    def state(self) -> LstmState:
        """State after the last of the single steps."""
        return self.states[0][len(self._steps) - 1]


def schedule(program: Program, chip: Chip, x: NDArray[np.int8]) -> Schedule:
    """The schedule for inputs of `program`.

    Args:
        program: the program.
        chip: the chip description.
        x: int8 [n, input_pixels, input_length]; of a program with GDPU slices [1, steps,
            input_length].
    """
    return (Twice if program.slices else BackToBack)(program, chip, x)


def _half(values: NDArray, number: int, count: int) -> NDArray:
    """Vectors of one pass, [1, steps, columns]; any surplus belongs to the second pass."""
    return (values[:count] if number == 0 else values[count:])[np.newaxis]
