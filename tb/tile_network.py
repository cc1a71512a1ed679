"""A network through one tile, layer by layer: its compilation and its golden model.

Published (Le Gallo et al. 2023): the chip's host does im2col, max-pooling and transport between
layers. Here each layer in turn is loaded into one tile, so a whole network, with the sizes of all
its layers, runs on the tile's own RTL (`tb.test_tile_network`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from caduceus.compiler import quantise
from caduceus.compiler.content import Matrix, Scaling
from caduceus.data import pictures
from caduceus.golden.fast.tile import Tile
from caduceus.golden.reference import host
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Geometry, Graph, Input, Layer, geometries
from caduceus.spec.network import Weights
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import TileConfig

IMAGES_PER_BLOCK = 64
"""Images that pass all layers together: bounds the memory of a run over a data set."""


@dataclass(frozen=True)
class LayerProgram:
    """A layer on one tile.

    Attributes:
        layer, geometry: description of the layer, for the host's im2col and pooling.
        config: the tile's configuration while it runs the layer.
        codes: uint8 [array rows, array columns, 4], target conductance codes.
    """

    layer: Layer
    geometry: Geometry
    config: TileConfig
    codes: NDArray[np.uint8]


@dataclass(frozen=True)
class TileNetwork:
    """A network, layer by layer, for one tile of the chip called `chip`."""

    chip: str
    network: Graph
    layers: tuple[LayerProgram, ...]


def compile_network(
    network: Graph, weights: Mapping[str, Weights], chip: Chip, read_mode: ReadMode
) -> TileNetwork:
    """Map every layer of `network` to the tile of `chip`.

    Raises:
        UserError: a layer does not fit the array, a constant does not fit binary16, or the layers
            are not a chain with max-pooling, the only operation of the host between them.
    """
    branches = any(layer.input or layer.residual for layer in network.nodes)
    if branches or any(layer.pool and layer.pool.kind != "max" for layer in network.nodes):
        raise UserError(
            f"network {network.name} has residuals, branches or averages: expected a chain of "
            "layers with max-pooling"
        )
    layers = []
    input_scale = network.input.scale
    for layer, geometry in zip(network.nodes, geometries(network), strict=True):
        _check_fit(network, layer, geometry, chip)
        parameters = weights[layer.name]
        layers.append(
            _compile_layer(
                layer, geometry, parameters, input_scale, chip, read_mode,
                per_core=network.scaling == "core",
            )
        )  # fmt: skip
        input_scale = layer.output_scale
    return TileNetwork(chip.name, network, tuple(layers))


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
    *,
    per_core: bool,
) -> LayerProgram:
    scaling = Scaling(per_core=per_core)
    matrix = Matrix(
        layer.name, parameters.weight, parameters.bias, scaling.code(layer.gmax, parameters.gmax),
        input_scale, layer.output_scale, per_core,
    )  # fmt: skip
    codes = np.zeros((chip.array.rows, chip.array.columns, len(formats.DEVICES)), dtype=np.uint8)
    codes[: geometry.rows, : layer.outputs] = quantise.device_codes(matrix.cells)

    constants = quantise.column_constants(matrix.steps, parameters.bias, chip)
    config = TileConfig(
        read_mode=read_mode,
        rows=geometry.rows,
        columns=layer.outputs,
        constants=constants,
        relu_2=layer.relu,
    )
    return LayerProgram(layer, geometry, config, codes)


@dataclass(frozen=True)
class LayerTrace:
    """Input and output vectors of the tile for one layer.

    Attributes:
        name: of the layer.
        vectors: int8 [images * pixels, rows], images in order, pixels row by row.
        outputs: int8 [images * pixels, columns], before any pooling.
    """

    name: str
    vectors: NDArray[np.int8]
    outputs: NDArray[np.int8]


def run(
    program: TileNetwork,
    chip: Chip,
    images: NDArray[np.uint8],
    states: Sequence[PcmState],
    capture: bool = False,
    first_image: int = 0,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.int8] | tuple[NDArray[np.int8], list[LayerTrace]]:
    """Outputs of the last layer for every image.

    The state of a layer is loaded once and then serves every pixel of every image, so the read
    index of a vector is image * pixels + pixel.

    Args:
        program: compiled for `chip`.
        chip: the chip description.
        images: uint8 [n, height, width] or [n, height, width, channels].
        states: the PCM state of each layer; its tile 0 runs the layer.
        capture: whether to return every layer's vectors and outputs, too.
        first_image: number of earlier images; for splitting a data set.
        progress: called now and then with the number of images done since the last call.

    Returns:
        int8 [n, outputs]; with `capture` also one trace per layer.

    Raises:
        UserError: images, states or chip do not fit the program.
    """
    _check(program, chip, images, states)
    tiles = [Tile(chip, state) for state in states]
    outputs, traces = [], []
    # At least one block: without images, the empty arrays have the right shapes.
    for start in range(0, max(len(images), 1), IMAGES_PER_BLOCK):
        block = images[start : start + IMAGES_PER_BLOCK]
        shape = program.layers[0].geometry.input
        x = pictures.quantise_input(block, program.network.input.scale).reshape(-1, *shape)
        for layer, tile in zip(program.layers, tiles, strict=True):
            trace, x = _run_layer(layer, tile, x, first_image + start)
            if capture:
                traces.append(trace)
        outputs.append(x.reshape(len(block), prod(program.layers[-1].geometry.pooled)))
        if progress:
            progress(len(block))
    final = np.concatenate(outputs)
    if not capture:
        return final
    return final, [_joined(traces[index :: len(tiles)]) for index in range(len(tiles))]


def vectors(program: LayerProgram, x: NDArray[np.int8]) -> NDArray[np.int8]:
    """The host's part before a layer: its input vectors.

    Args:
        program: the layer.
        x: int8, a batch of feature maps, of the layer's input shape or flattened.

    Returns:
        int8 [images * pixels, rows], images in order, pixels row by row.
    """
    layer = program.layer
    x = x.reshape(-1, *program.geometry.input)
    if layer.op == "conv":
        x = host.im2col(x, layer.kernel, layer.stride, layer.padding)
    return x.reshape(-1, program.geometry.rows)


def feature_maps(program: LayerProgram, outputs: NDArray[np.int8]) -> NDArray[np.int8]:
    """The host's part after a layer: result vectors as feature maps, pooled.

    Args:
        program: the layer.
        outputs: int8 [images * pixels, columns].

    Returns:
        int8 [images, height, width, channels].
    """
    pool = program.layer.pool
    x = outputs.reshape(-1, *program.geometry.output)
    return host.max_pool(x, pool.size, pool.stride) if pool else x


def _run_layer(
    program: LayerProgram, tile: Tile, x: NDArray[np.int8], first_image: int
) -> tuple[LayerTrace, NDArray[np.int8]]:
    """Trace of a layer, and its feature maps."""
    entered = vectors(program, x)
    height, width, _ = program.geometry.output
    left = tile.run(program.config, entered, first_read=first_image * height * width)
    return LayerTrace(program.layer.name, entered, left), feature_maps(program, left)


def _joined(traces: list[LayerTrace]) -> LayerTrace:
    return LayerTrace(
        traces[0].name,
        np.concatenate([trace.vectors for trace in traces]),
        np.concatenate([trace.outputs for trace in traces]),
    )


def _check(
    program: TileNetwork, chip: Chip, images: NDArray[np.uint8], states: Sequence[PcmState]
) -> None:
    if program.chip != chip.name:
        raise UserError(f"program is for chip '{program.chip}': got chip '{chip.name}'")
    if len(states) != len(program.layers):
        raise UserError(f"{len(states)} PCM states: expected one per layer ({len(program.layers)})")
    wanted: Input = program.network.input
    shape = (wanted.height, wanted.width, wanted.channels)
    fits = images.shape[1:] == shape or (wanted.channels == 1 and images.shape[1:] == shape[:2])
    if images.dtype != np.uint8 or not fits:
        raise UserError(
            f"images: got {images.dtype} {list(images.shape)}, expected uint8 "
            f"[n, {shape[0]}, {shape[1]}, {shape[2]}]"
        )
