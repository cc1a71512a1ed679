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
        self.left = limits.matrices
        self.samples = self.build.samples(4, first.total, first.height, first.width, least=0)

    def grown(self) -> Case:
        """Layers until there is no room, then an end."""
        for _ in range(self.choose(range(1, self.limits.layers + 1))):
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
        """A convolution of the last map or of an earlier one, alone or joined with a map."""
        last = self.maps[-1]
        recent = self.maps[-1 : -self.limits.reach - 1 : -1]
        alike = [x for x in recent if x[2:] == last[2:]]
        # A branch has to come back to the last map: it keeps the size, and is joined.
        source = self.choose([last, *alike])
        branch = source is not last
        other = last if branch else self.choose(alike)
        kinds = [] if branch else ["none"]
        kinds += ["concat"] if len(other.parts) > 1 else ["add", "concat"]
        kind = self.choose(kinds)
        if kind == "none":
            y = self._conv(source, keep=self.choose([True, False]))
            if y is not None:
                self.maps.append(self._pool(self._relu(y)))
        elif kind == "add":
            # The input goes through an array of its own.
            extra = int(other.parts == ("x",))
            y = self._conv(source, True, rest=1 + extra, outputs=[other.total])
            if y is not None:
                self.left -= extra
                self.maps.append(self._sum(y, other))
        else:
            y = self._conv(source, True, rest=1 + len(other.parts))
            if y is not None:
                y = self._relu(y)
                parts, channels = (*y.parts, *other.parts), (*y.channels, *other.channels)
                self.maps.append(y._replace(parts=parts, channels=channels))

    def _sum(self, y: Map, other: Map) -> Map:
        names = [self.tensor(y), self.tensor(other)]
        total = self.build("Add", *self.choose([names, names[::-1]]))
        return self._relu(y._replace(parts=(total,)))

    def _conv(self, source: Map, keep: bool, rest: int = 1,
              outputs: Sequence[int] = ()) -> Map | None:  # fmt: skip
        """A convolution that fits and leaves `rest` arrays; None where none does.

        It keeps the size with `keep`, and has one of the counts of channels in `outputs`, if any.
        """
        counts = outputs or range(1, self.limits.channels + 1)
        options = [
            (window, count)
            for window in windows(source.height, source.width, keep)
            for count in counts
            if self.cost(source, window.side, count) + rest <= self.left
        ]
        sizes = sorted({(window.side, count) for window, count in options})
        if not sizes:
            return None
        side, channels = self.choose(sizes)
        window = self.choose(
            [each for each, count in options if (each.side, count) == (side, channels)]
        )
        self.left -= self.cost(source, side, channels)
        groups = [n for n in range(1, source.total + 1) if source.total % n == channels % n == 0]
        name = self.build.conv(
            self.tensor(source), source.total, channels, window.kernel, self.choose([True, False]),
            self.choose(groups), strides=[window.stride] * 2, pads=list(window.pads),
            dilations=[window.dilation] * 2,
        )  # fmt: skip
        height, width = (
            (size + window.pads[a] + window.pads[a + 2] - extent(window)[a]) // window.stride + 1
            for a, size in enumerate((source.height, source.width))
        )
        return Map((name,), (channels,), height, width)

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
        x = self.maps[-1]
        # A map that is not square becomes one among zeros.
        side = 2 * max(x.height, x.width) - min(x.height, x.width)
        ends = ["conv"]
        if self.cost(x, side, 4) <= self.left:
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
