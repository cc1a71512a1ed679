"""The graph of a network, as its YAML description has it: one schema for all networks.

Images, vectors and sequences alike: a graph with an LSTM takes sequences, of which an input vector
is one step. Tensors are INT8 with one scale each (real = int8 * scale).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from caduceus.spec import formats
from caduceus.spec.document import Inconsistent, Section, demand
from caduceus.spec.errors import UserError
from caduceus.spec.gdpu import GATES
from caduceus.spec.host_section import Host

DATASETS = {"fashion_mnist": "images", "cifar10": "images", "penn_treebank": "texts",
            "text": "texts", "own": "own values", "random": "random values"}  # fmt: skip
"""What the data sets hold; `text` is the network's own text, `own` the user's data beside it,
`random` has nothing to learn."""
METRICS = {"images": ("accuracy",), "texts": ("bpc",), "own values": ("accuracy", "rmse")}
"""Of images the share classified correctly, of texts the bits per character; of own values either
that share, or the root mean square error in real units."""

NAME_MAX = 100
NODES_MAX = 4096
"""As many as the largest chip has tiles."""
Extent = Annotated[int, Field(ge=1, le=65_536)]
Scale = Annotated[float, Field(gt=0, lt=1e6)]
Gmax = Annotated[int, Field(ge=1, le=formats.CELL_MAX)]
INPUT = "input"
"""What the network's input is called as a node's input."""
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=NAME_MAX)]


class Input(Section):
    """The network's input.

    Attributes:
        shape: height, width, channels of an image, or the size of a vector.
        scale: real value of one INT8 step.
        symbols: what the vectors of a sequence stand for, one character each; None without.
    """

    shape: tuple[Extent, ...]
    scale: Scale
    symbols: Annotated[str, Field(min_length=2, max_length=256)] | None = None

    @model_validator(mode="after")
    def _an_image_or_a_vector(self) -> Self:
        fits = len(self.shape) in (1, 3)
        demand(fits, "shape", list(self.shape), "[height, width, channels] or [size]")
        return self

    @model_validator(mode="after")
    def _symbols_differ(self) -> Self:
        if self.symbols is not None:
            distinct = len(set(self.symbols)) == len(self.symbols)
            demand(distinct, "symbols", self.symbols, "characters that are all different")
        return self

    @property
    def map(self) -> tuple[int, int, int]:
        """Height, width, channels; a vector is one pixel."""
        height, width, channels = self.shape if len(self.shape) == 3 else (1, 1, *self.shape)
        return height, width, channels

    @property
    def height(self) -> int:
        """In pixels."""
        return self.map[0]

    @property
    def width(self) -> int:
        """In pixels."""
        return self.map[1]

    @property
    def channels(self) -> int:
        """Values of a pixel."""
        return self.map[2]

    @property
    def size(self) -> int:
        """Values in all."""
        return prod(self.shape)


class Pool(Section):
    """Pooling after a layer: of every square window the largest value, or the average."""

    kind: Literal["max", "average"]
    size: Extent
    stride: Extent


class Origin(Section):
    """What a node of an imported network was made of.

    Attributes:
        node: name of the model's node that has the weights.
        operator: operators of the model's nodes that it does, joined by +.
        weights: weights of these operators, without zeros that were added.
        lowered: what became of a window, in words; None if it is as it was.
    """

    node: str
    operator: str
    weights: Annotated[int, Field(ge=0)]
    lowered: str | None = None


class Layer(Section):
    """A node with one matrix, and what happens to its result.

    Attributes:
        op: `conv` (square kernel, zero padding) or `dense` (input flattened as y, x, channel).
        gmax: cell code that the layer's largest weight is mapped to (published: Gmax per core).
        output_scale: real value of one INT8 step of the output.
        input: node whose (pooled) output it is given, `input` for the network's; None for the one
            before.
        residual: node whose (pooled) output is added to the matrix's result, before the ReLU.
        origin: what it was made of; None for one that was not imported.
    """

    name: Name
    op: Literal["conv", "dense"]
    outputs: Extent
    relu: bool
    gmax: Gmax
    output_scale: Scale
    kernel: Extent = 1
    stride: Extent = 1
    padding: Annotated[int, Field(ge=0, le=65_536)] = 0
    pool: Pool | None = None
    input: str | None = None
    residual: str | None = None
    origin: Origin | None = None

    @model_validator(mode="after")
    def _dense_has_no_window(self) -> Self:
        if self.op == "dense":
            for key, default in (("kernel", 1), ("stride", 1), ("padding", 0), ("pool", None)):
                value = getattr(self, key)
                demand(value == default, key, value, "nothing: a dense layer has none")
        return self


class Lstm(Section):
    """A node that is an LSTM: its output is the hidden state after a step.

    Attributes:
        hidden: hidden units.
        input_gmax, hidden_gmax: cell code that the largest weight of the input's and of the hidden
            state's matrix is mapped to. Where both share a tile, `hidden_gmax` counts.
        gate_scales: real value of one INT8 step of a pre-activation, by gate (I, A, F, O).
        output_scale: real value of one INT8 step of the hidden state.
        input, origin: as for `Layer`.
    """

    name: Name
    op: Literal["lstm"]
    hidden: Extent
    input_gmax: Gmax
    hidden_gmax: Gmax
    gate_scales: tuple[Scale, ...]
    output_scale: Scale
    input: str | None = None
    origin: Origin | None = None

    @property
    def outputs(self) -> int:
        """Values of its output."""
        return self.hidden

    @property
    def residual(self) -> None:
        """Nothing is added to an LSTM's result."""
        return None

    @model_validator(mode="after")
    def _a_scale_a_gate(self) -> Self:
        count = len(self.gate_scales)
        demand(count == len(GATES), "gate_scales", list(self.gate_scales), f"{len(GATES)} numbers")
        return self


