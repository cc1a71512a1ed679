"""One run of a sequence through a chip in RTL: step by step, or at full speed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caduceus.host.chip import ChipHost
from caduceus.sim.played import Played
from caduceus.spec.gdpu import LstmState
from caduceus.spec.program import Program

if TYPE_CHECKING:
    from caduceus.sim.chip_player import ChipPlayer  # Imports cocotb.


@dataclass
class SequenceRun:
    """One run of a sequence.

    Attributes:
        program: of the run.
        steps: int8 [steps, input_length].
        sequence: its number.
        at_full_speed: whether it runs so, or step by step.
        played: recordings of the player, in order.
        states: by step, the state of the GDPU after it, where it was read.
    """

    program: Program
    steps: NDArray[np.int8]
    sequence: int
    at_full_speed: bool
    played: list[Played] = field(default_factory=list)
    states: dict[int, LstmState] = field(default_factory=dict)

    async def play(self, host: ChipHost, player: "ChipPlayer", tell: Callable[[int], None]) -> None:
        """Run the steps; `tell` is called with the number of those done."""
        if self.at_full_speed:
            await self._at_full_speed(host, player, tell)
        else:
            await self._step_by_step(host, player, tell)

    async def _step_by_step(
        self, host: ChipHost, player: "ChipPlayer", tell: Callable[[int], None]
    ) -> None:
        """Run every step alone, and read its state."""
        await host.begin(self.program, len(self.steps))
        for t in range(len(self.steps)):
            self.played.append(await player.play(self.steps[t : t + 1]))
            self.states[t] = await host.state(self.program)
            tell(t + 1)

    async def _at_full_speed(
        self, host: ChipHost, player: "ChipPlayer", tell: Callable[[int], None]
    ) -> None:
        """Run all steps at full speed, with a stop and a restart in the middle."""
        count = len(self.steps)
        middle, state = count // 2, None
        for start, end in ((0, middle), (middle, count)):
            if start == end:
                continue
            await host.begin(self.program, end - start, state)
            self.played.append(
                await player.play(
                    self.steps[start:end], lambda more, start=start: tell(start + more)
                )
            )
            self.states[end - 1] = await host.state(self.program)
            # The state to load comes from its own readout, as of a host that stops here.
            state = await host.state(self.program)
        tell(count)

    @property
    def outputs(self) -> NDArray[np.int8]:
        """int8 [steps, output_length]."""
        return np.concatenate([each.outputs for each in self.played])

    @property
    def clocks(self) -> NDArray[np.int64]:
        """Clock in which each output value left, int64 [steps, output_length]."""
        return np.concatenate([each.clocks for each in self.played])

    @property
    def answered(self) -> dict[int, list[int]]:
        """By step after which the state was read, the clock in which each slice was last awake."""
        found, step = {}, -1
        for each in self.played:
            step += len(each.outputs)
            found[step] = [each.answered[one.slice] for one in self.program.slices]
        return found
