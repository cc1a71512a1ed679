"""Results of many points: those that are stored are taken, the others are measured and stored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from caduceus.study.dask_workers import Workers, cluster, measured
from caduceus.study.point_store import PointStore
from caduceus.study.points import Files, Measured, Point, check, key

Results = dict[Point, Measured]


def points_of(count: int) -> str:
    """A number of points in words."""
    return f"{count} point{'s' * (count != 1)}"


def collect(
    points: Sequence[Point],
    workers: Workers,
    console: Console,
    store: PointStore,
    take: Callable[[Results], None] = lambda _: None,
) -> Results:
    """Measure all points that have no stored result, and return the results of all.

    Every result is stored as soon as it is there: after an interruption the next run continues.

    Args:
        points: what to measure; equal measurements are made once.
        workers: processes that measure.
        console: shows the progress.
        store: where results are kept.
        take: gets all results so far: first those that are stored, then again after each one.

    Raises:
        UserError: a point cannot be measured (before any is, where that can be known), or as
            `caduceus.study.dask_workers`.
    """
    files = Files()
    keys = {point: key(point, files) for point in points}
    done: dict[str, Measured] = {}
    missing: dict[str, Point] = {}
    for point, name in keys.items():
        stored = store.load(name)
        if stored is None:
            missing.setdefault(name, point)
        else:
            done[name] = stored

    def results() -> Results:
        return {point: done[name] for point, name in keys.items() if name in done}

    count = len(set(keys.values()))
    console.print(
        f"{points_of(count)}: {count - len(missing)} stored, {len(missing)} to measure",
        highlight=False,
    )
    _check(missing.values())
    take(results())
    if not missing:
        return results()
    with cluster(workers) as client, _Bar(console, count, missing, done) as bar:
        bar.workers = len(client.ncores())
        for name, result in measured(client, missing):
            store.save(name, missing[name], result)
            done[name] = result
            bar.finished(name, result)
            take(results())
    return results()


def _check(points: Sequence[Point]) -> None:
    """Refuse what cannot be measured; points that differ in seed and age alone are checked once."""
    seen = set()
    for point in points:
        kind = replace(point, seed=0, age=0.0, compensate=None)
        if kind not in seen:
            seen.add(kind)
            check(point)


@dataclass
class _Bar:
    """A bar on a terminal, one line per point elsewhere, with an estimate of the time left.

    Attributes:
        console: where they go.
        count: points in all.
        missing: those to measure, by key.
        done: results by key, those of earlier runs included.
        workers: how many measure.
    """

    console: Console
    count: int
    missing: Mapping[str, Point]
    done: Mapping[str, Measured]
    workers: int = 1
    _seconds: dict[tuple, list[float]] = field(default_factory=dict)

    def __enter__(self) -> "_Bar":
        self._bar = Progress(
            TextColumn("points"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.description}"), console=self.console,
        )  # fmt: skip
        stored = self.count - len(self.missing)
        self._task = self._bar.add_task("", total=self.count, completed=stored)
        if self.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._bar.stop()

    def finished(self, name: str, result: Measured) -> None:
        """Take the result of the point with that key."""
        for kind in _kinds(self.missing[name]):
            self._seconds.setdefault(kind, []).append(result.seconds)
        left = self._left()
        waiting = sum(name not in self.done for name in self.missing)
        rest = f"about {_duration(left)} left" if waiting else ""
        self._bar.update(self._task, completed=self.count - waiting, description=rest)
        if not self.console.is_terminal:
            self.console.print(
                f"{self.count - waiting} of {self.count}: {self.missing[name]}: "
                f"{result.metric} {result.value:.4f}" + (f"; {rest}" if rest else ""),
                highlight=False,
                soft_wrap=True,
            )

    def _left(self) -> float:
        """Seconds that the points still to be measured will take, from those most like them."""
        total = longest = 0.0
        for name, point in self.missing.items():
            if name in self.done:
                continue
            taken = next(self._seconds[kind] for kind in _kinds(point) if kind in self._seconds)
            mean = sum(taken) / len(taken)
            total, longest = total + mean, max(longest, mean)
        return max(total / self.workers, longest)


def _kinds(point: Point) -> tuple[tuple, ...]:
    """What points of about the same duration have in common, closest first."""
    return (
        (point.network, point.chip, point.read_mode, point.pcm),
        (point.network, point.chip),
        (),
    )


def _duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
