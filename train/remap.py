"""Codes of columns for a trained network: `python -m train.remap --network NAME`.

Training chooses one `gmax` for each layer. This gives every column of a matrix the largest code at
which its own conversions rarely saturate, on training inputs as the chip's ideal golden model hands
them to its tiles. Weights and scales stay.
"""

from collections import defaultdict
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from caduceus.cli.failures import reported
from caduceus.compiler.network import compile_network
from caduceus.data import characters, fashion_mnist, pictures
from caduceus.golden.machine import Machine
from caduceus.importers.gmax import column_gmax
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Lstm
from caduceus.spec.network import NETWORKS, LstmWeights, Network
from caduceus.spec.program_codes import computing, device_codes
from caduceus.spec.shipped import shipped_folder
from train.export import export

IMAGES, SEQUENCES, STEPS = 512, 256, 128
"""Of the training set, for networks of images and of texts."""
_AT_ONCE = 64
"""Images, or sequences, that pass the chip together."""
_KEPT = 1 << 15
"""Vectors of a tile that are looked at, about, evenly spread."""


def inputs(network: Network) -> NDArray[np.int8]:
    """The first training inputs, as `caduceus.data.Inputs.x`.

    Raises:
        UserError: the data set is not installed, or has no training inputs.
    """
    if network.graph.dataset == "fashion_mnist":
        images = fashion_mnist.load("train")[0][:IMAGES]
        border = network.graph.input.height - images.shape[1]
        around = (border // 2, border - border // 2)
        padded = np.pad(images, ((0, 0), around, around))
        return pictures.vectors(network.graph, padded[..., np.newaxis])
    if network.embedding is None:
        raise UserError(
            f"network {network.name}: dataset: got {network.graph.dataset}, expected fashion_mnist "
            "or a text"
        )
    if network.graph.dataset == "penn_treebank":
        text = characters.penn_treebank("train")[: SEQUENCES * STEPS]
    else:
        text = network.text or ""
    numbers = characters.encode(text, network.graph.input.symbols)
    count = max(1, len(numbers) // STEPS)
    steps = len(numbers) // count
    return network.embedding[numbers[: count * steps].reshape(count, steps)]


def codes(network: Network, chip: Chip, x: NDArray[np.int8]) -> dict[str, NDArray[np.uint16]]:
    """Arrays of a weights file: the codes of every matrix's columns.

    Args:
        network: with a layer or an LSTM on each tile.
        chip: that it is compiled for.
        x: int8 inputs, as `caduceus.data.Inputs.x`.

    Raises:
        UserError: the network does not fit the chip.
    """
    vectors = _vectors(network, chip, x)
    found = {}
    for node, source in zip(network.graph.nodes, network.graph.inputs, strict=True):
        weights, given = network.weights[node.name], vectors[node.name]
        if isinstance(weights, LstmWeights):
            assert isinstance(node, Lstm)
            ratio = network.graph.scales[source] / node.output_scale
            for name, rows, matrix in _gates(weights, given, ratio):
                found[f"{node.name}.{name}"] = _codes(matrix, rows, chip)
        else:
            found[f"{node.name}.gmax"] = _codes(weights.weight, given, chip)
    return found


def _gates(
    weights: LstmWeights, given: list[NDArray[np.int8]], ratio: float
) -> list[tuple[str, list[NDArray[np.int8]], NDArray[np.float32]]]:
    """An LSTM's matrices by name, with the inputs of their tiles; one where both share tiles."""
    size = len(weights.input)
    if len(given) == 1:
        both = np.concatenate([weights.input * np.float32(ratio), weights.hidden])
        return [("hidden_gmax", given, both)]
    ends = np.cumsum([x.shape[1] for x in given])
    first = int(np.searchsorted(ends, size)) + 1
    return [
        ("input_gmax", given[:first], weights.input),
        ("hidden_gmax", given[first:], weights.hidden),
    ]


def _codes(
    weight: NDArray[np.float32], given: list[NDArray[np.int8]], chip: Chip
) -> NDArray[np.uint16]:
    """Codes of a matrix's columns, from the inputs of its row blocks."""
    ends = np.cumsum([x.shape[1] for x in given])
    blocks = [range(end - x.shape[1], end) for x, end in zip(given, ends, strict=True)]
    return column_gmax(weight, np.concatenate(given, axis=1), blocks, chip)


def _vectors(network: Network, chip: Chip, x: NDArray[np.int8]) -> dict[str, list[NDArray]]:
    """By node the inputs of its row blocks, int8 [n, rows of the matrix], in their order."""
    program = compile_network(network, chip, ReadMode.FOUR_PHASE, per_core=True)
    wanted = {
        tile.tile: tile
        for tile in computing(program)
        if tile.block is not None and tile.block.columns == 0
    }
    seen: dict[int, list[NDArray[np.int8]]] = defaultdict(list)
    batches = -(-len(x) // _AT_ONCE) * (x.shape[1] if network.recurrent else 1)
    kept = max(1, _KEPT // batches)

    def tap(number: int, vectors: NDArray[np.int8]) -> None:
        if number in wanted:
            seen[number].append(vectors[:: max(1, len(vectors) // kept)].copy())

    state = pcm_state.ideal(chip, device_codes(program, chip))
    machine = Machine(program, chip, state, tap)
    for first in range(0, len(x), _AT_ONCE):
        machine.run(program.vectors(x[first : first + _AT_ONCE]))
    found: dict[str, list[NDArray]] = defaultdict(list)
    for number, tile in sorted(wanted.items(), key=lambda each: each[1].block.rows):
        rows = np.arange(tile.config.rows)
        if tile.config.window is None:
            # Parts of a vector begin at whole beats: what is between them is no row of the matrix.
            parts = tile.config.input_parts
            rows = np.concatenate([part.start + np.arange(part.length) for part in parts])
        found[tile.block.layer].append(np.concatenate(seen[number])[:, rows])
    return found


@click.command()
@click.option("--network", required=True, help="Network to give codes of columns.")
@click.option("--chip", required=True, help="Chip whose converters must not saturate.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=shipped_folder(NETWORKS),
    show_default=False, help="Folder of the network's own folder.  [default: networks]",
)  # fmt: skip
def remap(network: str, chip: str, output: Path) -> None:
    """Write a trained network again, with a code for each column."""
    found = Network.find(network)
    made = codes(found, Chip.find(chip), inputs(found))
    for name, each in made.items():
        click.echo(f"{name}: {each.min()} to {each.max()}, median {np.median(each):.0f}")
    path = shipped_folder(NETWORKS) / network / found.graph.weights
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    graph = found.graph.model_copy(update={"scaling": "column"})
    export(graph, arrays | made, output / found.name, compressed=True)


def main() -> None:
    """Run the command line and exit."""
    with reported("remap"):
        remap(prog_name="python -m train.remap", standalone_mode=False)


if __name__ == "__main__":
    main()
