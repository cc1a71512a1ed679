"""How a tile gathers input vectors from a feature map that arrives pixel by pixel.

A feature map comes row by row, one pixel after the other, each as one or more packets with the
bytes of its channels. The tile keeps as many of the last pixels as its activation buffer holds, a
ring, and gathers its rows of every im2col vector from there. Results leave pixel by pixel again,
pooled if so configured. (Our choice: the published chip left this to its host.)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from caduceus.spec.chip import Chip


@dataclass(frozen=True)
class Segment:
    """Neighboring rows of an input vector, from one pixel.

    Attributes:
        y, x: position in the kernel.
        channel, length: which of the pixel's kept bytes.
        row: the first row of the tile that they are given to.
    """

    y: int
    x: int
    channel: int
    length: int
    row: int


@dataclass(frozen=True)
class Window:
    """The im2col vectors of a tile: its block of their rows.

    Rows are in the order kernel y, kernel x, channel; a block begins and ends anywhere.

    Attributes:
        height, width: of the feature map, in pixels.
        channels: bytes that the tile keeps of a pixel.
        kernel, stride, padding: of the convolution; the kernel is square, padding is with zeros.
        position: kernel position of the tile's first row, y * kernel + x.
        channel: its channel among those kept.
        group, groups, period, first: columns of the results. A row of results has `groups` groups
            of `group` neighbors, group g from column `first` + g * `period` on: what is left out
            is other tiles', which have the same weights.
        packets: that make up a pixel, in this order.
    """

    height: int
    width: int
    channels: int
    kernel: int
    stride: int
    padding: int
    position: int
    channel: int
    group: int
    groups: int
    period: int
    first: int = 0
    packets: int = 1

    @property
    def pixels(self) -> int:
        """Pixels of the feature map."""
        return self.height * self.width

    @property
    def result_rows(self) -> int:
        """Rows of results."""
        return (self.height + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def results(self) -> int:
        """Results that a feature map makes."""
        return self.result_rows * self.groups * self.group

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """Columns of a row of results that are this tile's."""
        return tuple(
            self.first + self.period * group + column
            for group in range(self.groups)
            for column in range(self.group)
        )

    def capacity(self, chip: Chip) -> int:
        """Pixels that the activation buffer of `chip` holds."""
        return chip.buffers.activation // self.channels

    def segments(self, rows: int) -> Iterator[Segment]:
        """What a vector of `rows` rows is made of, in order."""
        row, position, channel = 0, self.position, self.channel
        while row < rows:
            length = min(self.channels - channel, rows - row)
            yield Segment(*divmod(position, self.kernel), channel, length, row)
            row, position, channel = row + length, position + 1, 0

    def oldest(self, result: int) -> int:
        """The first pixel that must still be there for result number `result`, and all after it.

        It is the one at the window's left in the row of the tile's first kernel position, or the
        map's first as long as that row is above the map. After the last result it is the pixel
        after the map's last.
        """
        if result >= self.results:
            return self.pixels
        row, column = divmod(result, self.groups * self.group)
        y = row * self.stride - self.padding + self.position // self.kernel
        x = self.columns[column] * self.stride - self.padding
        return 0 if y < 0 else min(y * self.width + max(0, x), self.pixels)

    def newest(self, result: int, rows: int) -> int:
        """The last pixel that must be there for result number `result`.

        One that is padding throughout waits for the first pixel: without it there is no map.
        """
        row, column = divmod(result, self.groups * self.group)
        top = row * self.stride - self.padding
        left = self.columns[column] * self.stride - self.padding
        for segment in reversed(tuple(self.segments(rows))):
            y, x = top + segment.y, left + segment.x
            if 0 <= y < self.height and 0 <= x < self.width:
                return y * self.width + x
        return 0

    def ring(self, chip: Chip) -> dict[str, int]:
        """Addresses and steps in the ring of kept pixels, in bytes, all modulo its size.

        Keys: `size` of the ring; `origin`: of the first row's byte of the map's first result;
        `result`, `group`, `row`, `map`: from there to that of the next result in its group, from a
        group's last to the next group's first, from the first of a row of results to that of the
        next, from a map's first to the next map's; `line`: from the byte after a kernel row's last
        to the next kernel row's first.
        """
        size = self.capacity(chip) * self.channels
        line = self.width * self.channels
        y, x = divmod(self.position, self.kernel)
        left = self.first * self.stride - self.padding + x
        steps = {
            "origin": (y - self.padding) * line + left * self.channels + self.channel,
            "result": self.stride * self.channels,
            "group": (self.period - self.group + 1) * self.stride * self.channels,
            "row": self.stride * line,
            "map": self.pixels * self.channels,
            "line": (self.width - self.kernel) * self.channels,
        }
        return {"size": size} | {key: step % size for key, step in steps.items()}


@dataclass(frozen=True)
class Pooling:
    """Square windows of results, side by side, that become one result each.

    What is left over at the right and at the bottom is dropped.

    Attributes:
        kind: `max`, or `average`: the sum divided by size * size, a power of two, to the nearest
            INT8, ties to even.
        size: of a window, in pixels; windows do not overlap.
        height, width: of the map of results.
    """

    kind: Literal["max", "average"]
    size: int
    height: int
    width: int

    @property
    def down(self) -> int:
        """Rows of windows."""
        return self.height // self.size

    @property
    def across(self) -> int:
        """Windows in a row."""
        return self.width // self.size

    @property
    def shift(self) -> int:
        """Binary logarithm of a window's size, for the average."""
        return (self.size * self.size).bit_length() - 1
