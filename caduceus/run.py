"""`caduceus run`: a network on a chip, whatever stands for the chip, by the same calls."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from caduceus.run_work import Work, prepared
from caduceus.sim import networks_of
from driver.session import Session
from sim.deploy import DeviceRequest, ideal
from sim.paths import build_folder
from sim.run_files import can_be_written, forget, only_run
from sim.run_target import Target, TargetRequest, opened
from sim.scoreboard import Comparisons
from spec import chip as chip_description
from spec.chip import Chip
from spec.errors import UserError
from spec.files import write_whole
from spec.formats import ReadMode
from spec.gdpu import LstmState
from spec.host_port import finish
from spec.program_codes import computing


@dataclass(frozen=True)
class Request:
    """What the user asked for; see the command's options. None is what is usual."""

    target: TargetRequest
    network: str | None
    read_mode: ReadMode
    inputs: int | None
    output: Path
    devices: DeviceRequest = field(default_factory=ideal)


@dataclass(frozen=True)
class _Done:
    """What came of it: outputs, the state after a sequence, and seconds of loading and running."""

    outputs: NDArray[np.int8]
    state: LstmState | None
    load_seconds: float
    run_seconds: float


def run(request: Request, console: Console) -> bool:
    """Load, stream, read, compare, report; returns whether every value was equal.

    Raises:
        UserError: something named does not exist or does not fit, the target cannot be driven, or
            the result cannot be written.
    """
    started = time.monotonic()
    can_be_written(request.output)
    request.target.check()
    chip = chip_description.find(request.target.description)
    name = networks_of(chip, request.network)[0]
    work = prepared(name, chip, request.read_mode, request.inputs, request.devices)
    forget(request.output)
    tiles = computing(work.program)
    _say(
        console,
        f"{work.program.network} on chip {chip.name}, {len(tiles)} of {chip.tiles} tiles, "
        f"{request.read_mode} reads, {request.devices}, {work.count} {work.what}, target "
        f"{request.target.name}",
    )
    if request.target.name == "sim":
        with only_run(build_folder() / "run", console):
            target, done = _drive(request, chip, work, console)
    else:
        target, done = _drive(request, chip, work, console)
    comparison = _compared(work, done)
    report = {
        "target": request.target.name,
        "network": work.program.network,
        "chip": chip.name,
        "read_mode": str(request.read_mode),
        "devices": str(request.devices),
        "inputs": work.count,
        "tiles": len(tiles),
        "values_compared": comparison.compared,
        "mismatches": comparison.mismatches,
        "first_mismatch": comparison.first,
        "outputs": done.outputs.tolist(),
        **work.quality(done.outputs),
        **{f"golden_{key}": value for key, value in work.quality(work.expected).items()},
        "requests": target.link.sent if target.link else None,
        "retries": target.link.retries if target.link else None,
        "load_seconds": done.load_seconds,
        "run_seconds": done.run_seconds,
        "wall_seconds": time.monotonic() - started,
    }
    write_whole(request.output, json.dumps(report, indent=2) + "\n", "result")
    _show(report, work.what, request.output, console)
    return comparison.mismatches == 0


def _say(console: Console, sentence: str) -> None:
    console.print(sentence, highlight=False, soft_wrap=True)


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


def _drive(request: Request, chip: Chip, work: Work, console: Console) -> tuple[Target, _Done]:
    with opened(request.target, chip) as target:
        session, program = Session(target.port, chip), work.program
        before = time.monotonic()
        with _bar(console, "loading", len(program.tiles), "tiles") as tell:
            finish(session.load(program, work.state, tell))
        loaded = time.monotonic()
        _say(console, f"loaded in {loaded - before:.1f} s")
        if program.slices:
            finish(session.begin(program, work.count))
        packets = len(work.x) * len(program.inputs)
        with _bar(console, "running", packets, "packets") as tell:
            outputs = finish(session.run(program, work.x, len(work.expected), tell))
        ran = time.monotonic()
        state = finish(session.host.state(program)) if program.slices else None
        errors = finish(session.host.errors())
        if errors:
            raise UserError(f"ERROR registers after the run: {errors}: allowed is none")
    return target, _Done(outputs, state, loaded - before, ran - loaded)


def _compared(work: Work, done: _Done) -> Comparisons:
    comparison = Comparisons()
    comparison.add(work.expected, done.outputs, lambda at: f"output {at[0]}, value {at[1:]}")
    if work.state_after is not None and done.state is not None:
        for what in ("hidden", "cell"):
            expected, got = getattr(work.state_after, what), getattr(done.state, what)
            comparison.add(
                expected, got, lambda at, what=what: f"{what} state in the end, unit {at[1:]}"
            )
    return comparison


def _show(report: dict, what: str, path: Path, console: Console) -> None:
    if report["mismatches"]:
        console.print(f"MISMATCH: {report['first_mismatch']}", style="bold red", soft_wrap=True)
    answers = ""
    if "accuracy" in report:
        answers = f", {round(report['accuracy'] * report['inputs'])} recognised"
    if "bpc" in report:
        answers = f", {report['bpc']:.3f} bits a character"
    line = ""
    if report["requests"] is not None:
        line = f", {report['requests']} requests, {report['retries']} sent again"
    _say(
        console,
        f"{report['inputs']} {what} in {report['run_seconds']:.1f} s{line}\n"
        f"{report['values_compared']} values compared with the golden model, "
        f"{report['mismatches']} mismatches{answers}\n"
        f"{path}",
    )
