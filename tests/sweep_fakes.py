"""Stand-ins for workers: points measured here and now, with made-up or real results."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from caduceus.study import collect
from caduceus.study.points import Measured, Point


def made_up(point: Point) -> Measured:
    """A result that is different for each seed, age and compensation."""
    value = 0.5 + point.seed / 100 - point.age / 1e7 + point.compensate / 10
    return Measured("accuracy", value, 0.9, point.count or 10_000, 2.0)


def here(monkeypatch, measure: Callable[[Point], Measured] = made_up) -> list[Point]:
    """Let `collect` measure in this process; returns the list that will hold what it measured."""
    measured = []

    @contextmanager
    def cluster(_workers: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(ncores=lambda: {"a": 1, "b": 1})

    def each(_client: object, points: dict[str, Point]) -> Iterator[tuple[str, Measured]]:
        for key, point in points.items():
            measured.append(point)
            yield key, measure(point)

    monkeypatch.setattr(collect, "cluster", cluster)
    monkeypatch.setattr(collect, "measured", each)
    return measured
