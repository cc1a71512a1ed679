"""Comparing what came with what was expected: equality, and the first mismatch told in full."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from caduceus.sim import tally


class Mismatch(AssertionError):
    """Got something else than expected.

    Attributes:
        compared: values compared, the mismatched ones included.
        mismatches: values that differ.
        index: index of the first of them.
    """

    def __init__(
        self, sentence: str, compared: int, mismatches: int, index: tuple[int, ...]
    ) -> None:
        super().__init__(sentence)
        self.compared = compared
        self.mismatches = mismatches
        self.index = index


@dataclass(frozen=True)
class Agreement:
    """What a comparison without mismatch covered: `compared` values."""

    compared: int


def pixel_column(layer: str, first: int = 0) -> Callable[[tuple[int, ...]], str]:
    """A `describe` for arrays [pixels, columns] of `layer` whose first pixel is number `first`."""

    def describe(index: tuple[int, ...]) -> str:
        pixel, column = index
        return f"layer {layer}, pixel {first + pixel}, column {column}"

    return describe


def compare(
    expected: ArrayLike, got: ArrayLike, describe: Callable[[tuple[int, ...]], str]
) -> Agreement:
    """Demand that two integer arrays are equal, value by value.

    Args:
        expected: integer array; its type does not matter, only its values and shape.
        got: likewise.
        describe: says in words where an index of the arrays lies, e.g. `pixel_column("conv1")`.

    Raises:
        Mismatch: they differ. The sentence gives the first place, both values, and how many of
            how many differ.
        TypeError: one is not an integer array: equality of anything else is not this test.
    """
    # Widened, so that a wrapped value of a narrow type cannot equal another of a wider one.
    left, right = _integers("expected", expected), _integers("got", got)
    if left.shape != right.shape:
        raise Mismatch(
            f"{describe((0,) * max(left.ndim, 1))} and on: expected shape {list(left.shape)}, "
            f"got {list(right.shape)}",
            0, max(left.size, right.size), (),
        )  # fmt: skip
    wrong = np.argwhere(left != right)
    if len(wrong):
        index = tuple(int(position) for position in wrong[0])
        raise Mismatch(
            f"{describe(index)}: expected {left[index]}, got {right[index]} "
            f"({len(wrong)} of {left.size} values differ)",
            left.size, len(wrong), index,
        )  # fmt: skip
    tally.add(left.size)
    return Agreement(compared=left.size)


class Scoreboard:
    """Everything compared so far, to go on after a mismatch.

    Attributes:
        compared, mismatches: values, the mismatched ones included, and those that differ.
        by_group: the latter by group, in the order in which groups came.
        first: sentence of the first mismatch; empty if there is none.
    """

    def __init__(self) -> None:
        self.compared, self.mismatches, self.first = 0, 0, ""
        self.by_group: dict[str, int] = {}

    def add(
        self,
        expected: ArrayLike,
        got: ArrayLike,
        describe: Callable[[tuple[int, ...]], str],
        group: str = "",
    ) -> None:
        """Compare two integer arrays as `compare` does, and count mismatches for `group`."""
        self.by_group.setdefault(group, 0)
        try:
            self.compared += compare(expected, got, describe).compared
        except Mismatch as mismatch:
            self.compared += mismatch.compared
            self.mismatches += mismatch.mismatches
            self.by_group[group] += mismatch.mismatches
            self.first = self.first or str(mismatch)


def _integers(name: str, values: ArrayLike) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iub" and array.size:
        raise TypeError(f"{name} is {array.dtype}: expected integer arrays")
    # int64 holds every value of the chip; only uint64 could not be told apart from negatives.
    if array.dtype == np.uint64 and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise TypeError(f"{name} holds {int(array.max())}: expected at most 2**63 - 1")
    return array.astype(np.int64)
