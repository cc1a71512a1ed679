"""What `caduceus accuracy` does: one measurement, the table, or the error of one tile."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console

from caduceus.data.own import measured_network
from caduceus.devices import settings
from caduceus.devices.settings import Devices
from caduceus.sim import inputs, layer_figures
from caduceus.sim.deploy import ReplacedFactor
from caduceus.sim.golden import Golden
from caduceus.sim.layer_figures import Quality
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network
from caduceus.study import layer_report, measure, metrics
from caduceus.study.opened import Options, opened


@dataclass(frozen=True)
class Request:
    """Request of a command.

    Attributes:
        chip, network: names, or paths of descriptions; None for the chip's own network.
        read_mode: of the chip.
        count: images or characters; None for all.
        taken: options of the network.
    """

    chip: str
    network: str | None
    read_mode: ReadMode
    count: int | None
    taken: Options = field(default_factory=Options)


def single(request: Request, pcm: str, seed: int, age: float, console: Console) -> None:
    """Measure once, print a line, and write the result to `build/accuracy.json`.

    Args:
        request: network, chip, read mode and number of inputs.
        pcm: name or path of settings of devices.
        seed: random seed of the devices.
        age: seconds since they were programmed.
        console: takes the line.

    Raises:
        UserError: a name is unknown, the network does not fit, the test set is missing, or
            the result cannot be written.
    """
    chip = Chip.find(request.chip)
    devices = Devices(settings.find(pcm), seed, age)
    network = opened(request.network or measured_network(chip), chip, request.taken)
    measure.check(network, request.count)
    program = measure.compiled(network, chip, request.read_mode, devices)
    golden = Golden(program, devices, chip)
    report = measure.measure(network, golden, request.count, console)
    report |= _explained(network, golden, report)
    measure.keep(network, chip, request.read_mode, devices, report)
    metric, reference = report["metric"], report["float"]
    value = metrics.words(metric, report["value"])
    of = "of" if metric == "accuracy" else "over"
    over = f"{of} {report['count']} {report['unit']} in {report['seconds']:.1f} s"
    beside = f"float {metrics.words(metric, reference)}"
    if reference is not None:
        beside += " on the whole test set"
    console.print(
        f"{report['network']} on chip {report['chip']}, {report['read_mode']} reads, "
        f"{report['devices']}: golden {value} {over}, {beside}",
        highlight=False,
        soft_wrap=True,
    )
    for each in report["replaced_drift_factors"] or ():
        console.print(str(ReplacedFactor(**each)), highlight=False, soft_wrap=True)
    for line in layer_figures.table(report["layers"], report["layer_inputs"], report["quality"]):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _explained(network: Network, golden: Golden, report: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of a report on layers, for the program's first typical inputs; see `Figures`."""
    program = golden.program
    x = layer_report.first(program, program.sample)
    found = layer_report.layers(network, golden, x)
    quantized, value = report["value"], None
    if not golden.devices.plain:
        whole = report["count"] == measure.whole(network)
        known = measure.known(network, golden.chip, program.read_mode) if whole else None
        quantized, value = known and known["value"], report["value"]
    return {
        "layers": found,
        "layer_inputs": inputs.count(program, x),
        "quality": Quality(report["metric"], report["float"], quantized, value),
        "notes": layer_figures.losses(found),
    }


def table(
    request: Request,
    seeds: Sequence[int],
    scheduler: str | None,
    workers: int | None,
    console: Console,
) -> None:
    """Measure the published table's cells that are not stored yet, and print it.

    Args:
        request: network, chip, read mode and number of inputs.
        seeds: of the devices.
        scheduler: see `caduceus.study.dask_workers.Workers`.
        workers: see there, too.
        console: takes the table and the progress.

    Raises:
        UserError: as `caduceus.study.accuracy_table.run`.
    """
    # Dask takes a second to import.
    from caduceus.study import accuracy_table
    from caduceus.study.dask_workers import Workers

    own = request.network or measured_network(Chip.find(request.chip))
    both = not request.network and not request.taken.data and own in accuracy_table.NETWORKS
    networks = accuracy_table.NETWORKS if both else (own,)
    wanted = accuracy_table.Request(
        networks, request.chip, str(request.read_mode), seeds, request.count,
        **asdict(request.taken),
    )  # fmt: skip
    accuracy_table.run(wanted, Workers(scheduler, workers), console)


def tile(request: Request, seeds: Sequence[int], console: Console) -> None:
    """Print the error of one tile's matrix-vector multiplications.

    Raises:
        UserError: the chip does not exist.
    """
    from caduceus.study import mvm_error

    mvm_error.run(Chip.find(request.chip), request.read_mode, seeds, console)
