"""`caduceus sim`: networks in RTL on the whole chip, every value against golden."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from caduceus.compiler.network import Replicas
from caduceus.data import networks_of
from caduceus.devices.settings import Devices
from caduceus.sim import runner
from caduceus.sim.jobs import Pool, processes_here
from caduceus.sim.result import Figures, files_beside
from caduceus.sim.run_files import can_be_written, forget
from caduceus.sim.simulation import Simulation
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole
from caduceus.spec.formats import ReadMode
from caduceus.study.network_run import prepared, show
from caduceus.study.opened import Options


@dataclass(frozen=True)
class Request:
    """Values of the command's options; None for the default."""

    chip: str
    network: str | None
    simulator: str
    read_mode: ReadMode
    images: int | None
    waves: bool
    output: Path
    replicas: Replicas = None
    devices: Devices = field(default_factory=Devices.ideal)
    sequences: int = 1
    jobs: int | None = None
    scheduler: str | None = None
    threads: int | None = None
    verilation: str | None = None
    taken: Options = field(default_factory=Options)


def run(request: Request, console: Console) -> bool:
    """Build, run, compare, report; returns whether every value was equal.

    Writes `request.output` (`result.json`). Where several networks run, each has a result of its
    own beside it, `<output>-<network>.json`, and `output` has all of them.

    Raises:
        UserError: a name is unknown, the network does not fit, a build or simulation failed,
            or the result cannot be written.
    """
    can_be_written(request.output)
    chip = Chip.find(request.chip)
    runner.tool_version(request.simulator)
    names = networks_of(chip, request.network)
    of_one = {
        "replicas": request.replicas, "sequences": request.sequences > 1,
        "data": request.taken.data, "calibrate": request.taken.calibrate,
    }  # fmt: skip
    for option, given in of_one.items():
        if given and len(names) > 1:
            raise UserError(f"--{option}: needs --net: expected one of {', '.join(names)}")
    if request.waves and request.scheduler:
        raise UserError("--waves cannot be combined with --scheduler: they stay at the workers")
    with _pool(request) as jobs:
        if len(names) == 1:
            return not _run(replace(request, network=names[0]), chip, jobs, console).mismatches
        return _run_all(request, names, chip, jobs, console)


@dataclass(frozen=True)
class _Jobs:
    """Number of jobs, and what runs them."""

    count: int
    pool: Pool


@contextmanager
def _pool(request: Request) -> Iterator[_Jobs]:
    """The processes of a request: of this machine, or of its scheduler.

    Raises:
        UserError: the scheduler does not answer, has no worker, or runs without this code.
    """
    if request.scheduler is None:
        yield _Jobs(request.jobs or 1, processes_here)
        return
    from caduceus.study.scheduled_jobs import scheduled  # Imports Dask.

    with scheduled(request.scheduler) as pool:
        yield _Jobs(request.jobs or pool.threads, pool)


def _run_all(
    request: Request, names: Sequence[str], chip: Chip, jobs: _Jobs, console: Console
) -> bool:
    """Run several networks; a result for each, and one for all."""
    outputs = {
        name: request.output.with_name(f"{request.output.stem}-{name}.json") for name in names
    }
    # If one of them fails, those after it have none.
    for output in (request.output, *outputs.values()):
        forget(output, *files_beside(output))
    found = {}
    for name, output in outputs.items():
        _run(replace(request, network=name, output=output), chip, jobs, console)
        found[name] = json.loads(output.read_text(encoding="utf-8"))
    totals = {
        key: sum(report[key] for report in found.values())
        for key in ("values_compared", "mismatches", "wall_seconds")
    }
    write_whole(request.output, json.dumps(totals | {"networks": found}, indent=2) + "\n", "result")
    console.print(
        f"{totals['values_compared']} values compared in all, {totals['mismatches']} mismatches, "
        f"{totals['wall_seconds']:.0f} s\n{request.output}",
        highlight=False,
        soft_wrap=True,
    )
    return totals["mismatches"] == 0


def _run(request: Request, chip: Chip, jobs: _Jobs, console: Console) -> Figures:
    """Run one network, and write and print its result."""
    started = time.monotonic()
    forget(request.output, *files_beside(request.output))
    work = prepared(
        request.network, chip, request.read_mode, request.images, request.devices, console,
        request.replicas, request.sequences, request.taken,
    )  # fmt: skip
    simulation = Simulation(
        work.program, request.devices, request.simulator,
        chip=chip, waves=request.waves, threads=request.threads, verilation=request.verilation,
        console=console,
    )  # fmt: skip
    work.announce(request.simulator, console)
    result = work.measured(simulation.run(work.x, jobs=jobs.count, pool=jobs.pool))
    result = work.explained(result, simulation)
    result = result.with_figures(wall_seconds=time.monotonic() - started).save(request.output)
    show(result, request.output, console)
    for path in simulation.waves:
        console.print(f"waves: {path}", highlight=False, soft_wrap=True)
    return result.figures
