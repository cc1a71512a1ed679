"""A whole network, layer by layer on one tile, with the host's part in between."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from golden import host
from golden.tile import Tile
from spec.chip import Chip
from spec.errors import UserError
from spec.graph import Input
from spec.pcm_state import PcmState
from spec.program import LayerProgram, TileNetworkProgram

IMAGES_PER_BLOCK = 64
"""Images that go through all layers together: bounds the memory of a run over a data set."""


@dataclass(frozen=True)
class LayerTrace:
    """What entered and left the tile while it ran a layer.

    Attributes:
        name: of the layer.
        vectors: int8 [images * pixels, rows], images in order, pixels row by row.
        outputs: int8 [images * pixels, columns], before any pooling.
    """

    name: str
    vectors: NDArray[np.int8]
    outputs: NDArray[np.int8]


def run(
    program: TileNetworkProgram,
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
        program: what the compiler made for `chip`.
        chip: the chip description.
        images: uint8 [n, height, width] or [n, height, width, channels].
        states: the PCM state of each layer; its tile 0 runs the layer.
        capture: whether to give every layer's vectors and outputs, too.
        first_image: images that came before; for splitting a data set.
        progress: called now and then with the number of images done since the last call.

    Returns:
        int8 [n, outputs]; with `capture` that, and a trace a layer.

    Raises:
        UserError: images, states or chip do not fit the program.
    """
    _check(program, chip, images, states)
    tiles = [Tile(chip, state) for state in states]
    outputs, traces = [], []
    # At least one block, so that no images give empty arrays of the right shapes.
    for start in range(0, max(len(images), 1), IMAGES_PER_BLOCK):
        block = images[start : start + IMAGES_PER_BLOCK]
        shape = program.layers[0].geometry.input
        x = host.quantise_input(block, program.network.input.scale).reshape(-1, *shape)
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
    program: TileNetworkProgram, chip: Chip, images: NDArray[np.uint8], states: Sequence[PcmState]
) -> None:
    if program.chip != chip.name:
        raise UserError(f"program is for chip '{program.chip}': chip '{chip.name}' was given")
    if len(states) != len(program.layers):
        raise UserError(f"{len(states)} PCM states: allowed is one a layer ({len(program.layers)})")
    wanted: Input = program.network.input
    shape = (wanted.height, wanted.width, wanted.channels)
    fits = images.shape[1:] == shape or (wanted.channels == 1 and images.shape[1:] == shape[:2])
    if images.dtype != np.uint8 or not fits:
        raise UserError(
            f"images: {images.dtype} {list(images.shape)}: allowed is uint8 "
            f"[n, {shape[0]}, {shape[1]}, {shape[2]}]"
        )
