"""A program on a chip that is driven over a port: a board, or whatever stands for one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from caduceus.devices.settings import Devices
from caduceus.host.session import Session
from caduceus.sim.deploy import deployed
from caduceus.sim.inputs import count, one_sequence
from caduceus.sim.result import Result, figures
from caduceus.spec import chip as chip_description
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.host_port import HostPort, finish
from caduceus.spec.program import Program


class Board:
    """A program on devices, on the chip at a port.

    Attributes:
        program: with what the host corrects for the devices.
        chip, devices, state: what it runs on.

    Raises:
        UserError: there is no such chip, or program, chip and devices do not fit each other.
    """

    def __init__(
        self,
        program: Program,
        port: HostPort,
        devices: Devices | None = None,
        *,
        name: str = "board",
        chip: Chip | None = None,
        console: Console | None = None,
    ) -> None:
        """Take a port, which `caduceus.sim.run_target.opened` opens.

        Args:
            program: what the compiler made.
            port: registers, packets and reset of the chip.
            devices: which are written to the board's arrays; ideal ones if None.
            name: of the board, for the result.
            chip: that of the program's name if None.
            console: where progress goes; nowhere if None.
        """
        self.devices = devices or Devices.ideal()
        self.chip = chip or chip_description.find(program.chip)
        self.program, self.state = deployed(program, self.chip, self.devices)
        self._port, self._name = port, name
        self._console = console or Console(quiet=True)

    def run(self, x: NDArray[np.int8]) -> Result:
        """Load the program, run inputs, and read the state that there is in the end.

        Args:
            x: int8 [n, input_pixels, input_length]; of a program with GDPU slices [1, steps,
                input_length].

        Raises:
            UserError: inputs do not fit, the chip cannot be driven, it stopped, it sent what the
                program does not, or an ERROR register is not 0.
        """
        program = self.program
        x = one_sequence(program, x)
        session = Session(self._port, self.chip)
        started = time.monotonic()
        with _bar(self._console, "loading", len(program.tiles), "tiles") as tell:
            finish(session.load(program, self.state, tell))
        loaded = time.monotonic()
        if program.slices:
            finish(session.begin(program, x.shape[1]))
        vectors = x.reshape(-1, program.input_length)
        each = x.shape[1] if program.slices else program.output_pixels
        with _bar(self._console, "running", len(vectors) * len(program.inputs), "packets") as tell:
            outputs = finish(session.run(program, vectors, len(x) * each, tell))
        ran = time.monotonic()
        state = finish(session.host.state(program)) if program.slices else None
        errors = finish(session.host.errors())
        if errors:
            raise UserError(f"ERROR registers after the run: {errors}: allowed is none")
        outputs = outputs.reshape(len(x), each, program.output_length)
        found = figures(program, self._name, self.devices, count(program, x))
        return Result(program, found, outputs, state=state).with_figures(
            outputs=outputs.tolist(),
            load_seconds=loaded - started,
            simulate_seconds=ran - loaded,
            wall_seconds=time.monotonic() - started,
        )


@contextmanager
def _bar(console: Console, what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show how far something is, on a terminal; what to call with how much is done."""
    columns = (
        TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(),
        TextColumn(unit), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
