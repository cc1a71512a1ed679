"""A network: its graph, and the weights that go with it.

Weights are real numbers; the compiler turns them into conductance codes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caduceus.spec import document, formats, network_file
from caduceus.spec import weights as weights_file
from caduceus.spec.errors import UserError, shown
from caduceus.spec.files import present, read_text
from caduceus.spec.gdpu import GATES
from caduceus.spec.graph import Graph, Layer, Lstm, geometries
from caduceus.spec.network_file import DATA, TEXT
from caduceus.spec.own_data import OwnData
from caduceus.spec.shipped import catalogue, shipped_folder, unknown

NETWORKS = "caduceus.networks"
"""Package of the networks that ship with the library."""
TEXT_MAX = 1 << 24
"""Bytes of the largest text."""


@dataclass(frozen=True)
class Weights:
    """A layer's real-valued parameters.

    Attributes:
        weight: float32 [rows, outputs]; rows in the order kernel y, kernel x, input channel.
        bias: float32 [outputs].
        gmax: uint16 [outputs], cell code of each column's largest weight where a network is scaled
            by column; None where the description's holds for all.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    gmax: NDArray[np.uint16] | None = None


@dataclass(frozen=True)
class LstmWeights:
    """An LSTM's real-valued parameters; gates are blocks of `hidden` columns: I, A, F, O.

    Attributes:
        input: float32 [size, 4 * hidden].
        hidden: float32 [hidden, 4 * hidden].
        bias: float32 [4 * hidden].
        input_gmax, hidden_gmax: uint16 [4 * hidden], as `Weights.gmax`.
    """

    input: NDArray[np.float32]
    hidden: NDArray[np.float32]
    bias: NDArray[np.float32]
    input_gmax: NDArray[np.uint16] | None = None
    hidden_gmax: NDArray[np.uint16] | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """A network with all its numbers.

    >>> network = caduceus.Network.find("resnet9")
    >>> print(network.graph.input.shape, len(network.graph.nodes))
    (32, 32, 1) 9

    Attributes:
        graph: its description.
        weights: by node.
        embedding: int8 [entries, size], input vectors of the symbols or of the host's embedding;
            None without either.
        text: content of `text.txt` beside the description; None without that file.
        data: the user's own data, used in place of any other; None without that file.
    """

    graph: Graph
    weights: Mapping[str, Weights | LstmWeights]
    embedding: NDArray[np.int8] | None = None
    text: str | None = None
    data: OwnData | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.graph.name

    @property
    def recurrent(self) -> bool:
        """Whether it takes sequences."""
        return self.graph.recurrent

    def per_core(self) -> "Network":
        """The same network with each layer scaled by its largest weight, as published."""
        return replace(self, graph=self.graph.model_copy(update={"scaling": "core"}))

    @classmethod
    def load(cls, path: Path | str) -> "Network":
        """Read a description and its weights (a path relative to the description).

        A layer's weights are the array `<node>.weight`, in steps of `<node>.weight_step` where
        there is one, and its biases `<node>.bias`; an LSTM's `<node>.input`, `<node>.hidden` and
        `<node>.bias`; the symbols' vectors `embedding`. Codes of columns are `<node>.gmax`, of an
        LSTM `<node>.input_gmax` and `<node>.hidden_gmax`, where they are there. Data and a text of
        the network's own (`network_file.DATA`, `network_file.TEXT`) are read if they are there.

        Raises:
            UserError: a file cannot be read, breaks the schema, or the weights do not fit the
                nodes.
        """
        path = Path(path)
        graph = document.load(path, Graph, "network description")
        file = path.parent / graph.weights
        shapes: dict[str, tuple[int, ...]] = {}
        steps: dict[str, tuple[int, ...]] = {}
        kinds: dict[str, type] = {"embedding": np.int8}
        if graph.entries is not None:
            shapes["embedding"] = (graph.entries, graph.input.size)
        for node, geometry in zip(graph.nodes, geometries(graph), strict=True):
            if isinstance(node, Lstm):
                gates = len(GATES) * node.hidden
                shapes[f"{node.name}.input"] = (geometry.rows - node.hidden, gates)
                shapes[f"{node.name}.hidden"] = (node.hidden, gates)
                shapes[f"{node.name}.bias"] = (gates,)
                codes = {f"{node.name}.{key}": (gates,) for key in ("input_gmax", "hidden_gmax")}
            else:
                shapes[f"{node.name}.weight"] = (geometry.rows, node.outputs)
                shapes[f"{node.name}.bias"] = (node.outputs,)
                steps[f"{node.name}.weight_step"] = ()
                codes = {f"{node.name}.gmax": (node.outputs,)}
            steps |= codes
            kinds |= dict.fromkeys(codes, np.uint16)
        arrays = weights_file.load(file, shapes, kinds, optional=steps)
        found = {node.name: _weights(node, arrays, file) for node in graph.nodes}
        own = path.parent / DATA
        data = OwnData.load(own) if present(own) else None
        return cls(graph, found, arrays.get("embedding"), _text(path.parent / TEXT, graph), data)

    def save(self, folder: Path | str) -> None:
        """Write the description and all files beside it into `folder`.

        `load` reads the same network from them. The same network gives the same bytes, and each
        file appears whole or not at all.

        Raises:
            UserError: a file cannot be written.
        """
        arrays = {
            f"{node}.{each.name}": getattr(found, each.name)
            for node, found in self.weights.items()
            for each in fields(found)
            if getattr(found, each.name) is not None
        }
        if self.embedding is not None:
            arrays["embedding"] = self.embedding
        network_file.write(self.graph, arrays, folder, compressed=True)
        data = None if self.data is None else self.data.arrays
        network_file.write_beside(folder, data, self.text)

    def with_data(self, data: OwnData) -> "Network":
        """The same network with other data in place of its data set, and without a metric."""
        graph = self.graph
        if graph.metric is not None:
            graph = graph.model_copy(update={"metric": None})
        return replace(self, graph=graph, data=data)

    @classmethod
    def from_onnx(
        cls,
        file: Path | str,
        calibration: ArrayLike | str | None = None,
        **options: Any,
    ) -> "Network":
        """A network from an ONNX model, float or quantized (QDQ).

        Args:
            file: `.onnx`.
            calibration: inputs that scales are chosen with.
            **options: these and `calibration` are those of `caduceus.importers.load.from_onnx`.

        Raises:
            UserError: the file is no model, or has something that is not supported.
        """
        # Nothing in this room imports the importers, which make what is described here.
        return import_module("caduceus.importers.load").from_onnx(file, calibration, **options)

    @classmethod
    def find(cls, name: str) -> "Network":
        """The network called `name`, or at the path `name` if it ends in .yaml or .onnx.

        Raises:
            UserError: the name is unknown (the sentence lists the known ones), or the file is
                bad.
        """
        if name.endswith((".yaml", ".yml")):
            return cls.load(name)
        if name.endswith(".onnx"):
            return cls.from_onnx(name)
        if name not in cls.available():
            raise unknown("network", name, cls.available())
        return cls.load(shipped_folder(NETWORKS) / name / "network.yaml")

    @classmethod
    def available(cls) -> list[str]:
        """Names of the networks that ship with the project."""
        return [
            path.parent.name
            for path in catalogue(shipped_folder(NETWORKS), "*/network.yaml", "networks")
        ]


