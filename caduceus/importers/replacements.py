"""Weights of a PyTorch `state_dict`, as a `.safetensors` file has them, in place of others."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.errors import UserError, named
from caduceus.spec.files import read_whole
from caduceus.spec.graph import Layer, Lstm, geometries
from caduceus.spec.network import LstmWeights, Network, Weights

BYTES_MAX = 1 << 31
TORCH_GATES = (0, 2, 1, 3)
"""PyTorch's gates I, F, G, O in the order I, A, F, O."""


def tensors(file: Path | str) -> dict[str, NDArray[np.float32]]:
    """The tensors of a file, by name.

    Raises:
        UserError: the file cannot be read, is damaged, or holds values that are not finite.
    """
    from safetensors.numpy import load

    data = read_whole(file, "weights", BYTES_MAX)
    try:
        found = load(data)
    except Exception:  # the library's errors have no common class
        raise UserError(f"{file}: not a weights file (.safetensors), or damaged") from None
    numbers = {}
    for name, value in found.items():
        with np.errstate(over="ignore"):
            numbers[name] = value.astype(np.float32)
        if value.dtype.kind not in "fiu" or not np.isfinite(numbers[name]).all():
            raise UserError(
                f"{file}: {named(name)}: got other values, expected numbers finite in binary32"
            )
    return numbers


@contextmanager
def replacements(file: Path | str | None) -> Iterator[Path | None]:
    """The tensors of a file as an `.npz`, while the block runs; None without a file."""
    if file is None:
        yield None
        return
    found = tensors(file)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tensors.npz"
        numbered = {f"t{number}": value for number, value in enumerate(found.values())}
        np.savez(path, names=np.array([*found], dtype=str), **numbered)
        yield path


def with_weights(network: Network, file: Path | str) -> Network:
    """A described network with the weights of a PyTorch `state_dict`.

    Tensors are called as the nodes: of a layer `<node>.weight`, [outputs, channels, height, width]
    or [outputs, inputs] (inputs of a map in the order channel, y, x), and `<node>.bias`; of an LSTM
    `<node>.weight_ih_l0`, `<node>.weight_hh_l0`, `<node>.bias_ih_l0`, `<node>.bias_hh_l0`. A bias
    may be missing: it is 0. Scales and codes stay as they are.

    Raises:
        UserError: a tensor is missing, left over, or of another shape.
    """
    found = tensors(file)
    made: dict[str, Weights | LstmWeights] = {}
    for node, geometry in zip(network.graph.nodes, geometries(network.graph), strict=True):
        if isinstance(node, Lstm):
            made[node.name] = _lstm(node, geometry.rows - node.hidden, found, file)
        else:
            made[node.name] = _layer(node, geometry.input, found, file)
        made[node.name] = replace(
            network.weights[node.name],
            **{key: value for key, value in vars(made[node.name]).items() if value is not None},
        )
    if found:
        raise UserError(
            f"{file}: {named(next(iter(found)))}: got a tensor that no node has, expected those of "
            f"{', '.join(network.weights)}"
        )
    return replace(network, weights=made)


def _take(
    found: dict[str, NDArray], name: str, shape: tuple[int, ...], file: Path | str,
    *, zero: bool = False,
) -> NDArray[np.float32]:  # fmt: skip
    if name not in found:
        if zero:
            return np.zeros(shape, np.float32)
        raise UserError(f"{file}: {named(name)} is missing: expected shape {list(shape)}")
    value = found.pop(name)
    if value.shape != shape:
        raise UserError(
            f"{file}: {named(name)}: shape: got {list(value.shape)}, expected {list(shape)}"
        )
    return value


def _layer(
    node: Layer, shape: tuple[int, int, int], found: dict[str, NDArray], file: Path | str
) -> Weights:
    height, width, channels = shape
    if node.op == "conv":
        wanted = (node.outputs, channels, node.kernel, node.kernel)
        weight = _take(found, f"{node.name}.weight", wanted, file)
    else:
        wanted = (node.outputs, channels * height * width)
        weight = _take(found, f"{node.name}.weight", wanted, file)
        weight = weight.reshape(node.outputs, channels, height, width)
    rows = np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(-1, node.outputs))
    return Weights(rows, _take(found, f"{node.name}.bias", (node.outputs,), file, zero=True))


def _lstm(node: Lstm, size: int, found: dict[str, NDArray], file: Path | str) -> LstmWeights:
    gates, name = 4 * node.hidden, node.name

    def ordered(rows: NDArray) -> NDArray:
        return np.concatenate([np.split(rows, 4)[place] for place in TORCH_GATES])

    each = _take(found, f"{name}.weight_ih_l0", (gates, size), file)
    hidden = _take(found, f"{name}.weight_hh_l0", (gates, node.hidden), file)
    biases = [
        _take(found, f"{name}.{key}", (gates,), file, zero=True)
        for key in ("bias_ih_l0", "bias_hh_l0")
    ]
    return LstmWeights(
        np.ascontiguousarray(ordered(each).T), np.ascontiguousarray(ordered(hidden).T),
        ordered(biases[0] + biases[1]),
    )  # fmt: skip
