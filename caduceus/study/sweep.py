"""`caduceus sweep`: metrics of networks over kinds of devices, seeds, ages and settings."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole
from caduceus.study.collect import Results, collect, points_of
from caduceus.study.dask_workers import Workers
from caduceus.study.point_store import PointStore
from caduceus.study.points import Files, Point
from caduceus.study.sweep_plot import picture

TABLE, PICTURE = "points.csv", "accuracy.png"
COLUMNS = (
    "network", "chip", "read_mode", "pcm", "compensate", "seed", "age", "images",
    "metric", "value", "reference", "count", "seconds",
)  # fmt: skip
"""Of `points.csv` (docs/files.md)."""


@dataclass(frozen=True)
class Grid:
    """Measurements to make: every combination.

    Attributes:
        networks, read_modes, pcm: as in `Point`.
        chip: as in `Point`; one for all.
        seeds: of the devices.
        ages: of the devices, in seconds.
        compensate: with drift compensated, or not, or (None) as the settings of the devices say.
        count: images or characters of each; None for all.
        data, calibrate, per_core: as in `Point`; one for all.
    """

    networks: Sequence[str]
    chip: str
    read_modes: Sequence[str]
    pcm: Sequence[str]
    seeds: Sequence[int]
    ages: Sequence[float]
    compensate: Sequence[bool | None]
    count: int | None = None
    data: str | None = None
    calibrate: str | None = None
    per_core: bool = False

    def points(self) -> list[Point]:
        """All points, sorted, each measurement once.

        Raises:
            UserError: settings of devices do not exist, or the grid is empty.
        """
        for name in ("networks", "read_modes", "pcm", "seeds", "ages", "compensate"):
            if not getattr(self, name):
                raise UserError(f"{name}: got nothing, expected one or more")
        files = Files()
        found = {
            Point(
                network,
                self.chip,
                mode,
                pcm,
                compensate,
                seed,
                age,
                self.count,
                self.data,
                self.calibrate,
                self.per_core,
            ).plain(files)
            for network in self.networks
            for mode in self.read_modes
            for pcm in self.pcm
            for compensate in self.compensate
            for seed in self.seeds
            for age in self.ages
        }
        return sorted(found, key=_order)


def _order(point: Point) -> tuple:
    return (
        point.network, point.chip, point.read_mode, point.pcm, bool(point.compensate),
        point.age, point.seed,
    )  # fmt: skip


def table(results: Results) -> str:
    """Text of `points.csv`: one row per point, in order."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for point in sorted(results, key=_order):
        measured = results[point]
        writer.writerow(
            (
                point.network, point.chip, point.read_mode, point.pcm,
                "on" if point.compensate else "off", point.seed, point.age,
                "" if point.count is None else point.count,
                measured.metric, measured.value,
                "" if measured.reference is None else measured.reference,
                measured.count, f"{measured.seconds:.1f}",
            )
        )  # fmt: skip
    return text.getvalue()


def run(
    grid: Grid,
    workers: Workers,
    output: Path,
    console: Console,
    store: PointStore | None = None,
) -> Results:
    """Measure a grid; write its table after each point, and its picture at the end.

    Args:
        grid: what to measure.
        workers: processes that measure.
        output: folder of the two files.
        console: shows the progress.
        store: where results are kept; the usual place if None.

    Raises:
        UserError: as `caduceus.study.collect`, or a file cannot be written.
    """

    def keep(results: Results) -> None:
        write_whole(output / TABLE, table(results), "table of points")

    results = collect(grid.points(), workers, console, store or PointStore(), keep)
    write_whole(output / PICTURE, picture(results), "picture")
    console.print(
        f"{points_of(len(results))}: {output / TABLE} and {output / PICTURE}",
        highlight=False,
        soft_wrap=True,
    )
    return results
