"""Activity of the tiles over time: a trace for Perfetto or Chrome, a picture, utilization.

The trace is in Chrome's trace event format: one process per tile, one thread per unit.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caduceus.sim import recording
from caduceus.spec.files import write_whole
from caduceus.spec.program import Program, TileProgram
from caduceus.spec.program_codes import computing

UNITS = ("gather", "array", "LDPU", "stalled")
"""Names of the activity bits, lowest first."""
ARRAY = UNITS.index("array")
_BINS = 400
"""Number of columns of the picture."""
_TILE_INCHES, _WIDTH_INCHES = 0.16, 10.0


def prepare_to_draw() -> None:
    """Import what `Events.write_picture` needs, and have it find its fonts: this takes a second."""
    from matplotlib.backends import backend_agg  # noqa: F401
    from matplotlib.figure import Figure

    Figure().text(0, 0, " ").get_window_extent()


@dataclass(frozen=True)
class Activity:
    """Spans of time in which a unit was active.

    Attributes:
        starts, ends: in ps, int64 [n], in order, without overlap.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def between(self, edges: NDArray[np.int64]) -> NDArray[np.float64]:
        """Share of each interval between neighboring `edges` in which the unit was active."""
        # Active time up to each edge, interpolated within spans.
        times = np.stack([self.starts, self.ends], axis=1).ravel()
        done = np.repeat(np.cumsum(self.ends - self.starts), 2)
        done[0::2] -= self.ends - self.starts
        upto = np.interp(edges, times, done) if len(times) else np.zeros(len(edges))
        return np.diff(upto) / np.diff(edges)


def label(tile: TileProgram) -> str:
    """Short name of the network block that a tile holds."""
    block = tile.block
    replica = f" #{block.replica}" if block.replica else ""
    columns = f".{block.columns}" if block.columns else ""
    return f"{block.layer}[{block.rows}{columns}]{replica}"


def read(program: Program, folder: Path, end_ps: int) -> dict[int, tuple[Activity, ...]]:
    """Activities of every computing tile, in the order of `UNITS`; open spans end at `end_ps`."""
    found = {}
    for tile in computing(program):
        changes = recording.activity(folder, tile.tile)
        times, bits = changes[:, 0], changes[:, 1]
        units = []
        for unit in range(len(UNITS)):
            level = np.concatenate([[0], bits >> unit & 1, [0]])
            edges = np.diff(level)
            moments = np.append(times, end_ps)
            units.append(Activity(moments[edges > 0], moments[edges < 0]))
        found[tile.tile] = tuple(units)
    return found


