"""A program on the golden model; needs no simulator and imports none."""

import time
from collections.abc import Callable

from numpy.typing import ArrayLike

from caduceus.devices.settings import Devices
from caduceus.golden.machine import Machine
from caduceus.sim.deploy import chip_of, deployed
from caduceus.sim.inputs import count, shaped
from caduceus.sim.result import Result, figures
from caduceus.spec.chip import Chip
from caduceus.spec.gdpu import LstmState
from caduceus.spec.program import Program


class Golden:
    """A program on devices, run by the golden model: needs no simulator.

    >>> result = caduceus.Golden(program).run(program.sample[:2])
    >>> print(result.outputs.shape, result.outputs.dtype)
    (2, 1, 4) int8

    Attributes:
        program: with the host's corrections for the devices.
        chip, devices, state: the chip, its devices and their PCM state.
        replaced: tiles whose measured drift factor was replaced; see `deploy.Deployed`.

    Raises:
        UserError: the chip is unknown, `devices` is no device model, or program, chip and devices
            do not match.
    """

    def __init__(
        self,
        program: Program,
        devices: Devices | None = None,
        chip: Chip | None = None,
    ) -> None:
        """Draw the devices; calibrate and compensate them as their settings say.

        Args:
            program: from `caduceus.compile`; for devices with a smaller range than ideal ones,
                compiled for them.
            devices: ideal ones if None.
            chip: the shipped chip that the program names if None.
        """
        self.devices = Devices.given(devices)
        self.chip = chip_of(program, chip)
        self._deployed = deployed(program, self.chip, self.devices)
        self.program, self.state = self._deployed.program, self._deployed.state
        self.replaced = self._deployed.replaced
        self._machine = Machine(self.program, self.chip, self.state)

    def run(
        self,
        x: ArrayLike,
        *,
        initial: LstmState | None = None,
        first: int = 0,
        capture: bool = False,
        progress: Callable[[int], None] | None = None,
        threads: int | None = None,
    ) -> Result:
        """Run inputs.

        Args:
            x: int8 [n, input_pixels, input_length]; of a program with GDPU slices [n, steps,
                input_length]. Or the user's own: floating-point numbers, uint8 images, or integers
                [n, steps] of an embedding, as `caduceus.host.real_values.to_int8` takes them.
            initial: GDPU states before the first step, int8 and uint16 [n, units]; 0 if None.
            first: number of inputs, or steps, since the devices' state was loaded: reads are
                numbered from there.
            capture: whether to keep all computed and sent values of every tile.
            progress: called now and then with the number of inputs done since the last call, by one
                thread at a time.
            threads: threads that compute, each other inputs: results are the same with any number.
                If None, the variable OMP_NUM_THREADS, or the number of cores.

        Raises:
            UserError: inputs or states do not fit the program; `threads` is below 1.
        """
        x = shaped(self.program, x)
        started = time.monotonic()
        found = self._machine.run(
            x, initial=initial, first=first, capture=capture, progress=progress, threads=threads
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
