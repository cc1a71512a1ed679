"""Targets of `caduceus run`: the golden model, the RTL in a simulator, a board."""

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from caduceus.host.line import Line, SerialLine, SocketLine
from caduceus.host.link import LinkPort, Patience, SerialLink
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
"""A simulation answers when it is done, and loses nothing."""
_LOOK_SECONDS = 0.2
_OF_THE_LINE = ("serial", "cobs")
"""Import packages that a serial port takes: of what the extra `fpga` brings no more."""


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
        """Demand that the name is one of a target, and that a simulation can be built.

        Raises:
            UserError: it is not, or a package that simulations take is not installed.
        """
        serial = self.name.startswith(SERIAL) and len(self.name) > len(SERIAL)
        if self.name not in ("golden", "sim") and not serial:
            raise UserError(f"unknown target '{self.name}': expected {TARGETS}")
        if self.name == "sim":
            demand_extra("sim")


@dataclass(frozen=True)
class Target:
    """A chip that can be driven; `link`, where requests go over one, counts them."""

    port: HostPort
    link: SerialLink | None = None


@contextmanager
def opened(request: TargetRequest, chip: Chip) -> Iterator[Target]:
    """The target, as long as the block runs.

    Raises:
        UserError: there is none, it does not answer, or has another chip.
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
    """A board at a serial port, as long as the block runs.

    Raises:
        UserError: there is no such port, nothing answers there, or it has another chip; or a
            package that the line takes is not installed.
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
    """What is simulated, and what of the simulation serves the host.

    Attributes:
        name: of its folder, beside the chip's and the simulator's name.
        top: the top module.
        test_module: the cocotb side, which connects to the socket of its `ServedJob`.
        sources: writes the RTL of a chip into a folder; the files, in order.
    """

    name: str
    top: str
    test_module: str
    sources: Callable[[Path, Chip], Sequence[Path]]


def _chip_sources(folder: Path, chip: Chip) -> Sequence[Path]:
    from caduceus.hdl.fabric.chip_sources import write_sources

    return write_sources(folder, chip)


CHIP = Served("served", "chip", "caduceus.sim.run_served", _chip_sources)
"""The chip alone, whose AXI ports the golden bridge drives."""


@contextmanager
def simulation(description: str, simulator: str, served: Served = CHIP) -> Iterator[SocketLine]:
    """A chip in a simulator, and the line to what serves it.

    Raises:
        UserError: the build or the simulation failed.
    """
    from caduceus.sim import runner
    from caduceus.sim.chip_harness import CHIP_ARGUMENTS
    from caduceus.sim.job import half_periods
    from caduceus.sim.served_job import VARIABLE, ServedJob

    chip = Chip.find(description)
    place = build_folder() / "run" / f"{chip.name}-{served.name}-{simulator}"
    job, design = place / "job", place / "design"
    with working_files(place):
        empty(job)
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        # A socket's path is short, which that of a repository need not be.
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
                    results = runner.run_bench(
                        name=f"run-{chip.name}-{simulator}",
                        sources=served.sources(design, chip),
                        top=served.top,
                        test_module=served.test_module,
                        simulator=simulator,
                        build_dir=place / "build",
                        run_dir=job,
                        extra_env={VARIABLE: str(job)},
                        build_args=CHIP_ARGUMENTS if simulator == "verilator" else (),
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
            # The end of the line is reported only if nothing better is known.
            raise (failures[0] if failures else error) from None
        if failures:
            raise failures[0]
