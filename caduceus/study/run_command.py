"""`caduceus run`: a network on any target, by the same calls."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from caduceus.data import networks_of
from caduceus.devices.settings import Devices
from caduceus.sim.board import Board
from caduceus.sim.golden import Golden
from caduceus.sim.result import Result
from caduceus.sim.run_files import can_be_written, forget, only_run
from caduceus.sim.run_target import TargetRequest, opened
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.shipped import build_folder
from caduceus.study.network_run import NetworkRun, prepared, show
from caduceus.study.opened import Options


@dataclass(frozen=True)
class Request:
    """Values of the command's options; None for the default."""

    target: TargetRequest
    network: str | None
    read_mode: ReadMode
    inputs: int | None
    output: Path
    devices: Devices = field(default_factory=Devices.ideal)
    taken: Options = field(default_factory=Options)


def run(request: Request, console: Console) -> bool:
    """Load, stream, read, compare, report; returns whether every value was equal.

    Raises:
        UserError: a name is unknown, the network does not fit, the target cannot be driven, or
            the result cannot be written.
    """
    started = time.monotonic()
    can_be_written(request.output)
    request.target.check()
    chip = Chip.find(request.target.description)
    name = networks_of(chip, request.network)[0]
    forget(request.output)
    work = prepared(
        name, chip, request.read_mode, request.inputs, request.devices, console,
        taken=request.taken,
    )  # fmt: skip
    model = Golden(work.program, request.devices, chip)
    golden = model.run(work.x)
    work.announce(f"target {request.target.name}", console)
    if request.target.name == "sim":
        with only_run(build_folder() / "run", console):
            result = _driven(request, chip, work, console)
    else:
        result = _driven(request, chip, work, console)
    # Of the golden model through its registers only a difference is news.
    compared = result.compared(golden)
    if request.target.name != "golden" or compared.figures.mismatches:
        result = compared
    result = work.explained(work.measured(result), model).with_figures(
        golden_inputs_per_second=golden.figures.golden_inputs_per_second,
        wall_seconds=time.monotonic() - started,
    )
    show(result.save(request.output), request.output, console)
    return not result.figures.mismatches


def _driven(request: Request, chip: Chip, work: NetworkRun, console: Console) -> Result:
    with opened(request.target, chip) as target:
        board = Board(
            work.program, target, request.devices,
            name=request.target.name, chip=chip, console=console,
        )  # fmt: skip
        return board.run(work.x)
