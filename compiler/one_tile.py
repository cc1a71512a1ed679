"""A network whose every matrix fits one array, compiled to run layer by layer on one tile."""

from collections.abc import Mapping

import numpy as np

from compiler import quantise
from spec import formats
from spec.chip import Chip
from spec.errors import UserError
from spec.formats import ReadMode
from spec.graph import Geometry, Graph, Layer, geometries
from spec.network import Weights
from spec.program import LayerProgram, TileConfig, TileNetworkProgram


def compile_network(
    network: Graph, weights: Mapping[str, Weights], chip: Chip, read_mode: ReadMode
) -> TileNetworkProgram:
    """Map every layer of `network` to the tile of `chip`.

    Raises:
        UserError: a layer does not fit the array, a constant does not fit binary16, or the layers
            are not a chain with max-pooling, which is what the host can do between them.
    """
    branches = any(layer.input or layer.residual for layer in network.nodes)
    if branches or any(layer.pool and layer.pool.kind != "max" for layer in network.nodes):
        raise UserError(
            f"network {network.name} has residuals, branches or averages: allowed on one tile is a "
            "chain of layers with max-pooling"
        )
    layers = []
    input_scale = network.input.scale
    for layer, geometry in zip(network.nodes, geometries(network), strict=True):
        _check_fit(network, layer, geometry, chip)
        parameters = weights[layer.name]
        layers.append(_compile_layer(layer, geometry, parameters, input_scale, chip, read_mode))
        input_scale = layer.output_scale
    return TileNetworkProgram(chip.name, network, tuple(layers))


def _check_fit(network: Graph, layer: Layer, geometry: Geometry, chip: Chip) -> None:
    for what, size, limit in (
        ("rows", geometry.rows, chip.array.rows),
        ("columns", layer.outputs, chip.array.columns),
    ):
        if size > limit:
            raise UserError(
                f"network {network.name}: layer {layer.name} has {size} {what}: "
                f"chip {chip.name} allows {limit} on one tile"
            )


def _compile_layer(
    layer: Layer,
    geometry: Geometry,
    parameters: Weights,
    input_scale: float,
    chip: Chip,
    read_mode: ReadMode,
) -> LayerProgram:
    cells = quantise.cell_codes(parameters.weight, layer.gmax)
    codes = np.zeros((chip.array.rows, chip.array.columns, len(formats.DEVICES)), dtype=np.uint8)
    codes[: geometry.rows, : layer.outputs] = quantise.device_codes(cells)

    largest = quantise.largest_weight(parameters.weight)
    steps = quantise.Steps(layer.name, layer.gmax, largest, input_scale, layer.output_scale)
    constants = quantise.column_constants(steps, parameters.bias, chip)
    config = TileConfig(
        read_mode=read_mode,
        rows=geometry.rows,
        columns=layer.outputs,
        constants=constants,
        relu_2=layer.relu,
    )
    return LayerProgram(layer, geometry, config, codes)
