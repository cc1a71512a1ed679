"""Rewritten steps to layers: a matrix, what is added to its result, ReLU, and pooling."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from caduceus.importers.rewrite import identity, pooled, refused
from caduceus.importers.steps import Add, Affine, Graph, Matrix, Pool, Relu, Source, Step
from caduceus.importers.windows import Square, placed, square
from caduceus.spec.graph import INPUT, NAME_MAX


@dataclass(eq=False)
class LayerSteps:
    """A layer of the chip in the making.

    Attributes:
        matrix: its matrix.
        end: its last step, whose tensor is the layer's.
        residual: what is added to the matrix's result.
        relu, pool: after that.
        operators: of the ONNX nodes that it does.
        scale: real value of an INT8 step of its tensor, where the model brings it.
    """

    matrix: Matrix
    end: Step
    residual: Step | None = None
    relu: bool = False
    pool: Pool | None = None
    operators: list[str] = field(default_factory=list)
    scale: float | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing follows the matrix yet."""
        return self.residual is None and not self.relu and self.pool is None


class Layers:
    """The layers of a graph, in an order in which each takes the tensors of earlier ones.

    Args:
        graph: after `rewrite.rewritten`.

    Attributes:
        layers: the layers.
        source: what the first ones take.
        normalize: the host's factor and shift of the input; None without.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._users = graph.consumers()
        self._of: dict[int, LayerSteps] = {}
        self._made: list[LayerSteps] = []
        self.source: Step = graph.source
        self.normalize: Affine | None = None
        for step in graph.steps():
            self._take(step)
        if graph.output is self.normalize:
            graph.output = self._insert(graph.output, graph.output).end
        if graph.output is graph.source:
            raise refused(graph, self.source, "got a network without a layer, expected one")
        self._end(graph.output)
        self.layers = self._ordered()

    def _take(self, step: Step) -> None:
        if isinstance(step, Source):
            return
        if isinstance(step, Affine):
            self.source, self.normalize = step, step
            return
        if isinstance(step, Matrix):
            made = LayerSteps(step, step, operators=[step.operator], scale=step.scale)
            self._made.append(made)
            self._of[id(step)] = made
        elif isinstance(step, Add):
            self._add(step)
        elif isinstance(step, Relu):
            self._relu(step)
        elif isinstance(step, Pool):
            self._pool(step)

    def _open(self, step: Step) -> LayerSteps | None:
        """The layer that ends with `step`, if what takes its tensor can be part of the layer."""
        layer = self._of.get(id(step))
        alone = len(self._users.get(id(step), [None])) == 1 and self._graph.output is not step
        return layer if layer and layer.end is step and alone else None

    def _insert(self, step: Step, source: Step) -> LayerSteps:
        """A layer that changes nothing, so that `step` has a matrix before it."""
        matrix = identity(step, source)
        made = LayerSteps(matrix, matrix, operators=[matrix.operator], scale=matrix.scale)
        self._made.append(made)
        self._of[id(matrix)] = made
        return made

    def _extend(self, layer: LayerSteps, step: Step) -> None:
        layer.end = step
        layer.operators.append(step.operator)
        self._of[id(step)] = layer
        if not isinstance(step, Pool) or layer.scale is None:
            layer.scale = step.scale

    def _add(self, step: Add) -> None:
        first, second = step.inputs
        open_ = [self._open(each) for each in (first, second)]
        plain = [layer for layer in open_ if layer and layer.plain]
        # The later one: the other's tensor is there before.
        layer = max(plain, key=self._made.index, default=None)
        if layer is None:
            source = first if second is not self.source else second
            layer, other = self._insert(step, source), second if source is first else first
        else:
            other = second if layer is open_[0] else first
        if other is self.source:
            other = self._insert(step, other).end
        layer.residual = other
        self._extend(layer, step)

    def _relu(self, step: Relu) -> None:
        layer = self._open(step.inputs[0])
        # The largest of a window is the same before and after a ReLU; an average is not.
        fits = layer and (layer.pool is None or layer.pool.kind == "max")
        if layer is None or not fits:
            layer = self._insert(step, step.inputs[0])
        layer.relu = True
        self._extend(layer, step)

    def _pool(self, step: Pool) -> None:
        layer = self._open(step.inputs[0])
        if layer is None or layer.pool is not None:
            layer = self._insert(step, step.inputs[0])
        layer.pool = step
        self._extend(layer, step)

    def _end(self, output: Step) -> None:
        """Make the output the tensor of a layer whose result nothing else takes."""
        if self._users.get(id(output)):
            self._graph.output = self._insert(output, output).end

    def of(self, step: Step) -> LayerSteps | None:
        """The layer whose tensor a step's is; None for the network's input."""
        return None if step is self.source else self._of[id(step)]

    def needs(self, layer: LayerSteps) -> list[LayerSteps]:
        """The layers whose tensors it takes."""
        taken = [layer.matrix.inputs[0], *([layer.residual] if layer.residual else [])]
        return [found for step in taken if (found := self.of(step))]

    def _ordered(self) -> list[LayerSteps]:
        """Each layer after those that it needs, else as they were made; the output's is last."""
        found: list[LayerSteps] = []
        left = list(self._made)
        last = self._of[id(self._graph.output)]
        while left:
            ready = [
                layer
                for layer in left
                if all(any(need is each for each in found) for need in self.needs(layer))
                and (layer is not last or len(left) == 1)
            ]
            found.append(ready[0])
            left = [layer for layer in left if layer is not ready[0]]
        return found


