"""A program on the golden model: no simulator, and nothing of one is imported."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from caduceus.devices.settings import Devices
from caduceus.golden.machine import Machine
from caduceus.sim.deploy import chip_of, deployed
from caduceus.sim.inputs import count, shaped
from caduceus.sim.result import Result, figures
from caduceus.spec.chip import Chip
from caduceus.spec.gdpu import LstmState
from caduceus.spec.program import Program


class Golden:
    """A program on devices, as the golden model runs it: no simulator is needed.

    >>> result = caduceus.Golden(program).run(program.sample[:2])
    >>> print(result.outputs.shape, result.outputs.dtype)
    (2, 1, 4) int8

    Attributes:
        program: with what the host corrects for the devices.
        chip, devices, state: what it runs on.
        replaced: tiles that did not get the drift factor measured on them; see `deploy.Deployed`.

    Raises:
        UserError: there is no such chip, devices are something else, or program, chip and devices
            do not fit each other.
    """

    def __init__(
        self,
        program: Program,
        devices: Devices | None = None,
        chip: Chip | None = None,
    ) -> None:
        """Draw the devices, and have them calibrated and compensated as their settings say.

        Args:
            program: what `caduceus.compile` made; on devices that hold less than ideal ones,
                compiled for them.
            devices: ideal ones if None.
            chip: the shipped one of the program's name if None.
        """
        self.devices = Devices.given(devices)
        self.chip = chip_of(program, chip)
        self._deployed = deployed(program, self.chip, self.devices)
        self.program, self.state = self._deployed.program, self._deployed.state
        self.replaced = self._deployed.replaced
        self._machine = Machine(self.program, self.chip, self.state)

    def run(
        self,
        x: NDArray[np.int8],
        *,
        initial: LstmState | None = None,
        first: int = 0,
        capture: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Result:
        """Run inputs.

        Args:
            x: int8 [n, input_pixels, input_length]; of a program with GDPU slices [n, steps,
                input_length].
            initial: GDPU states before the first step, int8 and uint16 [n, units]; 0 if None.
            first: inputs, or steps, that came before, since the devices' state was loaded: reads
                are numbered on from there.
            capture: whether to keep all that every tile computes and sends.
            progress: called now and then with the number of inputs done since the last call.

        Raises:
            UserError: inputs or states do not fit the program.
        """
        x = shaped(self.program, x)
        started = time.monotonic()
        found = self._machine.run(
            x, initial=initial, first=first, capture=capture, progress=progress
        )
        seconds = time.monotonic() - started
        inputs = count(self.program, x)
        result = Result(
            self.program, figures(self._deployed, "golden", self.devices, inputs), found.outputs,
            found.tiles, found.state,
        )  # fmt: skip
        return result.with_figures(
            golden_inputs_per_second=inputs / seconds if seconds else None,
            wall_seconds=seconds,
        )
