"""Random convolutional ONNX models: branches, skips that cross, concats, windows of all forms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies
from onnx_build import Build, Case

Choose = Callable[[Sequence[Any]], Any]
"""Takes one of several values; the first ones are the simplest."""


@dataclass(frozen=True)
class Limits:
    """What a model may take.

    Attributes:
        matrices: number of arrays that its layers fill, as `cost` counts them.
        rows, columns: of an array.
        side, channels: most of a map.
        layers: most convolutions.
        reach: over how many layers a skip goes at most.
    """

    matrices: int = 4
    rows: int = 16
    columns: int = 16
    side: int = 8
    channels: int = 4
    layers: int = 3
    reach: int = 4


TINY = Limits()
"""Chip `tiny`: four arrays of 16x16."""
MANY = Limits(matrices=40, rows=32, columns=16, layers=8)
"""8x8 tiles with small arrays."""


class Map(NamedTuple):
    """A tensor: its parts (several where it is a concat), and their channels; height and width."""

    parts: tuple[str, ...]
    channels: tuple[int, ...]
    height: int
    width: int

    @property
    def total(self) -> int:
        """Channels of all parts."""
        return sum(self.channels)


class Window(NamedTuple):
    """Of a convolution: the form, and the side of the square kernel that it takes."""

    kernel: tuple[int, int]
    stride: int
    pads: tuple[int, int, int, int]
    dilation: int
    side: int


def extent(window: Window) -> tuple[int, int]:
    """Pixels from a kernel's first tap to its last, down and across."""
    down, across = ((size - 1) * window.dilation + 1 for size in window.kernel)
    return down, across


def by_seed(seed: int) -> Choose:
    """Random choices."""
    random = np.random.default_rng(seed)
    return lambda values: values[int(random.integers(len(values)))]


@strategies.composite
def graphs(draw: strategies.DrawFn, limits: Limits = TINY) -> Case:
    """Models within `limits`, for hypothesis."""
    seed = draw(strategies.integers(0, 2**16))
    return random_graph(lambda values: draw(strategies.sampled_from(values)), limits, seed)


def random_graph(choose: Choose | int, limits: Limits = TINY, seed: int | None = None) -> Case:
    """A model and sample inputs.

    Args:
        choose: what makes the choices, or a seed for them.
        limits: of the model.
        seed: of the weights; that of the choices if None.
    """
    if isinstance(choose, int):
        seed = choose if seed is None else seed
        choose = by_seed(choose)
    return _Growing(choose, limits, seed or 0).grown()


