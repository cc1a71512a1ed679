"""Schedules of inputs through a chip in RTL: back to back, or as sequences that run twice."""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from caduceus.sim.sequence_run import SequenceRun
from caduceus.sim.share import ALL, Share
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
        gaps: from each input to the next, back to back.
    """

    latency: list[int]
    latency_with_input: list[int]
    latency_of_state: list[int] = field(default_factory=list)
    latency_of_states: list[int] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)


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
        counted: total of each progress bar, by name.
        golden_inputs: number of inputs that `expect` has computed.
    """

    counted: Mapping[str, int]

    def __init__(
        self, program: Program, chip: Chip, x: NDArray[np.int8], share: Share = ALL
    ) -> None:
        self._program, self._chip, self._x, self._share = program, chip, x, share
        self.golden_inputs = 0

    @property
    @abstractmethod
    def _runs_played(self) -> Sequence[tuple[list[Played], dict[int, LstmState]]]:
        """By run, what it played, and the states that it read, by step."""

    @property
    def played(self) -> list[Played]:
        """Recordings of the player, in order."""
        return [each for played, _ in self._runs_played for each in played]

    @abstractmethod
    def expect(self, machine: Machine, progress: Progress | None = None) -> None:
        """Compute the inputs on the golden model, with capture of all tiles."""

    def save(self, path: Path) -> None:
        """Write what was played, for the process that compares it."""
        path.write_bytes(pickle.dumps(self._runs_played))

    def restore(self, path: Path) -> None:
        """Read what `save` wrote in a schedule of the same inputs."""
        found = pickle.loads(path.read_bytes())
        for mine, saved in zip(self._runs_played, found, strict=True):
            mine[0][:] = saved[0]
            mine[1].update(saved[1])

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
    """Images or vectors, back to back; `x` has those of the share."""

    def __init__(
        self, program: Program, chip: Chip, x: NDArray[np.int8], share: Share = ALL
    ) -> None:
        super().__init__(program, chip, x, share)
        self._many = f"{unit(program)}s"
        self._slowest, self._replicas = busiest(program)
        # Progress inside the chip costs register accesses: use it only where an input takes long.
        self._looks_inside = results_per_input(self._slowest) > 1
        self.counted = {self._many: len(x)}
        if self._looks_inside:
            pixels = len(x) * results_per_input(self._slowest) * self._replicas
            self.counted = {"pixels": pixels, **self.counted}
        self._expected: Outcome | None = None
        self._played: list[Played] = []

    @property
    def _runs_played(self) -> Sequence[tuple[list[Played], dict[int, LstmState]]]:
        return [(self._played, {})]

    def expect(self, machine: Machine, progress: Progress | None = None) -> None:
        """As `Schedule.expect`."""
        self._expected = machine.run(
            self._x, first=self._share.first, capture=True, progress=progress
        )
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
        self._played.append(played)

    def observed(
        self, recorded: Mapping[int, Recorded]
    ) -> Sequence[tuple[str, Observed, Observed]]:
        """As `Schedule.observed`."""
        expected = self._expected
        tiles = as_recorded(recorded, expected.tiles)
        got = Observed(self.outputs, tiles, moments=self.moments(recorded), first=self._share.first)
        return [("", Observed(expected.outputs, expected.tiles), got)]

    def moments(self, recorded: Mapping[int, Recorded]) -> Moments:
        """As `Schedule.moments`."""
        (played,) = self.played
        clocks = played.clocks.reshape(self.outputs.shape)
        return Moments(self._chip, replace(played.clock, job=self._share.job), clocks, recorded)

    def timing(self) -> Timing:
        """As `Schedule.timing`."""
        (played,) = self.played
        ends = played.ends[self._program.output_pixels - 1 :: self._program.output_pixels]
        return Timing(
            latency=[ends[0] - played.fed],
            latency_with_input=[ends[0] - played.began],
            gaps=np.diff(ends).tolist(),
        )

    @property
    def outputs(self) -> NDArray[np.int8]:
        """As `Schedule.outputs`."""
        shape = len(self._x), self._program.output_pixels, self._program.output_length
        return self.played[0].outputs.reshape(shape)


