"""What `caduceus accuracy` does: one measurement, the table, or the error of one tile."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from caduceus import accuracy, bpc
from pcm import settings
from pcm.settings import Devices
from spec import chip as chip_description
from spec import network as network_description
from spec import recurrent
from spec.formats import ReadMode


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
        chip, network: names, or paths of descriptions; no network for the chip's own.
        read_mode: of the chip.
        count: images or characters; None for all.
    """

    chip: str
    network: str | None
    read_mode: ReadMode
    count: int | None


def single(request: Request, pcm: str, seed: int, age: float, console: Console) -> None:
    """Measure once, print a line, and write the result to `build/accuracy.json`.

    Args:
        request: of what.
        pcm: name or path of settings of devices.
        seed: which devices of that kind.
        age: seconds since they were programmed.
        console: takes the line.

    Raises:
        UserError: something named does not exist or does not fit, the test set is not there, or
            the result cannot be written.
    """
    chip = chip_description.find(request.chip)
    devices = Devices(settings.find(pcm), seed, age)
    name = request.network or accuracy.own_network(chip)
    text = recurrent.find(name)
    if text is not None:
        report = bpc.measure(*text, chip, request.read_mode, request.count, console, devices)
        bpc.keep(*text, chip, request.read_mode, devices, report)
        told = (
            f"{report['golden_bpc']:.4f} bits a character over {report['characters']} in "
            f"{report['seconds']:.1f} s, float {report['float_bpc']:.4f} over all"
        )
    else:
        count = request.count or accuracy.TEST_SET
        found = network_description.find(name)
        report = accuracy.measure(*found, chip, request.read_mode, count, console, devices)
        accuracy.keep(*found, chip, request.read_mode, devices, report)
        told = (
            f"{report['golden']:.2%} of {report['images']} images in {report['seconds']:.1f} s, "
            f"float {report['float']:.2%} of all {accuracy.TEST_SET}"
        )
    console.print(
        f"{report['network']} on chip {report['chip']}, {report['read_mode']} reads, "
        f"{report['devices']}: golden {told}",
        highlight=False,
        soft_wrap=True,
    )


def table(
    request: Request,
    seeds: Sequence[int],
    scheduler: str | None,
    workers: int | None,
    console: Console,
) -> None:
    """Measure the published table's cells that are not stored yet, and print it.

    Args:
        request: of what.
        seeds: of the devices.
        scheduler: see `caduceus.farm.Workers`.
        workers: likewise.
        console: takes the table, and how far it is.

    Raises:
        UserError: as `caduceus.accuracy_table.run`.
    """
    # Dask takes a second to import.
    from caduceus import accuracy_table
    from caduceus.farm import Workers

    own = request.network or accuracy.own_network(chip_description.find(request.chip))
    both = not request.network and own in accuracy_table.NETWORKS
    networks = accuracy_table.NETWORKS if both else (own,)
    asked = accuracy_table.Request(
        networks, request.chip, str(request.read_mode), seeds, request.count
    )
    accuracy_table.run(asked, Workers(scheduler, workers), console)


def tile(request: Request, seeds: Sequence[int], console: Console) -> None:
    """Print the error of one tile's matrix-vector multiplications.

    Raises:
        UserError: there is no such chip.
    """
    from caduceus import mvm_error

    mvm_error.run(chip_description.find(request.chip), request.read_mode, seeds, console)
