"""The network description: a YAML file of layers, and the weights that go with it.

Activations are INT8 with one scale a tensor (real = int8 * scale). Weights are real numbers; the
compiler turns them into conductance codes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from spec import document, formats, weights
from spec.document import Section, demand
from spec.errors import UserError

NETWORKS_DIR = Path(__file__).resolve().parent.parent / "networks"

Extent = Annotated[int, Field(ge=1, le=65_536)]
Scale = Annotated[float, Field(gt=0, lt=1e6)]


class Input(Section):
    """The network's input: height x width x channels of INT8, and its scale."""

    height: Extent
    width: Extent
    channels: Extent
    scale: Scale


class Pool(Section):
    """Max-pooling after a layer, done by the host as on the published chip."""

    kind: Literal["max"]
    size: Extent
    stride: Extent


class Layer(Section):
    """One matrix and what happens to its result.

    Attributes:
        kind: `conv` (square kernel, zero padding) or `dense` (input flattened as y, x, channel).
        gmax: cell code that the layer's largest weight is mapped to (published: Gmax per core).
        output_scale: real value of one INT8 step of the output.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    kind: Literal["conv", "dense"]
    outputs: Extent
    relu: bool
    gmax: Annotated[int, Field(ge=1, le=formats.CELL_MAX)]
    output_scale: Scale
    kernel: Extent = 1
    stride: Extent = 1
    padding: Annotated[int, Field(ge=0, le=65_536)] = 0
    pool: Pool | None = None

    @model_validator(mode="after")
    def _dense_has_no_window(self) -> Self:
        if self.kind == "dense":
            for key, default in (("kernel", 1), ("stride", 1), ("padding", 0), ("pool", None)):
                value = getattr(self, key)
                demand(value == default, key, value, "nothing: a dense layer has none")
        return self


class Network(Section):
    """A whole network description.

    Attributes:
        dataset: where images come from; `random` has uniformly random pixels and nothing to learn.
        float_accuracy: what training measured; only where there is a data set to measure it on.
    """

    format: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    dataset: Literal["fashion_mnist", "random"]
    input: Input
    weights: str
    layers: Annotated[tuple[Layer, ...], Field(min_length=1)]
    float_accuracy: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, validate_default=True
    )

    @field_validator("float_accuracy")
    @classmethod
    def _a_data_set_has_an_accuracy(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is None and info.data.get("dataset") == "fashion_mnist":
            # The type of error of a required key, so that the sentence is the same.
            raise PydanticCustomError("missing", "Field required")
        return value

    @model_validator(mode="after")
    def _random_images_have_no_accuracy(self) -> Self:
        if self.dataset == "random":
            value = self.float_accuracy
            allowed = "nothing: dataset random has no labels"
            demand(value is None, "float_accuracy", value, allowed)
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [layer.name for layer in self.layers]
        demand(len(set(names)) == len(names), "layers", names, "distinct layer names")
        return self


@dataclass(frozen=True)
class Weights:
    """A layer's real-valued parameters.

    Attributes:
        weight: float32 [rows, outputs]; rows in the order kernel y, kernel x, input channel.
        bias: float32 [outputs].
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True)
class Geometry:
    """Shapes of a layer in its place in the network: height, width, channels.

    `input` enters the layer, `output` leaves its matrix, `pooled` leaves its pooling.
    """

    input: tuple[int, int, int]
    output: tuple[int, int, int]
    pooled: tuple[int, int, int]
    rows: int


def _windows(extent: int, size: int, stride: int) -> int:
    return (extent - size) // stride + 1


def geometries(network: Network) -> list[Geometry]:
    """Shapes of every layer.

    Raises:
        UserError: a kernel or pool is larger than what it is given.
    """
    shape = (network.input.height, network.input.width, network.input.channels)
    result = []
    for layer in network.layers:
        height, width, channels = shape
        if layer.kind == "dense":
            output = pooled = (1, 1, layer.outputs)
            rows = height * width * channels
        else:
            padded = min(height, width) + 2 * layer.padding
            if layer.kernel > padded:
                raise UserError(
                    f"network {network.name}: layer {layer.name}: kernel = {layer.kernel}: "
                    f"allowed is at most its padded input ({padded})"
                )
            out_height = _windows(height + 2 * layer.padding, layer.kernel, layer.stride)
            out_width = _windows(width + 2 * layer.padding, layer.kernel, layer.stride)
            output = pooled = (out_height, out_width, layer.outputs)
            rows = layer.kernel**2 * channels
            if layer.pool:
                if layer.pool.size > min(out_height, out_width):
                    raise UserError(
                        f"network {network.name}: layer {layer.name}: pool.size = "
                        f"{layer.pool.size}: allowed is at most the output it pools "
                        f"({out_height}x{out_width})"
                    )
                pooled = (
                    _windows(out_height, layer.pool.size, layer.pool.stride),
                    _windows(out_width, layer.pool.size, layer.pool.stride),
                    layer.outputs,
                )
        result.append(Geometry(shape, output, pooled, rows))
        shape = pooled
    return result


def load(path: Path | str) -> tuple[Network, dict[str, Weights]]:
    """Read a network description and its weights (a path relative to the description).

    Raises:
        UserError: a file cannot be read, breaks the schema, or the weights do not fit the layers.
    """
    path = Path(path)
    network = document.load(path, Network, "network description")
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, geometry in zip(network.layers, geometries(network), strict=True):
        shapes[f"{layer.name}.weight"] = (geometry.rows, layer.outputs)
        shapes[f"{layer.name}.bias"] = (layer.outputs,)
    arrays = weights.load(path.parent / network.weights, shapes)
    return network, {
        layer.name: Weights(arrays[f"{layer.name}.weight"], arrays[f"{layer.name}.bias"])
        for layer in network.layers
    }


def available() -> list[str]:
    """Names of the networks that ship with the project."""
    return sorted(path.parent.name for path in NETWORKS_DIR.glob("*/network.yaml"))


def find(name: str) -> tuple[Network, dict[str, Weights]]:
    """The network called `name` in `networks/`, or at the path `name` if it ends in .yaml.

    Raises:
        UserError: there is none of that name (the sentence lists those there are), or it is bad.
    """
    return load(place(name))


def place(name: str) -> Path:
    """Where the description called `name` is, in `networks/`, or `name` itself if it is a path.

    Raises:
        UserError: there is none of that name (the sentence lists those there are).
    """
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    if name not in available():
        raise UserError(f"unknown network '{name}': there are {', '.join(available())}")
    return NETWORKS_DIR / name / "network.yaml"
