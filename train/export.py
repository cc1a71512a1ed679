"""Write a trained network as `network.yaml` and `weights.npz`, the form everyone else reads."""

import io
import os
from pathlib import Path

import numpy as np
import yaml

from train.analog import INPUT_MAX, AnalogLayer, AnalogNetwork

FORMAT = 1


def export(network: AnalogNetwork, float_accuracy: float, folder: Path) -> None:
    """Write both files into `folder`; each appears whole or not at all.

    Weights are binary16 [rows, outputs] with rows in (y, x, channel) order, biases binary32 in
    real units. The same network gives the same bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for layer in network.layers:
        name = layer.placed.layer.name
        arrays[f"{name}.weight"] = matrix(layer)
        arrays[f"{name}.bias"] = layer.bias.detach().numpy().astype(np.float32)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    _write(folder / "weights.npz", buffer.getvalue())
    _write(folder / "network.yaml", _describe(network, float_accuracy).encode())


def matrix(layer: AnalogLayer) -> np.ndarray:
    """The layer's weights as binary16 [rows, outputs]."""
    weight = layer.weight.detach().permute(2, 3, 1, 0).reshape(layer.placed.rows, -1)
    return weight.numpy().astype(np.float16)


def _describe(network: AnalogNetwork, float_accuracy: float) -> str:
    topology = network.topology
    head = {"format": FORMAT, "name": topology.name, "dataset": "fashion_mnist"}
    lines = [yaml.safe_dump(head, sort_keys=False).rstrip()]
    lines.append(
        "input: "
        + _flow(
            {
                "height": topology.side,
                "width": topology.side,
                "channels": 1,
                "scale": _short(1 / INPUT_MAX),
            }
        )
    )
    lines += ["weights: weights.npz", "layers:"]
    lines += [f"  - {_flow(_layer_entry(layer))}" for layer in network.layers]
    lines.append(f"float_accuracy: {float_accuracy:.4f}")
    return "\n".join(lines) + "\n"


def _layer_entry(layer: AnalogLayer) -> dict:
    shape = layer.placed.layer
    entry: dict = {"name": shape.name, "kind": shape.kind}
    if shape.kind == "conv":
        entry |= {"kernel": shape.kernel, "stride": shape.stride, "padding": shape.padding}
    entry |= {"outputs": shape.outputs, "relu": shape.relu, "gmax": layer.gmax}
    entry["output_scale"] = _short(layer.output_scale)
    if shape.pool:
        entry["pool"] = {"kind": "max", "size": shape.pool.size, "stride": shape.pool.stride}
    return entry


def _flow(entry: dict) -> str:
    """One YAML mapping on one line."""
    return yaml.safe_dump(entry, sort_keys=False, default_flow_style=True, width=200).strip()


def _short(value: float) -> float:
    """Eight significant digits: more than binary32 holds, and readable."""
    return float(f"{value:.8g}")


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data)
    os.replace(temporary, path)