class Twice(Schedule):
    """Sequences, twice.

    First one after another step by step, reading the state after each step; then one after another
    at full speed, stopped in the middle to read, clear and load the state again. Read numbers
    continue from run to run. A share is some of these runs, in this order; `x` has all sequences.
    """

    PASSES = "step by step", "at full speed"

    def __init__(
        self, program: Program, chip: Chip, x: NDArray[np.int8], share: Share = ALL
    ) -> None:
        super().__init__(program, chip, x, share)
        end = 2 * len(x) if share.count is None else share.first + share.count
        self._runs = [
            SequenceRun(program, x[number % len(x)], number % len(x), number >= len(x))
            for number in range(share.first, end)
        ]
        self.counted = {"steps": len(self._runs) * x.shape[1]}
        self._expected: dict[int, Outcome] = {}

    @property
    def _runs_played(self) -> Sequence[tuple[list[Played], dict[int, LstmState]]]:
        return [(run.played, run.states) for run in self._runs]

    def expect(self, machine: Machine, progress: Progress | None = None) -> None:
        """As `Schedule.expect`."""
        count, steps, _ = self._x.shape
        for number in range(len(self.PASSES)):
            numbers = [run.sequence for run in self._pass(number)]
            if numbers:
                reads = (number * count + numbers[0]) * steps
                x = self._x[numbers[0] : numbers[-1] + 1]
                self._expected[number] = machine.run(
                    x, first=reads, capture=True, progress=progress
                )
        self.golden_inputs = len(self._runs) * steps

    async def play(self, host: ChipHost, player: "ChipPlayer", tell: Tell) -> None:
        """As `Schedule.play`."""
        for number, run in enumerate(self._runs):
            before = number * self._x.shape[1]
            await run.play(host, player, lambda done, before=before: tell({"steps": before + done}))

    def observed(
        self, recorded: Mapping[int, Recorded]
    ) -> Sequence[tuple[str, Observed, Observed]]:
        """As `Schedule.observed`."""
        found = []
        for number, name in enumerate(self.PASSES):
            runs, expected = self._pass(number), self._expected.get(number)
            if expected is None:
                continue
            tiles = {
                tile: TileTrace(
                    *(self._vectors(values, number) for values in (each.results, each.sent))
                )
                for tile, each in recorded.items()
            }
            wanted = {
                step: LstmState(expected.hidden[:, step], expected.cell[:, step])
                for step in runs[0].states
            }
            got = Observed(
                self._outputs(number),
                tiles,
                {step: self._state(number, step) for step in wanted},
                self._moments(number, recorded),
                runs[0].sequence,
                len(self._x),
            )
            found.append((name, Observed(expected.outputs, expected.tiles, wanted), got))
        return found

    def moments(self, recorded: Mapping[int, Recorded]) -> Moments:
        """As `Schedule.moments`, of the single steps."""
        return self._moments(0, recorded)

    def timing(self) -> Timing:
        """As `Schedule.timing`."""
        steps = [played for run in self._pass(0) for played in run.played]
        answered = [
            [played.answered[each.slice] - played.fed for each in self._program.slices]
            for played in steps
        ]
        return Timing(
            latency=[played.ends[0] - played.fed for played in steps],
            latency_with_input=[played.ends[0] - played.began for played in steps],
            latency_of_state=[min(each) for each in answered],
            latency_of_states=[max(each) for each in answered],
            # The first step of each half finds the chip at rest.
            gaps=[
                int(gap)
                for run in self._pass(1)
                for half in run.played
                for gap in np.diff(half.ends)[1:]
            ],
        )

    @property
    def outputs(self) -> NDArray[np.int8]:
        """Outputs of the single steps: their reads are numbered from 0, as in any first run."""
        return self._outputs(0)

    @property
    def state(self) -> LstmState:
        """State of each sequence after the last of the single steps."""
        return self._state(0, self._x.shape[1] - 1)

    def _pass(self, number: int) -> list[SequenceRun]:
        return [run for run in self._runs if run.at_full_speed == (number == 1)]

    def _outputs(self, number: int) -> NDArray[np.int8]:
        shape = -1, self._x.shape[1], self._program.output_length
        found = [run.outputs for run in self._pass(number)]
        return np.array(found, np.int8).reshape(shape)

    def _state(self, number: int, step: int) -> LstmState:
        """State of each sequence of a pass after a step."""
        units = sum(each.config.units for each in self._program.slices)
        nothing = LstmState(np.zeros((0, units), np.int8), np.zeros((0, units), np.uint16))
        found = [nothing, *(run.states[step] for run in self._pass(number))]
        return LstmState(
            np.concatenate([each.hidden for each in found]),
            np.concatenate([each.cell for each in found]),
        )

    def _vectors(self, values: NDArray, number: int) -> NDArray:
        """A tile's vectors in a pass, [sequences, steps, columns]; a surplus is of the last pass.

        Another number of vectors keeps its shape, which counts as a mismatch.
        """
        runs, steps = self._pass(number), self._x.shape[1]
        start = self._before(number)
        last = runs[-1] is self._runs[-1]
        found = values[start:] if last else values[start : start + len(runs) * steps]
        fits = len(found) == len(runs) * steps
        return found.reshape(len(runs), steps, -1) if fits else found

    def _before(self, number: int) -> int:
        """Vectors that a tile recorded before a pass."""
        return len(self._pass(0)) * self._x.shape[1] if number else 0

    def _moments(self, number: int, recorded: Mapping[int, Recorded]) -> Moments:
        """Moments of one pass."""
        runs = self._pass(number)
        clock = replace(self.played[0].clock, job=self._share.job)
        shape = -1, self._x.shape[1], self._program.output_length
        clocks = np.array([run.clocks for run in runs], np.int64).reshape(shape)
        answered = [run.answered for run in runs]
        states = {step: [each[step] for each in answered] for step in (answered or [{}])[0]}
        return Moments(self._chip, clock, clocks, recorded, self._before(number), states)


def schedule(program: Program, chip: Chip, x: NDArray[np.int8], share: Share = ALL) -> Schedule:
    """The schedule for inputs of `program`.

    Args:
        program: the program.
        chip: the chip description.
        x: int8 [n, input_pixels, input_length], the share's; of a program with GDPU slices [n,
            steps, input_length], all.
        share: what this process does of it.
    """
    return (Twice if program.slices else BackToBack)(program, chip, x, share)
