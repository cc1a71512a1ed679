"""What a name in a model may stand for, while its nodes are read."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from caduceus.importers.views import View

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, eq=False)
class Constant:
    """A constant tensor.

    Attributes:
        value: of any type.
        step: of a dequantized one the real value of one integer step: [], or [n] along `axis`.
        axis: that the steps belong to.
    """

    value: NDArray
    step: NDArray[np.float64] | None = None
    axis: int = 0


@dataclass(frozen=True, eq=False)
class Hosted:
    """The network's output after operators that the host runs."""

    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Norm:
    """The Euclidean norm of a view, by which it is about to be divided."""

    of: View


@dataclass(frozen=True, eq=False)
class Quantized:
    """A view in integers, with its real step."""

    view: View
    scale: float


Value = View | Constant | Hosted | Norm | Quantized


@dataclass(frozen=True)
class HostStep:
    """An operator that the host runs: `op` as in a description, and its ONNX node."""

    op: str
    origin: str


def constants(model: "onnx.ModelProto") -> dict[str, Value]:
    """The initializers of a model, and its Constant nodes are as good."""
    from onnx import numpy_helper

    return {each.name: Constant(numpy_helper.to_array(each)) for each in model.graph.initializer}