def square_side(size: tuple[int, int], extent: tuple[int, int], stride: int,
                pads: tuple[int, int, int, int]) -> int | None:  # fmt: skip
    """The smallest square kernel with equal padding that gives as many results; None: none."""
    wanted = [(size[a] + pads[a] + pads[a + 2] - extent[a]) // stride + 1 for a in range(2)]
    for padding in range(max(pads), 9):
        least = max(padding - pads[a] + extent[a] for a in range(2))
        for side in range(max(least, padding + 1), 16):
            if [(size[a] + 2 * padding - side) // stride + 1 for a in range(2)] == wanted:
                return side
    return None


@cache
def windows(height: int, width: int, same: bool) -> tuple[Window, ...]:
    """Windows for a map, smallest square kernel first; `same`: they keep its size."""
    found = []
    for kernel in product((1, 2, 3), repeat=2):
        for dilation, stride in product((1, 2), (1,) if same else (1, 2, 3)):
            extent = tuple((size - 1) * dilation + 1 for size in kernel)
            if dilation > 1 and kernel == (1, 1):
                continue
            for top, left, bottom, right in product(range(3), repeat=4):
                pads = (top, left, bottom, right)
                around = (top + bottom, left + right)
                if same and around != (extent[0] - 1, extent[1] - 1):
                    continue
                if any(pads[a] >= extent[a % 2] for a in range(4)):
                    continue
                if extent[0] > height + around[0] or extent[1] > width + around[1]:
                    continue
                side = square_side((height, width), extent, stride, pads)
                if side is not None:
                    found.append(Window(kernel, stride, pads, dilation, side))
    return tuple(sorted(found, key=lambda window: (window.side, window)))


class _Growing:
    """A model in the making: every map but the last is taken by at least one layer."""

    def __init__(self, choose: Choose, limits: Limits, seed: int) -> None:
        self.choose, self.limits = choose, limits
        self.build = Build("random", seed=seed)
        side = range(4, limits.side + 1)
        first = Map(("x",), (choose([1, 2]),), choose(side), choose(side))
        self.maps = [first]
        self.left = limits.matrices - 1  # the last one is for the end
        self.samples = self.build.samples(4, first.total, first.height, first.width, least=0)

    def grown(self) -> Case:
        """Layers until there is no room, then an end."""
        for _ in range(self.choose(range(1, self.limits.layers + 1))):
            if self.left < 1:
                break
            self._layer()
        return self._end()

    def cost(self, source: Map, side: int, outputs: int) -> int:
        """Arrays that a square kernel takes: a concat has a matrix for each part."""
        across = -(-outputs // self.limits.columns)
        return across * sum(
            -(-side * side * channels // self.limits.rows) for channels in source.channels
        )

    def tensor(self, x: Map) -> str:
        """Its name; makes the concat."""
        return x.parts[0] if len(x.parts) == 1 else self.build("Concat", *x.parts, axis=1)

    def _layer(self) -> None:
        """A convolution of the last map or of an earlier one, and what joins it with others."""
        last = self.maps[-1]
        recent = self.maps[-1 : -self.limits.reach - 1 : -1]
        alike = [x for x in recent if x[2:] == last[2:]]
        # A branch has to come back to the last map: it keeps the size, and is joined.
        source = self.choose([last, *alike])
        branch = source is not last
        y = self._conv(source, keep=branch or self.choose([True, False]))
        if y is None:
            return
        joins = ["none"] if y[2:] != last[2:] else ["add", "concat"]
        kind = self.choose(joins if branch else ["none", *joins])
        if kind == "none":
            y = self._pool(self._relu(y))
        elif kind == "concat":
            y = self._relu(y)
            other = last if branch else self.choose(alike)
            y = Map((*y.parts, *other.parts), (*y.channels, *other.channels), *y[2:])
        else:
            others = [last] if branch else [x for x in alike if x.total == y.total]
            others = [x for x in others if x.total == y.total and len(x.parts) == 1]
            if others:
                y = self._sum(y, self.choose(others))
            elif branch:
                y = self._relu(y)
                y = Map((*y.parts, *last.parts), (*y.channels, *last.channels), *y[2:])
            else:
                y = self._relu(y)
        self.maps.append(y)

    def _sum(self, y: Map, other: Map) -> Map:
        if other.parts == ("x",):
            self.left -= 1  # the input goes through an array of its own
        names = [self.tensor(y), self.tensor(other)]
        total = self.build("Add", *self.choose([names, names[::-1]]))
        return self._relu(y._replace(parts=(total,)))

    def _conv(self, source: Map, keep: bool) -> Map | None:
        """A convolution that fits; `keep` the size. None where none does."""
        options = [
            (window, outputs)
            for window in windows(source.height, source.width, keep)
            for outputs in range(1, self.limits.channels + 1)
            if self.cost(source, window.side, outputs) <= self.left
        ]
        sizes = sorted({(window.side, outputs) for window, outputs in options})
        if not sizes:
            return None
        side, outputs = self.choose(sizes)
        window = self.choose(
            [each for each, count in options if (each.side, count) == (side, outputs)]
        )
        self.left -= self.cost(source, side, outputs)
        groups = [n for n in range(1, source.total + 1) if source.total % n == outputs % n == 0]
        name = self.build.conv(
            self.tensor(source), source.total, outputs, window.kernel, self.choose([True, False]),
            self.choose(groups), strides=[window.stride] * 2, pads=list(window.pads),
            dilations=[window.dilation] * 2,
        )  # fmt: skip
        height, width = (
            (size + window.pads[a] + window.pads[a + 2] - extent(window)[a]) // window.stride + 1
            for a, size in enumerate((source.height, source.width))
        )
        return Map((name,), (outputs,), height, width)

    def _relu(self, x: Map) -> Map:
        if not self.choose([True, True, False]):
            return x
        return x._replace(parts=(self.build("Relu", self.tensor(x)),))

    def _pool(self, x: Map) -> Map:
        operators = ["none"]
        if x.height % 2 == x.width % 2 == 0:
            operators += ["none", "MaxPool", "AveragePool"]
        operator = self.choose(operators)
        if operator == "none":
            return x
        name = self.build(operator, self.tensor(x), kernel_shape=[2, 2], strides=[2, 2])
        return Map((name,), (x.total,), x.height // 2, x.width // 2)

    def _end(self) -> Case:
        """A dense layer over the last map if it fits, a 1x1 convolution otherwise."""
        x, room = self.maps[-1], self.left + 1
        # A map that is not square becomes one among zeros.
        side = 2 * max(x.height, x.width) - min(x.height, x.width)
        ends = ["conv"]
        if self.cost(x, side, 4) <= room:
            ends += ["dense", "average"]
        end = self.choose(ends)
        if end == "conv":
            y = self.build.conv(self.tensor(x), x.total, 2, 1)
            return self.build.case(y, ("N", 2, x.height, x.width), self.samples)
        name = self.tensor(x)
        name = self.build("GlobalAveragePool", name) if end == "average" else name
        count = x.total if end == "average" else x.total * x.height * x.width
        y = self.build.dense(self.build("Flatten", name), count, 4)
        return self.build.case(y, ("N", 4), self.samples)
