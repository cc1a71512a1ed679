"""The picture of a sweep: how good the results are over the age of the devices."""

import io
from collections import defaultdict
from math import isnan
from typing import TYPE_CHECKING

from caduceus.study.average import mean_deviation
from caduceus.study.points import Measured, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 9.0, 4.5
"""Inches of the plot of one network."""
_MARKS = "osD^v<>P*X"


def picture(results: dict[Point, Measured]) -> bytes:
    """A PNG with a plot for each network.

    A line is one kind of devices, read mode and compensation: mean over the seeds, and deviation.
    Points that have no age, and the network in floating point, are horizontal lines.
    """
    # They take a second to import, for what is done last.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    networks = sorted({(point.network, measured.metric) for point, measured in results.items()})
    figure = Figure(figsize=(_WIDTH, _HEIGHT * len(networks)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(networks), squeeze=False)[:, 0]
    for each, (network, metric) in zip(axes, networks, strict=True):
        mine = {
            point: measured
            for point, measured in results.items()
            if (point.network, measured.metric) == (network, metric)
        }
        _plot(each, network, metric, mine)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150)
    return data.getvalue()


def _plot(axes: "Axes", network: str, metric: str, results: dict[Point, Measured]) -> None:
    scale = 100.0 if metric == "accuracy" else 1.0
    lines: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    modes = {point.read_mode for point in results}
    for point, measured in results.items():
        lines[_name(point, len(modes) > 1)][point.age].append(measured.value * scale)
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
        axes.axhline(reference * scale, color="black", linestyle=":", label="float")
    if any(min(line) < 1 for name, line in lines.items() if name not in timeless):
        # 0 has no logarithm: linear up to a second.
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=0)
    else:
        axes.set_xscale("log")
    axes.set_xlabel("seconds since programming")
    axes.set_ylabel("accuracy in %" if metric == "accuracy" else "bits per character")
    axes.set_title(network)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))


def _name(point: Point, several_modes: bool) -> str:
    """What a line is called."""
    ideal = point.devices().settings.device_model is None
    parts = ["quantised, " * ideal + point.pcm]
    if several_modes:
        parts.append(point.read_mode)
    if point.compensate:
        parts.append("drift compensated")
    return ", ".join(parts)
