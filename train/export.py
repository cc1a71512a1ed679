"""Write a trained network as `network.yaml` and `weights.npz`, which `spec.network` reads."""

import io
import tempfile
from pathlib import Path

import numpy as np
import yaml

from caduceus.spec.errors import UserError
from caduceus.spec.graph import Graph


def export(
    network: Graph,
    arrays: dict[str, np.ndarray],
    folder: Path,
    compressed: bool = False,
) -> None:
    """Write both files into `folder`; each appears whole or not at all.

    `arrays` holds `<node>.weight` (binary16 [rows, outputs], rows in the order y, x, channel) and
    `<node>.bias` (binary32 [outputs], real units); where there is `<node>.weight_step` (binary32
    []), weights are INT8 in steps of that; of an LSTM, what `spec.network.Network.load` names. The
    same network gives the same bytes. With `compressed` they are fewer, if many weights are alike.

    Raises:
        UserError: a file cannot be written.
    """
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    prepare(folder)
    _write(folder / network.weights, buffer.getvalue())
    _write(folder / "network.yaml", to_yaml(network).encode())


def prepare(folder: Path) -> None:
    """Make `folder`, and make sure, before a long training, that files can be written there.

    Raises:
        UserError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"{folder}: cannot write the network: {error.strerror}") from None


def to_yaml(network: Graph) -> str:
    """The description as YAML, one line a part or node; keys that were never set are left out."""
    lines = []
    for key, value in network.model_dump(mode="json", exclude_unset=True).items():
        if key == "nodes":
            lines += ["nodes:"] + [f"  - {_one_line(node)}" for node in value]
        else:
            lines.append(f"{key}: {_one_line(value)}")
    return "\n".join(lines) + "\n"


def _one_line(value: object) -> str:
    text = yaml.safe_dump(value, sort_keys=False, default_flow_style=True, width=1000)
    return text.removesuffix("...\n").strip()  # what YAML puts after a bare scalar


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot write: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)
