"""A network between ONNX and its description: a graph of what is computed, one step after another.

A step gives one tensor, a map of channels, height and width; a vector is a map of one pixel.
Renaming operators (reshape, transpose, ...) are no steps: see `views`. Weights are binary64.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]
"""Channels, height, width."""
Real = NDArray[np.float64]


@dataclass(eq=False)
class Step:
    """What all kinds have.

    Attributes:
        node: name of the ONNX node that it came from.
        operator: of that node.
        inputs: steps whose tensors it takes.
        shape: of its tensor.
        scale: real value of an INT8 step of its tensor, where the model brings it.
    """

    node: str
    operator: str
    inputs: list["Step"]
    shape: Shape
    scale: float | None = field(default=None, init=False)

    @property
    def count(self) -> int:
        """Values of its tensor."""
        channels, height, width = self.shape
        return channels * height * width


@dataclass(eq=False)
class Source(Step):
    """The network's input, as the chip gets it.

    Attributes:
        tensor: name of the ONNX tensor that has its values.
        layout: `chw` or `hwc` for a map; `vector` for anything flat.
    """

    tensor: str
    layout: Literal["chw", "hwc", "vector"]


@dataclass(eq=False)
class Matrix(Step):
    """A convolution, or a dense layer: that is one with a kernel as large as its input.

    Attributes:
        weight: [outputs, channels, kernel height, kernel width]; groups and dilation are zeros.
        bias: [outputs].
        stride: down and across.
        pads: top, left, bottom, right.
        dense: whether it is a dense layer.
        weights: number of weights of the operator, without the zeros.
        form: what the operator's window is, in words; empty for a plain one.
        step: per output the real value that its weights are multiples of, of a quantized model.
    """

    weight: Real
    bias: Real
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dense: bool = False
    weights: int = 0
    form: str = ""
    step: Real | None = None


@dataclass(eq=False)
class Affine(Step):
    """Each value times a factor, plus a shift; both [channels, height, width]."""

    factor: Real
    shift: Real

    def channels(self) -> tuple[Real, Real] | None:
        """Factor and shift by channel, [channels] each; None where they differ within one."""
        found = []
        for each in (self.factor, self.shift):
            first = each[:, :1, :1]
            if not (each == first).all():
                return None
            found.append(first[:, 0, 0])
        return found[0], found[1]


@dataclass(eq=False)
class Relu(Step):
    """The larger of each value and 0."""


@dataclass(eq=False)
class Add(Step):
    """The sum of two tensors."""


@dataclass(eq=False)
class Concat(Step):
    """The channels of all inputs, one input after another."""


@dataclass(eq=False)
class Pad(Step):
    """Zeros around a map: top, left, bottom, right."""

    pads: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(eq=False)
class Pool(Step):
    """The largest value, or the average, of every window.

    Attributes:
        kind: of pooling.
        size, stride: down and across.
        pads: top, left, bottom, right.
        counts_pads: whether an average counts the zeros of the padding.
    """

    kind: Literal["max", "average"]
    size: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    counts_pads: bool = False


@dataclass
class Graph:
    """All steps.

    Attributes:
        file: of the model, for errors.
        source: the input.
        output: the step whose tensor is the network's output.
    """

    file: str
    source: Source
    output: Step

    def steps(self) -> list[Step]:
        """All steps that the output needs, each after those that it takes."""
        found: dict[int, Step] = {}
        waiting: list[tuple[Step, Iterator[Step]]] = [(self.output, iter(self.output.inputs))]
        open_ = {id(self.output)}
        while waiting:
            step, rest = waiting[-1]
            after = next((s for s in rest if id(s) not in open_), None)
            if after is None:
                found[id(step)] = step
                waiting.pop()
            else:
                open_.add(id(after))
                waiting.append((after, iter(after.inputs)))
        return list(found.values())

    def consumers(self) -> dict[int, list[Step]]:
        """By the id of a step those that take its tensor, one entry for each time."""
        found: dict[int, list[Step]] = {id(step): [] for step in self.steps()}
        for step in self.steps():
            for each in step.inputs:
                found[id(each)].append(step)
        return found

    def replace(self, old: Step, new: Step, keep: Sequence[Step] = ()) -> None:
        """Give `new` to all that take `old`, except to the steps in `keep`."""
        for step in self.steps():
            if step is not new and not any(step is each for each in keep):
                step.inputs = [new if each is old else each for each in step.inputs]
        if self.output is old:
            self.output = new
