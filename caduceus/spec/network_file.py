"""Write a network as its description and the files beside it, which `Network.load` reads."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from caduceus.spec.errors import UserError, named
from caduceus.spec.files import write_whole
from caduceus.spec.graph import Graph

DESCRIPTION, DATA, TEXT = "network.yaml", "data.npz", "text.txt"
"""Names of a network's description, of its own data and of its own text, in its folder."""


def write(
    graph: Graph, arrays: Mapping[str, NDArray], folder: Path | str, *, compressed: bool = False
) -> None:
    """Write weights and description into `folder`; each file appears whole or not at all.

    The same network gives the same bytes.

    Args:
        graph: the description.
        arrays: `<node>.weight` [rows, outputs], rows in the order y, x, channel, and `<node>.bias`
            [outputs] in real units; where there is `<node>.weight_step`, weights are INT8 in steps
            of that; of an LSTM, and others, as `spec.network.Network.load` names them.
        folder: made if it does not exist.
        compressed: makes the file of weights smaller, if many are alike.

    Raises:
        UserError: a file cannot be written, or the weights' file is not one beside the description.
    """
    folder = Path(folder)
    name = graph.weights
    if Path(name).name != name or name in (DESCRIPTION, DATA, TEXT):
        raise UserError(
            f"network {graph.name}: weights: got {named(name)}, expected the name of a file of its "
            "own beside the description"
        )
    content = _archive(np.savez_compressed if compressed else np.savez, arrays)
    write_whole(folder / name, content, "weights")
    write_whole(folder / DESCRIPTION, to_yaml(graph), "network description")


def write_beside(folder: Path | str, data: Mapping[str, NDArray] | None, text: str | None) -> None:
    """Write the network's own data and text into `folder`, or remove those of an earlier network.

    Raises:
        UserError: a file cannot be written or removed.
    """
    contents = {
        DATA: None if data is None else _archive(np.savez, data),
        TEXT: None if text is None else text.encode(),
    }
    for name, content in contents.items():
        path = Path(folder) / name
        if content is not None:
            write_whole(path, content, path.stem)
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{path}: cannot remove: {error.strerror}") from None


def _archive(write: Callable[..., None], arrays: Mapping[str, NDArray]) -> bytes:
    buffer = io.BytesIO()
    write(buffer, **arrays)
    return buffer.getvalue()


def to_yaml(graph: Graph) -> str:
    """The description as YAML, one line a part or node; keys that were never set are left out."""
    lines = []
    for key, value in graph.model_dump(mode="json", exclude_unset=True).items():
        if key == "nodes":
            lines += ["nodes:"] + [f"  - {_one_line(node)}" for node in value]
        else:
            lines.append(f"{key}: {_one_line(value)}")
    return "\n".join(lines) + "\n"


def _one_line(value: object) -> str:
    text = yaml.safe_dump(value, sort_keys=False, default_flow_style=True, width=float("inf"))
    return text.removesuffix("...\n").strip()  # what YAML puts after a bare scalar
