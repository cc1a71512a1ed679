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
    """Pooling after a layer: of every square window the largest value, or the average."""

    kind: Literal["max", "average"]
    size: Extent
    stride: Extent


class Layer(Section):
    """One matrix and what happens to its result.

    Attributes:
        kind: `conv` (square kernel, zero padding) or `dense` (input flattened as y, x, channel).
        gmax: cell code that the layer's largest weight is mapped to (published: Gmax per core).
        output_scale: real value of one INT8 step of the output.
        input: layer whose (pooled) output it is given; None for the one before.
        residual: layer whose (pooled) output is added to the matrix's result, before the ReLU.
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
    input: str | None = None
    residual: str | None = None

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
    dataset: Literal["fashion_mnist", "cifar10", "random"]
    input: Input
    weights: str
    layers: Annotated[tuple[Layer, ...], Field(min_length=1)]
    float_accuracy: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, validate_default=True
    )

    @field_validator("float_accuracy")
    @classmethod
    def _a_data_set_has_an_accuracy(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is None and info.data.get("dataset") in ("fashion_mnist", "cifar10"):
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

    @model_validator(mode="after")
    def _layers_refer_to_earlier_ones(self) -> Self:
        earlier: list[str] = []
        for layer in self.layers:
            for key in ("input", "residual"):
                value = getattr(layer, key)
                known = value is None or value in earlier
                allowed = "one of " + ", ".join(earlier) if earlier else "nothing: there is none"
                demand(known, f"layers.{layer.name}.{key}", value, f"an earlier layer, {allowed}")
            earlier.append(layer.name)
        return self

    @property
    def inputs(self) -> tuple[str | None, ...]:
        """By layer, the layer whose output it is given; None for the network's input."""
        before = (None, *(layer.name for layer in self.layers))
        return tuple(layer.input or name for layer, name in zip(self.layers, before, strict=False))

    @property
    def graph(self) -> bool:
        """Whether the layers are more than a chain."""
        return any(layer.input or layer.residual for layer in self.layers)


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
        UserError: a kernel or pool is larger than what it is given, or a residual has another shape
            than the result that it is added to.
    """
    image = (network.input.height, network.input.width, network.input.channels)
    pooled: dict[str | None, tuple[int, int, int]] = {None: image}
    result = []
    for layer, source in zip(network.layers, network.inputs, strict=True):
        where = f"network {network.name}: layer {layer.name}"
        geometry = _geometry(layer, pooled[source], where)
        if layer.residual and pooled[layer.residual] != geometry.output:
            raise UserError(
                f"{where}: residual = {layer.residual}: allowed is a layer whose output is "
                f"{_shape(geometry.output)}, not {_shape(pooled[layer.residual])}"
            )
        result.append(geometry)
        pooled[layer.name] = geometry.pooled
    return result


def _shape(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


def _geometry(layer: Layer, shape: tuple[int, int, int], where: str) -> Geometry:
    height, width, channels = shape
    if layer.kind == "dense":
        output = (1, 1, layer.outputs)
        return Geometry(shape, output, output, height * width * channels)
    padded = min(height, width) + 2 * layer.padding
    if layer.kernel > padded:
        raise UserError(
            f"{where}: kernel = {layer.kernel}: allowed is at most its padded input ({padded})"
        )
    out_height = _windows(height + 2 * layer.padding, layer.kernel, layer.stride)
    out_width = _windows(width + 2 * layer.padding, layer.kernel, layer.stride)
    output = pooled = (out_height, out_width, layer.outputs)
    pool = layer.pool
    if pool:
        if pool.size > min(out_height, out_width):
            raise UserError(
                f"{where}: pool.size = {pool.size}: allowed is at most the output it pools "
                f"({out_height}x{out_width})"
            )
        if pool.kind == "average" and (pool.size & (pool.size - 1) or pool.stride != pool.size):
            raise UserError(
                f"{where}: pool.size = {pool.size}, pool.stride = {pool.stride}: allowed for an "
                "average is a power of two, and the stride the same"
            )
        pooled = (
            _windows(out_height, pool.size, pool.stride),
            _windows(out_width, pool.size, pool.stride),
            layer.outputs,
        )
    return Geometry(shape, output, pooled, layer.kernel**2 * channels)


def load(path: Path | str) -> tuple[Network, dict[str, Weights]]:
    """Read a network description and its weights (a path relative to the description).

    A layer's weights are the array `<layer>.weight`, in steps of `<layer>.weight_step` where there
    is one, and its biases `<layer>.bias`.

    Raises:
        UserError: a file cannot be read, breaks the schema, or the weights do not fit the layers.
    """
    path = Path(path)
    network = document.load(path, Network, "network description")
    shapes: dict[str, tuple[int, ...]] = {}
    steps: dict[str, tuple[int, ...]] = {}
    for layer, geometry in zip(network.layers, geometries(network), strict=True):
        shapes[f"{layer.name}.weight"] = (geometry.rows, layer.outputs)
        shapes[f"{layer.name}.bias"] = (layer.outputs,)
        steps[f"{layer.name}.weight_step"] = ()
    file = path.parent / network.weights
    arrays = weights.load(file, shapes, optional=steps)
    found = {}
    for name in (layer.name for layer in network.layers):
        weight, step = arrays[f"{name}.weight"], arrays.get(f"{name}.weight_step")
        if step is not None:
            with np.errstate(over="ignore"):
                weight = weight * step
            if not np.isfinite(weight).all():
                raise UserError(
                    f"{file}: {name}.weight times {name}.weight_step = {step:g} holds a value that "
                    "is not finite in binary32"
                )
        found[name] = Weights(weight, arrays[f"{name}.bias"])
    return network, found


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
