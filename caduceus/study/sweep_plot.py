"""The picture of a sweep: how good the results are over the age of the devices."""

import io
from collections import defaultdict
from math import isnan
from typing import TYPE_CHECKING

from caduceus.devices.ages import words
from caduceus.study.average import mean_deviation
from caduceus.study.labels import labels
from caduceus.study.metrics import AXES, UNITS
from caduceus.study.points import Measured, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 9.0, 4.5
"""Inches of the plot of one network."""
_MARKS = "osD^v<>P*X"
_MOST_NAMED = 8
"""Ages that have room for their names at the axis."""


def picture(results: dict[Point, Measured]) -> bytes:
    """A PNG with a plot for each network.

    A line is one kind of devices, read mode and compensation: mean over the seeds, and deviation.
    Points that have no age are horizontal lines, and so is floating point, which training measured
    on the whole test set: with fewer inputs the points are of others than that line.
    """
    # They take a second to import, for what is done last.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    networks = sorted({(point.network, measured.metric) for point, measured in results.items()})
    names = labels(network for network, _ in networks)
    figure = Figure(figsize=(_WIDTH, _HEIGHT * len(networks)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(networks), squeeze=False)[:, 0]
    for each, (network, metric) in zip(axes, networks, strict=True):
        mine = {
            point: measured
            for point, measured in results.items()
            if (point.network, measured.metric) == (network, metric)
        }
        _plot(each, names[network], metric, mine)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150)
    return data.getvalue()


def _plot(axes: "Axes", network: str, metric: str, results: dict[Point, Measured]) -> None:
    scale = 100.0 if metric == "accuracy" else 1.0
    lines: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    modes = {point.read_mode for point in results}
    names = labels({point.pcm for point in results})
    for point, measured in results.items():
        name = _name(point, names[point.pcm], len(modes) > 1)
        lines[name][point.age].append(measured.value * scale)
    timeless = {name for name, line in lines.items() if set(line) == {0.0}}
    for number, name in enumerate(sorted(lines)):
        line = lines[name]
        if name in timeless:
            mean, _ = mean_deviation(line[0.0])
            axes.axhline(mean, color=f"C{number}", linestyle="--", label=name)
            continue
        x = sorted(line)
        found = [mean_deviation(line[age]) for age in x]
        errors = [0 if isnan(deviation) else deviation for _, deviation in found]
        axes.errorbar(
            x, [mean for mean, _ in found], errors, color=f"C{number}", capsize=3,
            marker=_MARKS[number % len(_MARKS)], label=name,
        )  # fmt: skip
    for reference in sorted({measured.reference for measured in results.values()} - {None}):
        axes.axhline(reference * scale, color="black", linestyle=":", label="float, whole test set")
    if any(min(line) < 1 for name, line in lines.items() if name not in timeless):
        # 0 has no logarithm: linear up to a second.
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=0)
    else:
        axes.set_xscale("log")
    axes.set_xlabel("time since programming")
    ages = sorted({age for line in lines.values() for age in line})
    if len(ages) <= _MOST_NAMED and timeless != set(lines):
        axes.set_xticks(ages, [words(age) for age in ages])
        axes.minorticks_off()
    axes.set_ylabel(AXES[metric])
    counts = sorted({measured.count for measured in results.values()})
    counted = UNITS[metric]
    axes.set_title(f"{network}, {' and '.join(f'{count:,}' for count in counts)} {counted}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))


def _name(point: Point, pcm: str, several_modes: bool) -> str:
    """Label of the line that a point is on; `pcm` is that of its devices."""
    ideal = point.devices().settings.device_model is None
    parts = ["quantised, " * ideal + pcm]
    if several_modes:
        parts.append(point.read_mode)
    if point.compensate:
        parts.append("drift compensated")
    return ", ".join(parts)