@dataclass(frozen=True)
class Events:
    """Activity of every computing tile, in a run from `start_ps` to `end_ps`.

    Attributes:
        activities: by tile, in the order of `UNITS`.
        jobs: number of simulations, one after another.
    """

    activities: Mapping[int, tuple[Activity, ...]]
    start_ps: int
    end_ps: int
    jobs: int = 1

    def shares(self) -> dict[int, dict[str, float]]:
        """By tile, the share of the time in which each unit was active."""
        edges = np.array([self.start_ps, self.end_ps])
        return {
            tile: {
                name: float(unit.between(edges)[0]) for name, unit in zip(UNITS, units, strict=True)
            }
            for tile, units in self.activities.items()
        }

    def bottleneck(self, program: Program) -> str:
        """The layer whose tiles' arrays and LDPUs have the least idle time."""
        found = self.shares()

        def load(tile: TileProgram) -> float:
            mine = found[tile.tile]
            return max(mine["array"], mine["LDPU"] - mine["stalled"])

        return max(computing(program), key=load).block.layer

    def write_trace(self, path: Path, program: Program) -> None:
        """Write the trace; its times count from `start_ps`.

        Raises:
            UserError: it cannot be written.
        """
        events: list[dict] = []
        for tile in computing(program):
            number = tile.tile
            events.append(
                {"ph": "M", "name": "process_name", "pid": number,
                 "args": {"name": f"tile {number}: {label(tile)}"}}
            )  # fmt: skip
            events.append(
                {
                    "ph": "M",
                    "name": "process_sort_index",
                    "pid": number,
                    "args": {"sort_index": number},
                }
            )
            for unit, (name, activity) in enumerate(
                zip(UNITS, self.activities[number], strict=True)
            ):
                events.append(
                    {"ph": "M", "name": "thread_name", "pid": number, "tid": unit,
                     "args": {"name": name}}
                )  # fmt: skip
                events += [
                    {"ph": "X", "name": name, "pid": number, "tid": unit,
                     "ts": (int(start) - self.start_ps) / 1e6, "dur": (int(end) - int(start)) / 1e6}
                    for start, end in zip(activity.starts, activity.ends, strict=True)
                ]  # fmt: skip
        text = json.dumps({"displayTimeUnit": "ns", "traceEvents": events}, separators=(",", ":"))
        write_whole(path, text + "\n", "trace")

    def write_picture(self, path: Path, program: Program) -> None:
        """Draw the share of time in which every tile's array is active, over time, as PNG.

        Raises:
            UserError: it cannot be written.
        """
        from matplotlib.figure import Figure  # Takes a second to import, see `prepare_to_draw`.

        tiles = self._by_layer(program)
        edges = np.linspace(self.start_ps, self.end_ps, _BINS + 1).astype(np.int64)
        image = np.array([self.activities[tile.tile][ARRAY].between(edges) for tile in tiles])
        figure = Figure(
            figsize=(_WIDTH_INCHES, 1.2 + _TILE_INCHES * len(tiles)), layout="constrained"
        )
        axes = figure.subplots()
        shown = axes.imshow(
            image,
            aspect="auto",
            interpolation="nearest",
            cmap="viridis",
            vmin=0,
            vmax=1,
            extent=(0, (self.end_ps - self.start_ps) / 1e6, len(tiles) - 0.5, -0.5),
        )
        axes.set_yticks(range(len(tiles)), [f"{label(t)}  {t.tile}" for t in tiles], fontsize=7)
        axes.set_xlabel("time, us")
        axes.set_title(
            f"{program.network} on {program.chip}, {program.read_mode} reads: "
            "share of time in which a tile's array is active"
            + (f", {self.jobs} jobs one after another" if self.jobs > 1 else "")
        )
        figure.colorbar(shown, ax=axes, fraction=0.03)
        content = BytesIO()
        figure.savefig(content, format="png", dpi=120)
        write_whole(path, content.getvalue(), "picture")

    def _by_layer(self, program: Program) -> list[TileProgram]:
        """The computing tiles; layers in the order of their first activity."""
        begins: dict[str, int] = {}
        for tile in computing(program):
            starts = self.activities[tile.tile][ARRAY].starts
            first = int(starts[0]) if len(starts) else np.iinfo(np.int64).max
            begins[tile.block.layer] = min(begins.get(tile.block.layer, first), first)

        def place(tile: TileProgram) -> tuple:
            block = tile.block
            return begins[block.layer], block.layer, block.replica, block.columns, block.rows

        return sorted(computing(program), key=place)


def joined(runs: Sequence[Events]) -> Events:
    """Runs of the same tiles, one after another from 0 ps on, each from its start to its end."""
    times = np.cumsum([0, *(run.end_ps - run.start_ps for run in runs)])
    activities = {
        tile: tuple(
            _in_turn([run.activities[tile][unit] for run in runs], runs, times)
            for unit in range(len(UNITS))
        )
        for tile in runs[0].activities
    }
    return Events(activities, 0, int(times[-1]), sum(run.jobs for run in runs))


def _in_turn(
    parts: Sequence[Activity], runs: Sequence[Events], times: NDArray[np.int64]
) -> Activity:
    """A unit's activity in all runs, without what lies after the end of one."""
    starts, ends = [], []
    for part, run, time in zip(parts, runs, times, strict=False):
        inside = part.starts < run.end_ps
        starts.append(part.starts[inside] - run.start_ps + time)
        ends.append(np.minimum(part.ends[inside], run.end_ps) - run.start_ps + time)
    return Activity(np.concatenate(starts), np.concatenate(ends))
