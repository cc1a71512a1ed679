"""A model with an LSTM to a network: description, weights, scales."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from caduceus.importers.calibrate import Calibrated, best_scale, blocks_of, int8
from caduceus.importers.describe import short
from caduceus.importers.gmax import column_gmax, layer_gmax
from caduceus.importers.layers import names
from caduceus.importers.recurrent import ReadLstm
from caduceus.importers.reference import FloatReference
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.gdpu import GATES
from caduceus.spec.graph import Graph
from caduceus.spec.network import LstmWeights, Network, Weights

VECTORS = 4096
"""Steps that scales and codes are chosen from, evenly spread."""


def described_sequence(read: ReadLstm, name: str) -> Network:
    """The network of a model with an LSTM, with scales of 1 and the largest `gmax`."""
    hidden = len(read.hidden)
    labels = names([read.lstm, *([read.dense] if read.dense is not None else [])])
    nodes: list[dict[str, object]] = [
        {
            "name": labels[0],
            "op": "lstm",
            "hidden": hidden,
            "input_gmax": formats.CELL_MAX,
            "hidden_gmax": formats.CELL_MAX,
            "gate_scales": (1.0,) * len(GATES),
            "output_scale": 1.0,
            "origin": {
                "node": read.lstm,
                "operator": "LSTM",
                "weights": read.input.size + read.hidden.size,
            },
        }
    ]
    single = np.float32
    weights: dict[str, Weights | LstmWeights] = {
        labels[0]: LstmWeights(
            read.input.astype(single), read.hidden.astype(single), read.bias.astype(single)
        )
    }
    if read.dense is not None:
        nodes.append(
            {
                "name": labels[1],
                "op": "dense",
                "outputs": read.weight.shape[1],
                "relu": False,
                "gmax": formats.CELL_MAX,
                "output_scale": 1.0,
                "origin": {
                    "node": read.dense,
                    "operator": "+".join(read.operators),
                    "weights": read.weight.size,
                },
            }
        )
        weights[labels[1]] = Weights(read.weight.astype(single), read.dense_bias.astype(single))
    scale, table = 1.0, None
    if read.table is not None:
        scale = best_scale(read.table, clip=False)
        table = int8(read.table, scale)
    graph = Graph.model_validate(
        {
            "format": 2,
            "name": name,
            "dataset": "own",
            "input": {"shape": (read.size,), "scale": scale},
            "weights": "weights.npz",
            "nodes": tuple(nodes),
            "host": _host(read),
        }
    )
    return Network(graph, weights, table)


def _host(read: ReadLstm) -> dict[str, object]:
    before: list[dict[str, object]] = []
    if read.table is not None:
        before.append({"op": "embedding", "origin": read.table_node, "entries": len(read.table)})
    if read.normalize is not None:
        factor, shift = read.normalize
        before.append(
            {
                "op": "normalize",
                "origin": read.normalize_node,
                "factor": short(factor),
                "shift": short(shift),
            }
        )
    after = [{"op": "last_step", "origin": read.dense or read.lstm}] if read.last else []
    after += [{"op": each.op, "origin": each.origin} for each in read.after]
    return {"layout": "vector", "before": tuple(before), "after": tuple(after)}


def sequence_input(read: ReadLstm, x: NDArray) -> NDArray[np.float32]:
    """The network's inputs in real units for those of the model, [n, steps, size]."""
    if read.table is not None:
        return read.table[x.astype(int)].astype(np.float32)
    real = x.astype(np.float64)
    if read.normalize is not None:
        real = real * read.normalize[0] + read.normalize[1]
    return real.astype(np.float32)


def calibrated_sequence(network: Network, x: NDArray[np.float32], chip: Chip) -> Calibrated:
    """Choose all scales and every `gmax`, as `importers.calibrate.calibrated`.

    Args:
        network: of `described_sequence`.
        x: its inputs in real units, [n, steps, size].
        chip: whose arrays and converters `gmax` is chosen for.
    """
    graph = network.graph
    lstm, *rest = graph.nodes
    reference = FloatReference(network)
    tensors = reference.run(x)
    states = tensors[lstm.name]
    gates = reference.gates(x, states)
    before = np.concatenate([np.zeros_like(states[:, :1]), states[:, :-1]], axis=1)
    weights = network.weights[lstm.name]
    source = graph.input.scale if network.embedding is not None else best_scale(x)
    # On its way through the tiles a sum is rounded to INT8 after each: the input's comes first.
    partial = (x @ weights.input).reshape(gates.shape)
    steps = tuple(
        best_scale(np.concatenate([gates[:, :, gate].ravel(), partial[:, :, gate].ravel()]))
        for gate in range(len(GATES))
    )
    output = best_scale(states)
    flat = int8(x, source).reshape(-1, x.shape[-1])
    hidden = int8(before, output).reshape(-1, states.shape[-1])
    chosen = np.unique(np.linspace(0, len(flat) - 1, min(len(flat), VECTORS)).astype(int))
    flat, hidden = flat[chosen], hidden[chosen]
    codes, arrays = _lstm_codes(weights, flat, hidden, source / output, chip)
    nodes = [
        lstm.model_copy(update={"gate_scales": steps, "output_scale": output, **codes}),
    ]
    found: dict[str, Weights | LstmWeights] = {lstm.name: arrays}
    for node in rest:
        dense = network.weights[node.name]
        vectors = int8(states, output).reshape(-1, states.shape[-1])[chosen]
        blocks = blocks_of(len(dense.weight), chip)
        nodes.append(
            node.model_copy(
                update={
                    "output_scale": best_scale(tensors[node.name], clip=False),
                    "gmax": layer_gmax(dense.weight, vectors, blocks, chip),
                }
            )
        )
        found[node.name] = replace(dense, gmax=column_gmax(dense.weight, vectors, blocks, chip))
    source_section = graph.input.model_copy(update={"scale": source})
    graph = graph.model_copy(update={"nodes": tuple(nodes), "input": source_section})
    return Calibrated(
        Network(graph, found, network.embedding),
        f"scales of least squared error; gmax for 1e-5 saturated conversions on {chip.name}",
    )


def _lstm_codes(
    weights: LstmWeights,
    x: NDArray[np.int8],
    hidden: NDArray[np.int8],
    ratio: float,
    chip: Chip,
) -> tuple[dict[str, int], LstmWeights]:
    """Codes of both matrices; where they share an array those of the two together."""
    size, units = len(weights.input), len(weights.hidden)
    if size + units <= chip.array.rows:
        both = np.concatenate([weights.input * np.float32(ratio), weights.hidden])
        vectors = np.concatenate([x, hidden], axis=1)
        pairs = [(both, vectors, [range(size + units)])] * 2
    else:
        pairs = [
            (weights.input, x, blocks_of(size, chip)),
            (weights.hidden, hidden, blocks_of(units, chip)),
        ]
    layer = [layer_gmax(*pair, chip) for pair in pairs]
    columns = [column_gmax(*pair, chip) for pair in pairs]
    codes = {"input_gmax": layer[0], "hidden_gmax": layer[1]}
    return codes, replace(weights, input_gmax=columns[0], hidden_gmax=columns[1])