Node = Annotated[Layer | Lstm, Field(discriminator="op")]


class FloatMetric(Section):
    """How well the network does in floating point on the whole test set, as training measured it.

    Attributes:
        name: `accuracy` (0 to 1, more is better), `bpc` (bits per character, less is better) or
            `rmse` (root mean square error in real units, less is better).
        float: the value.
    """

    name: Literal["accuracy", "bpc", "rmse"]
    float: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _a_share_is_at_most_one(self) -> Self:
        if self.name == "accuracy":
            demand(self.float <= 1, "float", self.float, "0 to 1 for an accuracy")
        return self


class Imported(Section):
    """Where an imported network comes from, and how it was made.

    Attributes:
        file: name of the model's file; opset, exporter: of the model, as it says.
        calibration: what scales and codes were chosen from, in words.
        difference: of the network's float form from the model in onnxruntime: the largest, as a
            share of the largest output.
        notes: sentences on what was changed.
    """

    file: str
    opset: int
    exporter: str
    calibration: str
    difference: Annotated[float, Field(ge=0)]
    notes: tuple[str, ...] = ()


class Graph(Section):
    """A whole description.

    Attributes:
        dataset: where inputs come from; `own` has the user's data, `random` has uniformly random
            ones and nothing to learn.
        weights: the weights' file, relative to the description.
        scaling: whose largest weight has the code `gmax`: each column's, or the layer's, as
            published.
        nodes: each gives one tensor, which has its name; the last one's is the output.
        metric: what training measured; None where it did not.
        host: what the host does to inputs and outputs.
        imported: where it comes from; None for one that was not imported.
    """

    format: Literal[2]
    name: Name
    dataset: Literal["fashion_mnist", "cifar10", "penn_treebank", "text", "own", "random"]
    input: Input
    weights: str
    scaling: Literal["column", "core"] = "column"
    nodes: Annotated[tuple[Node, ...], Field(min_length=1, max_length=NODES_MAX)]
    metric: FloatMetric | None = None
    host: Host = Host()
    imported: Imported | None = None

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [node.name for node in self.nodes]
        demand(len(set(names)) == len(names), "nodes", names, "distinct node names")
        demand(INPUT not in names, "nodes", INPUT, "another name: it is the network's input")
        return self

    @model_validator(mode="after")
    def _nodes_refer_to_earlier_ones(self) -> Self:
        earlier: dict[str, None] = {}
        for node in self.nodes:
            for key in ("input", "residual"):
                value = getattr(node, key)
                if value is not None and value not in earlier and (key, value) != ("input", INPUT):
                    known = ", one of " + ", ".join(earlier) if earlier else ": there is none"
                    raise Inconsistent(f"nodes.{node.name}.{key}", value, f"an earlier node{known}")
            earlier[node.name] = None
        return self

    @model_validator(mode="after")
    def _the_input_suits_the_data_set(self) -> Self:
        holds, symbols, shape = DATASETS[self.dataset], self.input.symbols, self.input.shape
        if self.recurrent:
            demand(len(shape) == 1, "input.shape", list(shape), "[size]: an LSTM takes vectors")
        if holds == "images":
            demand(len(shape) == 3, "input.shape", list(shape), f"an image's for {self.dataset}")
        if holds == "texts":
            demand(self.recurrent, "dataset", self.dataset, "one of images: there is no LSTM")
            demand(symbols is not None, "input.symbols", symbols, "the symbols of the text")
            last = self.nodes[-1]
            demand(
                last.outputs == len(symbols or ""), f"nodes.{last.name}.outputs", last.outputs,
                f"as many as input.symbols has ({len(symbols or '')})",
            )  # fmt: skip
        elif holds != "own values" or not self.recurrent:
            demand(symbols is None, "input.symbols", symbols, f"nothing: {self.dataset} has none")
        return self

    @model_validator(mode="after")
    def _the_host_suits_the_input(self) -> Self:
        before = [each.op for each in self.host.before]
        holds = DATASETS[self.dataset]
        fits = holds in ("own values", "random values") or not before
        demand(fits, "host.before", before, f"nothing: inputs of {self.dataset} need none")
        both = self.host.embedding is not None and self.input.symbols is not None
        demand(not both, "host.before", before, "no embedding: there are input.symbols")
        self.host.check(self.input.map, recurrent=self.recurrent)
        return self

    @model_validator(mode="after")
    def _the_metric_suits_the_data_set(self) -> Self:
        if self.metric is not None:
            found = self.metric.name
            wanted = METRICS.get(DATASETS[self.dataset], ())
            nothing = f"no metric: dataset {self.dataset} has nothing to learn"
            demand(found in wanted, "metric.name", found, " or ".join(wanted) or nothing)
        return self

    @property
    def recurrent(self) -> bool:
        """Whether it takes sequences: there is an LSTM."""
        return any(isinstance(node, Lstm) for node in self.nodes)

    @property
    def entries(self) -> int | None:
        """Vectors that inputs are numbers of, of an embedding; None without one."""
        if self.host.embedding is not None:
            return self.host.embedding.entries
        return len(self.input.symbols) if self.input.symbols else None

    @property
    def outputs(self) -> int:
        """Values of an output vector: channels of the last node's output."""
        return self.nodes[-1].outputs

    @property
    def inputs(self) -> tuple[str | None, ...]:
        """By node, the node whose output it is given; None for the network's input."""
        before = (None, *(node.name for node in self.nodes))
        return tuple(
            None if node.input == INPUT else node.input or name
            for node, name in zip(self.nodes, before, strict=False)
        )

    @property
    def scales(self) -> Mapping[str | None, float]:
        """Real value of an INT8 step of every tensor, by node; None for the network's input."""
        return {None: self.input.scale} | {node.name: node.output_scale for node in self.nodes}


