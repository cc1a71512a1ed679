"""`caduceus sim`: networks in RTL against golden."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from caduceus import image_sim, sequence_sim
from caduceus.chip_sim import run_network
from caduceus.deploy import DeviceRequest, ideal
from caduceus.image_sim import ImageRequest
from caduceus.paths import BUILD, HARNESS, absolute
from caduceus.run_files import can_be_written, forget, only_run
from compiler.network import Replicas, compile_network
from data import inputs, networks_of, sample
from spec import chip as chip_description
from spec.chip import Chip
from spec.errors import UserError
from spec.files import write_whole
from spec.formats import ReadMode
from spec.network import Network
from spec.program_codes import gathers
from study import placement
from tb import runner


@dataclass(frozen=True)
class Request:
    """What the user asked for; see the command's options. None is what is usual."""

    chip: str
    network: str | None
    simulator: str
    read_mode: ReadMode
    images: int | None
    waves: bool
    output: Path
    replicas: Replicas = None
    devices: DeviceRequest = field(default_factory=ideal)


def tile_sources(chip: Chip, folder: Path) -> list[Path]:
    """Verilog of the tile and its behavioural array, written to `folder`."""
    from hdl import pcm_array  # Amaranth takes half a second to import.
    from hdl.axi_tile import AxiTile
    from hdl.verilog import write_for

    folder.mkdir(parents=True, exist_ok=True)
    return [
        *pcm_array.write_sources(folder, chip),
        write_for(chip, AxiTile, "axi_tile", folder / "axi_tile.v"),
        *sorted(HARNESS.glob("*.sv")),
    ]


def run(request: Request, console: Console) -> bool:
    """Build, run, compare, report; returns whether every value was equal.

    Writes `request.output` (`result.json`). Where several networks run, each has a result of its
    own beside it, `<output>-<network>.json`, and `output` has all of them.

    Raises:
        UserError: something named does not exist or does not fit, a build or simulation failed,
            or the result cannot be written.
    """
    started = time.monotonic()
    can_be_written(request.output)
    chip = chip_description.find(request.chip)
    runner.tool_version(request.simulator)
    names = networks_of(chip, request.network)
    if request.replicas and len(names) > 1:
        raise UserError(f"replicas without a network: name one, of {', '.join(names)}")
    with only_run(BUILD / "sim", console):
        if len(names) == 1:
            return _run(replace(request, network=names[0]), chip, console, started)
        return _run_all(request, names, chip, console)


def _run_all(request: Request, names: Sequence[str], chip: Chip, console: Console) -> bool:
    """Run several networks; a result for each, and one for all."""
    outputs = {
        name: request.output.with_name(f"{request.output.stem}-{name}.json") for name in names
    }
    # If one of them fails, those after it have none.
    for output in (request.output, *outputs.values()):
        _forget(output)
    found, equal = {}, True
    for name, output in outputs.items():
        one = replace(request, network=name, output=output)
        equal &= _run(one, chip, console, time.monotonic())
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
    return equal


def _forget(output: Path) -> None:
    """Remove an old result, trace and picture: they must not pass for this run's if it fails.

    Raises:
        UserError: as `caduceus.run_files.forget`.
    """
    forget(output, *image_sim.files_beside(output))


def _run(request: Request, chip: Chip, console: Console, started: float) -> bool:
    """The run itself, with the folders to itself."""
    if request.simulator not in runner.SIMULATORS:
        raise UserError(
            f"unknown simulator '{request.simulator}': there are {', '.join(runner.SIMULATORS)}"
        )
    network = Network.find(request.network)
    given = inputs(network, request.images)
    program = compile_network(
        network, chip, request.read_mode, request.replicas,
        largest_code=request.devices.settings.largest_code, sample=sample(network),
    )  # fmt: skip
    if request.replicas == "auto":
        several = placement.replicas(program)
        told = ",".join(f"{layer}={count}" for layer, count in several.items())
        console.print(f"replicas: {told or 'none help'}", highlight=False, soft_wrap=True)
    _forget(request.output)
    what = program, given, chip, absolute(request.chip), request.simulator
    how = request.waves, request.output
    if program.sequences:
        return sequence_sim.run_network(network, *what, *how, console, request.devices)
    if gathers(program):
        return image_sim.run_network(ImageRequest(network, *what, *how, request.devices), console)
    return run_network(*what, *how, console, request.devices)