def names(texts: Iterable[str]) -> list[str]:
    """Names of nodes as descriptions have them, made of those of ONNX: all distinct."""
    found: list[str] = []
    for text in texts:
        name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "layer"
        name = (name if name[0].isalpha() else f"n{name}")[: NAME_MAX - 8]
        name = f"{name}_" if name == INPUT else name
        distinct, number = name, 2
        while distinct in found:
            distinct, number = f"{name}_{number}", number + 1
        found.append(distinct)
    return found


@dataclass(frozen=True)
class Window:
    """A layer's matrix as the chip holds it.

    Attributes:
        square: its window; None for a dense layer.
        weight: float64 [rows, outputs], rows in the order kernel y, kernel x, channel.
        lowered: what zeros did, in words; empty if nothing.
    """

    square: Square | None
    weight: NDArray[np.float64]
    lowered: str


def window(graph: Graph, matrix: Matrix) -> Window:
    """The window and the rows of a matrix.

    Raises:
        UserError: there is no window of the chip that does the same.
    """
    outputs = len(matrix.weight)
    _, height, width = matrix.inputs[0].shape
    if matrix.dense and height == width:
        rows = matrix.weight.transpose(2, 3, 1, 0).reshape(-1, outputs)
        return Window(None, rows, matrix.form)
    found = square(matrix)
    if found is None:
        raise refused(
            graph, matrix,
            f"got {matrix.form or f'a dense layer over {height}x{width}'} on a map of "
            f"{height}x{width}, expected a window that a square one with one stride can hold",
        )  # fmt: skip
    rows = placed(matrix, found).transpose(2, 3, 1, 0).reshape(-1, outputs)
    kernel = matrix.weight.shape[2:]
    plain = kernel == (found.kernel, found.kernel) and set(matrix.pads) == {found.padding}
    grouped = "depthwise" in matrix.form or "groups" in matrix.form or "dilation" in matrix.form
    lowered = "" if plain and not grouped else (
        f"{matrix.form or f'dense over {height}x{width}'} as {found.kernel}x{found.kernel} "
        f"stride {found.stride} padding {found.padding}"
    )  # fmt: skip
    if matrix.operator == "Identity" or "per channel" in matrix.form or "channels" in matrix.form:
        lowered = matrix.form
    return Window(found, rows, lowered)


def pool_of(layer: LayerSteps) -> dict[str, object] | None:
    """The pooling as a description has it."""
    if layer.pool is None:
        return None
    assert pooled(layer.pool)
    size = layer.pool.size[0]
    return {"kind": layer.pool.kind, "size": size, "stride": size}
