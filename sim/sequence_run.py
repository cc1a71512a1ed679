"""A sequence through a recurrent program on a chip in RTL, every value against golden."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from driver.chip import ChipHost
from golden.chip import Sequences
from sim.chip_player import ChipPlayer, Played
from sim.scoreboard import Comparisons
from spec.program import ChipProgram


class SequenceRun:
    """A program on a loaded chip, a sequence of input vectors, and what is expected of it.

    Attributes:
        comparison: of all that was compared.
        played: what the player recorded, in order.
    """

    def __init__(
        self,
        host: ChipHost,
        player: ChipPlayer,
        program: ChipProgram,
        x: NDArray[np.int8],
        expected: tuple[Sequences, Sequences],
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """The sequence goes through twice: `expected` of either time; `progress` is told steps."""
        self._host, self._player, self._program, self._x = host, player, program, x
        self._expected, self._progress = expected, progress or (lambda done: None)
        self.comparison = Comparisons()
        self.played: list[Played] = []

    async def step_by_step(self) -> None:
        """Every step by itself, with its state compared after it."""
        await self._host.begin(self._program, len(self._x))
        for t in range(len(self._x)):
            played = await self._player.play(self._x[t : t + 1])
            self.played.append(played)
            self._compare_outputs(0, t, played)
            await self._compare_state(0, t)
            self._progress(t + 1)

    async def at_full_speed(self) -> None:
        """All steps as fast as they go, stopped in the middle and taken up again."""
        middle = len(self._x) // 2
        state = None
        for start, end in ((0, middle), (middle, len(self._x))):
            if start == end:
                continue
            await self._host.begin(self._program, end - start, state)
            done = len(self._x) + start
            played = await self._player.play(
                self._x[start:end], lambda more, done=done: self._progress(done + more)
            )
            self.played.append(played)
            self._compare_outputs(1, start, played)
            await self._compare_state(1, end - 1)
            state = await self._host.state(self._program)

    def _compare_outputs(self, time_: int, start: int, played: Played) -> None:
        expected = self._expected[time_].outputs[0, start : start + len(played.outputs)]
        name = ("step by step", "at full speed")[time_]
        self.comparison.add(
            expected, played.outputs, lambda at: f"{name}, step {start + at[0]}, output {at[1:]}"
        )

    async def _compare_state(self, time_: int, t: int) -> None:
        state = await self._host.state(self._program)
        for what in ("hidden", "cell"):
            expected = getattr(self._expected[time_], what)[:, t]
            self.comparison.add(
                expected, getattr(state, what),
                lambda at, what=what: f"{what} state after step {t}, unit {at[1:]}",
            )  # fmt: skip
