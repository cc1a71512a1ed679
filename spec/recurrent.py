"""The description of a recurrent network: one LSTM, with or without a dense layer after it.

The host turns each symbol of a text into its embedding vector, INT8, and sends it; the chip does
all else. Like `spec.network`, it is a YAML file with the weights beside it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from spec import document, formats, network, weights
from spec.document import Section, demand
from spec.errors import UserError
from spec.gdpu import GATES
from spec.network import Extent, Scale

TEXT = "text.txt"
"""Name of a network's own text, beside its description."""
Gmax = Annotated[int, Field(ge=1, le=formats.CELL_MAX)]


class Input(Section):
    """A step's input vector.

    Attributes:
        size: its length; scale: real value of one INT8 step of it.
        symbols: what the vectors stand for, one character each; None for vectors of no meaning.
    """

    size: Extent
    scale: Scale
    symbols: Annotated[str, Field(min_length=2, max_length=256)] | None = None

    @model_validator(mode="after")
    def _symbols_differ(self) -> Self:
        if self.symbols is not None:
            distinct = len(set(self.symbols)) == len(self.symbols)
            demand(distinct, "symbols", self.symbols, "characters that are all different")
        return self


class Lstm(Section):
    """The LSTM.

    Attributes:
        hidden: hidden units.
        input_gmax, hidden_gmax: cell code that the largest weight of the input's and of the hidden
            state's matrix is mapped to. Where both share a tile, `hidden_gmax` counts.
        gate_scales: real value of one INT8 step of a pre-activation, by gate (I, A, F, O).
        output_scale: real value of one INT8 step of the hidden state.
    """

    hidden: Extent
    input_gmax: Gmax
    hidden_gmax: Gmax
    gate_scales: tuple[Scale, ...]
    output_scale: Scale

    @model_validator(mode="after")
    def _a_scale_a_gate(self) -> Self:
        count = len(self.gate_scales)
        demand(count == len(GATES), "gate_scales", list(self.gate_scales), f"{len(GATES)} numbers")
        return self


class Dense(Section):
    """The layer after the LSTM: its outputs are the network's.

    Attributes:
        gmax, output_scale: as for `spec.network.Layer`.
    """

    outputs: Extent
    gmax: Gmax
    output_scale: Scale


class RecurrentNetwork(Section):
    """A whole description.

    Attributes:
        dataset: what the network was trained on; `random` has random inputs and nothing to learn.
        float_bpc: bits per character on the whole test set, in floating point, as training
            measured it; only where there is one.
    """

    format: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    dataset: Literal["penn_treebank", "text", "random"]
    input: Input
    weights: str
    lstm: Lstm
    dense: Dense | None = None
    float_bpc: Annotated[float, Field(gt=0)] | None = None

    @property
    def outputs(self) -> int:
        """Length of a step's output vector: logits, or else the hidden state."""
        return self.dense.outputs if self.dense else self.lstm.hidden

    @model_validator(mode="after")
    def _texts_have_symbols(self) -> Self:
        symbols = self.input.symbols
        if self.dataset == "random":
            demand(symbols is None, "input.symbols", symbols, "nothing: dataset random has none")
            allowed = "nothing: dataset random has no text"
            demand(self.float_bpc is None, "float_bpc", self.float_bpc, allowed)
            return self
        demand(symbols is not None, "input.symbols", symbols, "the symbols of the text")
        outputs = self.dense.outputs if self.dense else None
        demand(
            outputs == len(symbols), "dense.outputs", outputs,
            f"as many as input.symbols has ({len(symbols)})",
        )  # fmt: skip
        return self


@dataclass(frozen=True)
class RecurrentWeights:
    """The real-valued parameters; gates are blocks of `hidden` columns, in the order I, A, F, O.

    Attributes:
        embedding: int8 [symbols, size], the symbols' input vectors; None without symbols.
        input: float32 [size, 4 * hidden].
        hidden: float32 [hidden, 4 * hidden].
        bias: float32 [4 * hidden].
        dense: float32 [hidden, outputs]; None without a dense layer.
        dense_bias: float32 [outputs]; None likewise.
        text: what `text.txt` beside the description holds, in its symbols; None without that file.
    """

    embedding: NDArray[np.int8] | None
    input: NDArray[np.float32]
    hidden: NDArray[np.float32]
    bias: NDArray[np.float32]
    dense: NDArray[np.float32] | None
    dense_bias: NDArray[np.float32] | None
    text: str | None = None


def load(path: Path | str) -> tuple[RecurrentNetwork, RecurrentWeights]:
    """Read a description and its weights (a path relative to the description).

    Raises:
        UserError: a file cannot be read, breaks the schema, or the weights do not fit.
    """
    path = Path(path)
    found = document.load(path, RecurrentNetwork, "network description")
    size, hidden = found.input.size, found.lstm.hidden
    gates = len(GATES) * hidden
    shapes: dict[str, tuple[int, ...]] = {
        "lstm.input": (size, gates), "lstm.hidden": (hidden, gates), "lstm.bias": (gates,)
    }  # fmt: skip
    if found.input.symbols:
        shapes["embedding"] = (len(found.input.symbols), size)
    if found.dense:
        shapes |= {
            "dense.weight": (hidden, found.dense.outputs), "dense.bias": (found.dense.outputs,)
        }  # fmt: skip
    arrays = weights.load(path.parent / found.weights, shapes, {"embedding": np.int8})
    return found, RecurrentWeights(
        arrays.get("embedding"), arrays["lstm.input"], arrays["lstm.hidden"], arrays["lstm.bias"],
        arrays.get("dense.weight"), arrays.get("dense.bias"),
        _text(path.parent / TEXT, found),
    )  # fmt: skip


def _text(file: Path, network: RecurrentNetwork) -> str | None:
    """The text that ships with a network, checked."""
    symbols = network.input.symbols
    if symbols is None or not file.exists():
        return None
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UserError(f"{file}: cannot read the text: {reason}") from None
    if len(text) < 2:
        raise UserError(f"{file}: {len(text)} characters: allowed are two or more")
    strange = next((at for at, character in enumerate(text) if character not in symbols), None)
    if strange is not None:
        raise UserError(
            f"{file}: character {strange} is {text[strange]!r}: allowed are the network's "
            f"input.symbols, {symbols!r}"
        )
    return text


def describes(path: Path) -> bool:
    """Whether the file at `path` describes a recurrent network, as far as can be told."""
    return bool({"lstm", "dense", "float_bpc"} & set(document.keys(path)))


def find(name: str) -> tuple[RecurrentNetwork, RecurrentWeights] | None:
    """The recurrent network called `name`, or at that path; None if it is one of another kind.

    Raises:
        UserError: it is bad.
    """
    path = network.place(name)
    return load(path) if describes(path) else None