@dataclass(frozen=True)
class Geometry:
    """Shapes of a node in its place in the network: height, width, channels.

    `input` enters the node, `output` leaves its matrix, `pooled` leaves its pooling. `rows` are
    those of its matrix, of an LSTM's both matrices together.
    """

    input: tuple[int, int, int]
    output: tuple[int, int, int]
    pooled: tuple[int, int, int]
    rows: int


def _windows(extent: int, size: int, stride: int) -> int:
    return (extent - size) // stride + 1


def geometries(graph: Graph) -> list[Geometry]:
    """Shapes of every node.

    Raises:
        UserError: a kernel or pool is larger than what it is given, or a residual has another shape
            than the result that it is added to.
    """
    pooled: dict[str | None, tuple[int, int, int]] = {None: graph.input.map}
    result = []
    for node, source in zip(graph.nodes, graph.inputs, strict=True):
        where = f"network {graph.name}: node {node.name}"
        geometry = _geometry(node, pooled[source], where)
        if node.residual and pooled[node.residual] != geometry.output:
            raise UserError(
                f"{where}: residual: got {node.residual}, expected a node whose output is "
                f"{_shape(geometry.output)}, not {_shape(pooled[node.residual])}"
            )
        result.append(geometry)
        pooled[node.name] = geometry.pooled
    return result


def output_shape(graph: Graph) -> tuple[int, ...]:
    """Of the last node's tensor: height, width, channels of a convolution's, else [size].

    Raises:
        UserError: as `geometries`.
    """
    last = graph.nodes[-1]
    is_map = isinstance(last, Layer) and last.op == "conv"
    return geometries(graph)[-1].pooled if is_map else (last.outputs,)


def _shape(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


def _geometry(node: Layer | Lstm, shape: tuple[int, int, int], where: str) -> Geometry:
    height, width, channels = shape
    output = (1, 1, node.outputs)
    if isinstance(node, Lstm):
        return Geometry(shape, output, output, prod(shape) + node.hidden)
    if node.op == "dense":
        return Geometry(shape, output, output, prod(shape))
    padded = min(height, width) + 2 * node.padding
    if node.kernel > padded:
        raise UserError(
            f"{where}: kernel: got {node.kernel}, expected at most its padded input ({padded})"
        )
    out_height = _windows(height + 2 * node.padding, node.kernel, node.stride)
    out_width = _windows(width + 2 * node.padding, node.kernel, node.stride)
    output = pooled = (out_height, out_width, node.outputs)
    pool = node.pool
    if pool:
        if pool.size > min(out_height, out_width):
            raise UserError(
                f"{where}: pool.size: got {pool.size}, expected at most the output it pools "
                f"({out_height}x{out_width})"
            )
        if pool.kind == "average" and (pool.size & (pool.size - 1) or pool.stride != pool.size):
            raise UserError(
                f"{where}: pool: got size {pool.size} and stride {pool.stride}, expected for an "
                "average a power of two, and the stride the same"
            )
        pooled = (
            _windows(out_height, pool.size, pool.stride),
            _windows(out_width, pool.size, pool.stride),
            node.outputs,
        )
    return Geometry(shape, output, pooled, node.kernel**2 * channels)
