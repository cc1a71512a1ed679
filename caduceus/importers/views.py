"""Tensors of a model as numbers of a step's values, so that renaming operators need no arithmetic.

A view says, for each value of an ONNX tensor, which value of a step's map it is. Reshape,
transpose, flatten, squeeze and the like permute or reshape these numbers, nothing else.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caduceus.importers.steps import Step


@dataclass(frozen=True, eq=False)
class View:
    """An ONNX tensor.

    Attributes:
        step: whose values it has.
        index: integers in the tensor's shape without the batch axis: place of each value in the
            step's map, flattened as channel, y, x.
    """

    step: Step
    index: NDArray[np.int64]

    @classmethod
    def whole(cls, step: Step, shape: tuple[int, ...] | None = None) -> "View":
        """All values in order, in `shape`; the step's own if None."""
        return cls(step, np.arange(step.count).reshape(step.shape if shape is None else shape))

    @property
    def complete(self) -> bool:
        """Whether it has each value once."""
        flat = np.sort(self.index, axis=None)
        return flat.size == self.step.count and bool((flat == np.arange(flat.size)).all())

    def same(self, other: "View") -> bool:
        """Whether two views show their steps' values in the same order."""
        return self.index.shape == other.index.shape and bool((self.index == other.index).all())

    def channels(self) -> NDArray[np.int64] | None:
        """The step's channel that each channel of a map [c, y, x] is; None for another view.

        A vector [c] is a map of one pixel, a sequence [c, x] one of one row.
        """
        _, height, width = self.step.shape
        index = self.index
        if index.ndim < 3 and height == 1:
            index = index.reshape(len(index), 1, -1)
        if index.ndim != 3 or index.shape[1:] != (height, width):
            return None
        pixels = np.arange(height * width).reshape(height, width)
        first = index[:, :1, :1]
        if (first % (height * width)).any() or not (index == first + pixels).all():
            return None
        return first[:, 0, 0] // (height * width)
