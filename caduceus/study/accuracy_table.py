"""`caduceus accuracy --table`: the published accuracies, and ours on modelled devices.

Published (Le Gallo et al. 2023) are a ResNet-9 on CIFAR-10 and an LSTM on the Penn Treebank, in
floating point, with quantised inputs and results, and on the chip, whose devices were programmed
with one (ODP) or two (TDP) per polarity.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path

from rich.console import Console
from rich.table import Table

from caduceus.spec.files import write_whole
from caduceus.spec.shipped import build_folder
from caduceus.study.ages import AGES
from caduceus.study.average import mean_deviation
from caduceus.study.collect import Results, collect
from caduceus.study.dask_workers import Workers
from caduceus.study.labels import label
from caduceus.study.metrics import AXES, UNITS
from caduceus.study.point_store import PointStore
from caduceus.study.points import Point

NETWORKS = ("resnet9", "lstm_ptb")
DEVICES = {"ODP": "hermes_odp", "TDP": "hermes_tdp"}
PUBLISHED = {
    "resnet9": {"float": 0.9367, "quantised": 0.9343, "ODP": 0.9223, "TDP": 0.9281},
    "lstm_ptb": {"float": 1.336, "quantised": 1.358, "ODP": 1.456, "TDP": 1.433},
}
"""Of devices, on the chip. The published ResNet-9 was for CIFAR-10."""
SOURCE = {"resnet9": "ResNet-9, CIFAR-10", "lstm_ptb": "LSTM, Penn Treebank"}
COLUMNS = (
    "network", "chip", "read_mode", "devices", "age", "compensate", "metric", "mean", "deviation",
    "seeds", "count", "published",
)  # fmt: skip
"""Of `table.csv` (docs/files.md)."""


@dataclass(frozen=True)
class Request:
    """Contents of the table.

    Attributes:
        networks, chip, read_mode: as in `Point`.
        seeds: of the devices.
        count: images or characters; None for all.
        data, calibrate, per_core: as in `Point`.
    """

    networks: Sequence[str]
    chip: str
    read_mode: str
    seeds: Sequence[int]
    count: int | None = None
    data: str | None = None
    calibrate: str | None = None
    per_core: bool = False

    def quantised(self, network: str) -> Point:
        """The network on ideal devices."""
        return self._point(network, "ideal", False, 0, 0.0)

    def cell(self, network: str, pcm: str, age: float, compensate: bool) -> list[Point]:
        """The points of one row's mean, one per seed."""
        return [self._point(network, pcm, compensate, seed, age) for seed in self.seeds]

    def _point(self, network: str, pcm: str, compensate: bool, seed: int, age: float) -> Point:
        return Point(
            network, self.chip, self.read_mode, pcm, compensate, seed, age, self.count,
            self.data, self.calibrate, self.per_core,
        )  # fmt: skip

    def points(self) -> list[Point]:
        """All points to measure."""
        found = []
        for network in self.networks:
            found.append(self.quantised(network))
            for pcm in DEVICES.values():
                for compensate in (True, False):
                    for age in AGES.values():
                        found += self.cell(network, pcm, age, compensate)
        return found


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        network: name.
        devices: `float`, `quantised`, `ODP` or `TDP`.
        age: name of the time since programming; empty without devices, and where it is not known.
        compensate: whether drift was compensated; None without devices, and where it is not known.
        metric: see `Measured`.
        mean, deviation: over the seeds; not a number where nothing was measured, and the deviation
            of one seed.
        seeds: how many there were; 0 without devices, and where nothing was measured.
        count: images or characters; 0 for float, which training measured on all, and where
            nothing was measured.
        published: figure of the published work; None if there is none. Of devices it has a row of
            its own, as how old those were is not known.
    """

    network: str
    devices: str
    age: str
    compensate: bool | None
    metric: str
    mean: float
    deviation: float
    seeds: int
    count: int
    published: float | None


def rows(request: Request, results: Results) -> list[Row]:
    """The table's lines, from results of all of `request.points()`."""
    found = []
    for network in request.networks:
        ideal = results[request.quantised(network)]
        published = PUBLISHED.get(network, {})
        reference = nan if ideal.reference is None else ideal.reference
        found.append(_single(network, "float", ideal.metric, reference, 0))
        found.append(_single(network, "quantised", ideal.metric, ideal.value, ideal.count))
        for devices, pcm in DEVICES.items():
            if devices in published:
                found.append(_single(network, devices, ideal.metric, nan, 0))
            for compensate in (True, False):
                for age, seconds in AGES.items():
                    cell = request.cell(network, pcm, seconds, compensate)
                    mean, deviation = mean_deviation([results[point].value for point in cell])
                    found.append(
                        Row(
                            network, devices, age, compensate, ideal.metric, mean, deviation,
                            len(cell), results[cell[0]].count, None,
                        )
                    )  # fmt: skip
    return found


