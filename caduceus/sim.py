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
from caduceus.replicas import Replicas, chosen, refused
from caduceus.run_files import can_be_written, forget, only_run
from caduceus.workload import Workload, workload
from spec import chip as chip_description
from spec import network as network_description
from spec import recurrent
from spec.chip import Chip
from spec.errors import UserError
from spec.files import write_whole
from spec.formats import ReadMode
from tb import runner

MAIN_JOB = {
    "hermes": ("resnet9", "lstm_ptb"),
    "caduceus": ("resnet9", "lstm_ptb"),
    "tiny": ("resnet_tiny", "lstm_tiny"),
    "ulx3s": ("conv_32x16", "lstm_tiny"),
}
"""Networks of each chip, when none is named; the others need one by name."""
IMAGES, STEPS = 10, 20
"""Input vectors, and characters, when their number is not given."""


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


def networks_of(chip: Chip, name: str | None) -> tuple[str, ...]:
    """The networks that are meant by `name`: it, or the chip's own if None.

    Raises:
        UserError: there is none.
    """
    names = (name,) if name else MAIN_JOB.get(chip.name)
    if names is None:
        raise UserError(
            f"chip {chip.name} has no network of its own: name one of "
            f"{', '.join(network_description.available())}"
        )
    return names


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
    what = chip, absolute(request.chip), request.simulator, request.read_mode
    how = request.waves, request.output, console
    found = recurrent.find(request.network)
    if found is not None:
        if request.replicas:
            raise refused(found[0].name)
        _forget(request.output)
        return sequence_sim.run_network(
            *found, *what, request.images or STEPS, *how, request.devices
        )
    network, weights = network_description.find(request.network)
    kind = workload(network)
    if request.replicas and kind is not Workload.IMAGES:
        raise refused(network.name)
    if kind is Workload.LAYER:
        _forget(request.output)
        return run_network(network, weights, *what, request.images or IMAGES, *how, request.devices)
    _forget(request.output)
    images = request.images or image_sim.IMAGES
    replicas = chosen(request.replicas, network, weights, chip, request.read_mode, console)
    return image_sim.run_network(
        ImageRequest(
            network, weights, *what, images, request.waves, request.output, replicas,
            request.devices,
        ),
        console,
    )  # fmt: skip
