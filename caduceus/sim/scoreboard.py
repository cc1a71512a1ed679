"""Exact comparison of arrays; a sentence names the first value that differs."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from caduceus.sim import tally


class Mismatch(AssertionError):
    """Arrays differ.

    Attributes:
        compared: values compared, the mismatched ones included.
        mismatches: values that differ.
        index: index of the first of them; empty if the shapes differ.
        place: the index in words, by `describe`.
        expected, got: its two values; None if the shapes differ.
    """

    def __init__(
        self,
        sentence: str,
        compared: int,
        mismatches: int,
        index: tuple[int, ...],
        place: object,
        expected: int | None = None,
        got: int | None = None,
    ) -> None:
        super().__init__(sentence)
        self.compared = compared
        self.mismatches = mismatches
        self.index = index
        self.place = place
        self.expected, self.got = expected, got


@dataclass(frozen=True)
class Agreement:
    """Outcome of a comparison without mismatch: `compared` values."""

    compared: int


def named(**values: object) -> str:
    """Values behind their names, for a mismatch's list of settings.

    >>> named(relu=True, rx_scale=f"{0x3C00:#06x}")
    'relu=1 rx_scale=0x3c00'
    """
    return " ".join(
        f"{name}={int(value) if isinstance(value, bool | np.bool_) else value}"
        for name, value in values.items()
    )


@dataclass(frozen=True)
class With:
    """A place, and `named` settings; a mismatch's sentence lists them after the values."""

    place: str
    settings: str

    def __str__(self) -> str:
        return self.place


def pixel_column(layer: str, first: int = 0) -> Callable[[tuple[int, ...]], str]:
    """A `describe` for arrays [pixels, columns] of `layer` whose first pixel is number `first`."""

    def describe(index: tuple[int, ...]) -> str:
        pixel, column = index
        return f"layer {layer}, pixel {first + pixel}, column {column}"

    return describe


def compare(
    expected: ArrayLike, got: ArrayLike, describe: Callable[[tuple[int, ...]], object]
) -> Agreement:
    """Check that two integer arrays are equal, value by value.

    Args:
        expected: integer array; any width; values and shape count.
        got: integer array.
        describe: gives the place of an index, whose `str` names it in words, as in
            `pixel_column("conv1")`.

    Raises:
        Mismatch: they differ. The sentence gives the first place, both values, and the numbers of
            wrong and compared values.
        TypeError: one is not an integer array.
    """
    # Widened, so that a wrapped value of a narrow type cannot equal one of a wider type.
    left, right = _integers("expected", expected), _integers("got", got)
    if left.shape != right.shape:
        place = describe((0,) * max(left.ndim, 1))
        raise Mismatch(
            f"from {place} on: expected shape {list(left.shape)}, got {list(right.shape)}",
            0, max(left.size, right.size), (), place,
        )  # fmt: skip
    wrong = np.argwhere(left != right)
    if len(wrong):
        index = tuple(int(position) for position in wrong[0])
        place = describe(index)
        raise Mismatch(
            f"{place}: expected {left[index]}, got {right[index]} "
            f"({len(wrong)} of {left.size} values differ)"
            f"{f', with {place.settings}' if isinstance(place, With) else ''}",
            left.size, len(wrong), index, place, int(left[index]), int(right[index]),
        )  # fmt: skip
    tally.add(left.size)
    return Agreement(compared=left.size)


@dataclass
class Counts:
    """Comparisons of a group.

    Attributes:
        compared, mismatches: values, the mismatched ones included, and those that differ.
        first: the first mismatch, if there is one.
    """

    compared: int = 0
    mismatches: int = 0
    first: Mismatch | None = None


@dataclass
class Scoreboard:
    """Collects comparisons, and continues after a mismatch.

    Attributes:
        groups: by name, in the order of the first comparison of each.
        order: sort key of mismatches: the least of a group's first mismatches becomes the group's,
            the earliest added one of equals.
    """

    groups: dict[str, Counts] = field(default_factory=dict)
    order: Callable[[Mismatch], float] = lambda _mismatch: 0

    @property
    def compared(self) -> int:
        """Values compared, the mismatched ones included."""
        return sum(each.compared for each in self.groups.values())

    @property
    def mismatches(self) -> int:
        """Values that differ."""
        return sum(each.mismatches for each in self.groups.values())

    @property
    def first(self) -> str:
        """Sentence of the first mismatch in the first group with one; empty if there is none."""
        found = (each.first for each in self.groups.values() if each.first)
        return str(next(found, ""))

    def add(
        self,
        expected: ArrayLike,
        got: ArrayLike,
        describe: Callable[[tuple[int, ...]], object],
        group: str = "",
    ) -> None:
        """Compare two integer arrays as `compare` does, and count mismatches for `group`."""
        counts = self.groups.setdefault(group, Counts())
        try:
            counts.compared += compare(expected, got, describe).compared
        except Mismatch as mismatch:
            counts.compared += mismatch.compared
            counts.mismatches += mismatch.mismatches
            if counts.first is None or self.order(mismatch) < self.order(counts.first):
                counts.first = mismatch


def _integers(name: str, values: ArrayLike) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iub" and array.size:
        raise TypeError(f"{name} is {array.dtype}: expected integer arrays")
    # int64 holds every value of the chip; only uint64 could be mistaken for negatives.
    if array.dtype == np.uint64 and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise TypeError(f"{name} holds {int(array.max())}: expected at most 2**63 - 1")
    return array.astype(np.int64)