def _single(network: str, name: str, metric: str, value: float, count: int) -> Row:
    published = PUBLISHED.get(network, {}).get(name)
    return Row(network, name, "", None, metric, value, nan, 0, count, published)


def text(request: Request, found: Sequence[Row]) -> str:
    """Text of `table.csv`: values as they are, ages in seconds."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in found:
        writer.writerow(
            (
                row.network, request.chip, request.read_mode, row.devices,
                f"{AGES[row.age]:.0f}" if row.age else "",
                {True: "on", False: "off", None: ""}[row.compensate],
                row.metric, *("" if isnan(each) else each for each in (row.mean, row.deviation)),
                row.seeds, row.count or "", "" if row.published is None else row.published,
            )
        )  # fmt: skip
    return out.getvalue()


def tables(request: Request, found: Sequence[Row]) -> list[Table]:
    """The printed tables, one per network."""
    made = []
    for network in request.networks:
        mine = [row for row in found if row.network == network]
        counted, unit = UNITS[mine[0].metric], AXES[mine[0].metric]
        table = Table(
            title=f"{label(network)} on chip {label(request.chip)}, {request.read_mode} reads: "
            f"{unit}",
            caption=f"{max(row.count for row in mine)} {counted}; devices: mean and deviation of "
            f"{len(request.seeds)} seeds; float: measured by training on the whole test set"
            + (
                f"; published: {SOURCE[network]}, devices of unknown age"
                if network in SOURCE
                else ""
            ),
        )
        for name in ("devices", "age", "drift compensated"):
            table.add_column(name)
        for name in ("ours", "published"):
            table.add_column(name, justify="right")
        for place, row in enumerate(mine):
            last = place + 1 == len(mine) or mine[place + 1].devices != row.devices
            table.add_row(
                row.devices, row.age, {True: "yes", False: "no", None: ""}[row.compensate],
                value(row.metric, row.mean, row.deviation) or "–" * (row.devices == "float"),
                "" if row.published is None else value(row.metric, row.published),
                end_section=last and bool(row.age or row.devices == "quantised"),
            )  # fmt: skip
        made.append(table)
    return made


def value(metric: str, mean: float, deviation: float = nan) -> str:
    """A value as the published tables have it, with its deviation; empty if there is none."""
    if isnan(mean):
        return ""
    if metric == "accuracy":
        mean, deviation, digits = 100 * mean, 100 * deviation, 2
    else:
        digits = 3
    text = f"{mean:.{digits}f}"
    return text if isnan(deviation) else f"{text} ± {deviation:.{digits}f}"


def run(
    request: Request,
    workers: Workers,
    console: Console,
    output: Path | None = None,
    store: PointStore | None = None,
) -> list[Row]:
    """Measure what is missing, print the table and write it to `output`.

    That is `accuracy/table.csv` of the build folder if not given.

    Raises:
        UserError: as `caduceus.study.collect`, or the file cannot be written.
    """
    results = collect(request.points(), workers, console, store or PointStore())
    found = rows(request, results)
    output = output or build_folder() / "accuracy" / "table.csv"
    write_whole(output, text(request, found), "table")
    for table in tables(request, found):
        console.print(table)
    return found
