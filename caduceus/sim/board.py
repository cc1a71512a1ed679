"""A program on a chip behind a port: a board, or a stand-in for one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from caduceus.devices.settings import Devices
from caduceus.host.chip import named
from caduceus.host.link import Patience
from caduceus.host.session import Session
from caduceus.sim.deploy import chip_of, deployed
from caduceus.sim.inputs import count, one_sequence
from caduceus.sim.result import Result, figures
from caduceus.sim.run_target import Target, serial
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.host_port import HostPort, finish
from caduceus.spec.program import Program
from caduceus.spec.serial_protocol import BAUD


class Board:
    """A program on devices, on the chip behind a port: a board, or a stand-in for one.

    >>> board = caduceus.Board(program, port)
    >>> result = board.run(program.sample[:2])
    >>> print(result.compare(caduceus.Golden(program).run(program.sample[:2])).equal)
    True

    Attributes:
        program: with the host's corrections for the devices.
        chip, devices, state: the chip, its devices and their PCM state.

    Raises:
        UserError: the chip is unknown, `devices` is no device model, or program, chip and devices
            do not match.
    """

    def __init__(
        self,
        program: Program,
        port: HostPort | Target | str,
        devices: Devices | None = None,
        *,
        patience: Patience | None = None,
        name: str = "board",
        chip: Chip | None = None,
        console: Console | None = None,
    ) -> None:
        """Take a port. A serial port, given by name (`/dev/ttyUSB0`), is opened for every run.

        Args:
            program: from the compiler.
            port: name of a serial port; or registers, packets and reset of a chip. A target that is
                open counts the requests over its link.
            devices: written to the board's arrays; ideal ones if None.
            patience: baud rate and time to wait for replies, of a serial port given by name; the
                board's usual rate if None.
            name: of the board, for the result.
            chip: the shipped chip that the program names if None.
            console: for the progress; none if None.
        """
        self.devices = Devices.given(devices)
        self.chip = chip_of(program, chip)
        self._deployed = deployed(program, self.chip, self.devices)
        self.program, self.state = self._deployed.program, self._deployed.state
        self._port, self._name = port, name
        self._patience = patience or Patience(baud=BAUD)
        self._console = console or Console(quiet=True)

    def run(self, x: ArrayLike) -> Result:
        """Load the program, run the inputs, and read the final state.

        Args:
            x: int8 [n, input_pixels, input_length]; of a program with GDPU slices [1, steps,
                input_length]. Or the user's own: floating-point numbers, uint8 images, or integers
                [1, steps] of an embedding, as `caduceus.host.real_values.to_int8` takes them.

        Raises:
            UserError: the inputs do not fit, the chip does not answer, it stopped, it sent packets
                that the program does not have, or an ERROR register is not 0.
        """
        x = one_sequence(self.program, x)
        if isinstance(self._port, str):
            with serial(self._port, self._patience, self.chip) as target:
                return self._run(target, x)
        return self._run(self._port if isinstance(self._port, Target) else Target(self._port), x)

    def _run(self, target: Target, x: NDArray[np.int8]) -> Result:
        program = self.program
        session = Session(target.port, self.chip)
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
            raise UserError(f"ERROR registers after the run: {named(errors)}: expected none")
        outputs = outputs.reshape(len(x), each, program.output_length)
        found = figures(self._deployed, self._name, self.devices, count(program, x))
        return Result(program, found, outputs, state=state).with_figures(
            load_seconds=loaded - started,
            simulate_seconds=ran - loaded,
            wall_seconds=time.monotonic() - started,
            requests=target.link and target.link.sent,
            retries=target.link and target.link.retries,
        )


@contextmanager
def _bar(console: Console, what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show progress on a terminal; yields the function to call with the amount done."""
    columns = (
        TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(),
        TextColumn(unit), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
