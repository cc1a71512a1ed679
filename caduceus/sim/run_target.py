"""Targets of `caduceus run`: the golden model, the RTL in a simulator, a board."""

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from caduceus.host.line import Line, SerialLine, SocketLine
from caduceus.host.link import LinkPort, Patience, SerialLink
from caduceus.sim.chip_design import THREADS, ChipDesign, default_threads
from caduceus.sim.kept_design import kept_design
from caduceus.sim.paths import absolute
from caduceus.sim.run_files import empty, working_files
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.extras import demand, demand_extra
from caduceus.spec.host_port import HostPort
from caduceus.spec.shipped import build_folder

SERIAL = "serial:"
TARGETS = f"golden, sim, or {SERIAL}PORT"
_LONG = Patience(seconds=3600, tries=1)
"""A simulation answers when it is done, and loses no request."""
_LOOK_SECONDS = 0.2
_OF_THE_LINE = ("serial", "cobs")
"""Import packages of a serial port: the only ones of the extra `fpga` that it needs."""


@dataclass(frozen=True)
class TargetRequest:
    """The target to drive.

    Attributes:
        name: `golden`, `sim`, or `serial:` and a port.
        description: name or path of the chip description.
        simulator: for `sim`.
        patience: for `serial:`.
    """

    name: str
    description: str
    simulator: str
    patience: Patience

    def check(self) -> None:
        """Check that the name is a target, and that a simulation can be built.

        Raises:
            UserError: unknown target, or a package for simulations is not installed.
        """
        serial = self.name.startswith(SERIAL) and len(self.name) > len(SERIAL)
        if self.name not in ("golden", "sim") and not serial:
            raise UserError(f"unknown target '{self.name}': expected {TARGETS}")
        if self.name == "sim":
            demand_extra("sim")


@dataclass(frozen=True)
class Target:
    """A chip to drive; `link`, if requests go over one, counts them."""

    port: HostPort
    link: SerialLink | None = None


@contextmanager
def opened(request: TargetRequest, chip: Chip) -> Iterator[Target]:
    """The open target, for the duration of the block.

    Raises:
        UserError: the target does not exist, does not answer, or has another chip.
    """
    request.check()
    if request.name == "golden":
        from caduceus.golden.register_chip import RegisterChip

        yield Target(RegisterChip(chip))
    elif request.name == "sim":
        with simulation(request.description, request.simulator) as line:
            yield _linked(line, "the simulation", _LONG, chip)
    else:
        with serial(request.name.removeprefix(SERIAL), request.patience, chip) as target:
            yield target


@contextmanager
def serial(port: str, patience: Patience, chip: Chip) -> Iterator[Target]:
    """A board at a serial port, for the duration of the block.

    Raises:
        UserError: the port does not exist, the board does not answer, or has another chip; or a
            package for serial ports is not installed.
    """
    demand(*_OF_THE_LINE)
    line = SerialLine(port, patience.baud)
    try:
        yield _linked(line, port, patience, chip)
    finally:
        line.close()


def _linked(line: Line, where: str, patience: Patience, chip: Chip) -> Target:
    link = SerialLink(line, where, patience)
    link.hello(chip)
    return Target(LinkPort(link, chip), link)


@dataclass(frozen=True)
class Served:
    """The design to simulate, and the side that serves the host.

    Attributes:
        name: part of the folder's name, beside chip and simulator.
        top: the top module.
        test_module: the cocotb side, which connects to the socket of its `ServedJob`.
        sources: writes the RTL of a chip into a folder, for a simulator.
    """

    name: str
    top: str
    test_module: str
    sources: Callable[[Path, Chip, str], ChipDesign]


CHIP = Served("served", "chip", "caduceus.sim.run_served", kept_design)
"""The chip alone, whose AXI ports the golden bridge drives."""


@contextmanager
def simulation(description: str, simulator: str, served: Served = CHIP) -> Iterator[SocketLine]:
    """A chip in a simulator, and the line to it.

    Raises:
        UserError: the build or the simulation failed.
    """
    from caduceus.sim import runner
    from caduceus.sim.job import half_periods
    from caduceus.sim.served_job import VARIABLE, ServedJob

    chip = Chip.find(description)
    place = build_folder() / "run" / f"{chip.name}-{served.name}-{simulator}"
    job, design = place / "job", place / "design"
    with working_files(place):
        empty(job)
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        # The path of a socket must be short; that of a repository may be long.
        path = str(Path(folder) / "line")
        server.bind(path)
        server.listen(1)
        with working_files(job):
            ServedJob(absolute(description), list(half_periods(chip)), path).save(job)
        failures: list[UserError] = []

        def simulate() -> None:
            try:
                with working_files(place):
                    design.mkdir(parents=True, exist_ok=True)
                    made = served.sources(design, chip, simulator)
                    results = runner.run_bench(
                        name=f"run-{chip.name}-{simulator}",
                        sources=made.sources,
                        top=served.top,
                        test_module=served.test_module,
                        simulator=simulator,
                        build_dir=place / "build",
                        run_dir=job,
                        extra_env={VARIABLE: str(job)},
                        plusargs=[f"+{THREADS}={default_threads()}"],
                        build_args=made.arguments,
                        engine=made.engine,
                    )
                if not results.ok:
                    raise UserError(f"the simulation failed: {results.sentence}")
            except UserError as error:
                failures.append(error)
            except Exception as error:  # it would end this thread alone
                failures.append(UserError(f"the simulation could not run: {error!r}"))

        thread = threading.Thread(target=simulate, daemon=True)
        thread.start()
        server.settimeout(_LOOK_SECONDS)
        while thread.is_alive():
            try:
                connection, _ = server.accept()
                break
            except TimeoutError:
                continue
        else:
            raise failures[0] if failures else UserError("the simulation ended at once")
        line = SocketLine(connection, "the simulation")
        try:
            try:
                yield line
            finally:
                line.close()
                thread.join()
        except UserError as error:
            # Report the end of the line only if no better cause is known.
            raise (failures[0] if failures else error) from None
        if failures:
            raise failures[0]