def _weights(
    node: Layer | Lstm, arrays: Mapping[str, NDArray], file: Path
) -> Weights | LstmWeights:
    """A node's arrays among those of its file, in real units."""
    name = node.name
    for key in ("gmax", "input_gmax", "hidden_gmax"):
        codes = arrays.get(f"{name}.{key}")
        if codes is not None and not 1 <= codes.min() <= codes.max() <= formats.CELL_MAX:
            raise UserError(
                f"{file}: {name}.{key}: got codes from {codes.min()} to {codes.max()}, expected 1 "
                f"to {formats.CELL_MAX}"
            )
    if isinstance(node, Lstm):
        codes = (arrays.get(f"{name}.{key}") for key in ("input_gmax", "hidden_gmax"))
        return LstmWeights(
            *(arrays[f"{name}.{key}"] for key in ("input", "hidden", "bias")), *codes
        )
    weight, step = arrays[f"{name}.weight"], arrays.get(f"{name}.weight_step")
    if step is not None:
        with np.errstate(over="ignore"):
            weight = weight * step
        if not np.isfinite(weight).all():
            raise UserError(
                f"{file}: {name}.weight_step: got {step:g}, expected a value that leaves "
                f"{name}.weight finite in binary32"
            )
    return Weights(weight, arrays[f"{name}.bias"], arrays.get(f"{name}.gmax"))


def _text(file: Path, graph: Graph) -> str | None:
    """The text that ships with a network, checked."""
    symbols = graph.input.symbols
    if symbols is None or not present(file):
        return None
    text = read_text(file, "text", TEXT_MAX)
    if len(text) < 2:
        raise UserError(f"{file}: got {len(text)} characters, expected two or more")
    strange = set(text) - set(symbols)
    if strange:
        at = min(map(text.index, strange))
        raise UserError(
            f"{file}: character {at}: got {text[at]!r}, expected one of the network's "
            f"input.symbols, {shown(symbols)}"
        )
    return text
