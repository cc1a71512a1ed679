"""A tile's share of a matrix: device codes, and the constants that turn counts into INT8 steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from caduceus.compiler import quantise
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Layer
from caduceus.spec.network import Network
from caduceus.spec.program import InputPart, TileConfig

Content = tuple[TileConfig, NDArray[np.uint8]]
"""Configuration and device codes of a tile."""


@dataclass(frozen=True)
class Matrix:
    """A layer's whole matrix; tiles hold blocks of it.

    Attributes:
        where: network and layer, for errors.
        weight: float32 [rows, columns], in real units.
        bias: float32 [columns], in real units.
        gmax: code of the largest weight.
        input_scale: real value of one INT8 step of the input.
        output_scale: of the output, float64 [columns], or one number for all.
    """

    where: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    gmax: int
    input_scale: float
    output_scale: float | NDArray[np.float64]

    @cached_property
    def largest(self) -> float:
        """Largest magnitude of a weight."""
        return quantise.largest_weight(self.weight)

    @cached_property
    def peak(self) -> int:
        """Column of the largest weight."""
        return int(np.abs(self.weight).max(axis=0).argmax())

    @cached_property
    def cells(self) -> NDArray[np.int16]:
        """Signed cell codes [rows, columns]."""
        return quantise.cell_codes(self.weight, self.gmax, self.largest)


def layer_matrix(network: Network, layer: Layer, input_scale: float, largest_code: int) -> Matrix:
    """The matrix of a layer whose input has steps of `input_scale`; no code is larger than that."""
    parameters = network.weights[layer.name]
    return Matrix(
        f"network {network.name}: layer {layer.name}", parameters.weight, parameters.bias,
        min(layer.gmax, largest_code), input_scale, layer.output_scale,
    )  # fmt: skip


@dataclass(frozen=True)
class Place:
    """The block of a matrix that a tile holds, and its place in the chain of partial sums.

    Attributes:
        columns: of the matrix, in the tile's order.
        sources: rows of the matrix that each part of the tile's input vector multiplies.
        first, last: whether it begins or ends its chain.
        parts: where each part goes in the input vector; None for one that begins at 0.
    """

    columns: NDArray[np.intp]
    sources: Sequence[range]
    first: bool
    last: bool
    parts: Sequence[InputPart] | None = None


def content(
    matrix: Matrix, place: Place, chip: Chip, read_mode: ReadMode, **options: object
) -> Content:
    """Configuration and codes, uint8 [rows, columns, 4], of the tile that holds a block.

    Args:
        matrix: the layer's.
        place: the block's place in it.
        chip: gives the nominal gain, and the type of partial sums.
        read_mode: of the tile.
        options: more of its `TileConfig`; `relu_2` holds at the chain's end only.

    Raises:
        UserError: a constant does not fit binary16, or an RX vector its buffer.
    """
    parts = place.parts or (InputPart(0, len(place.sources[0])),)
    rows = parts[-1].start + parts[-1].length
    cells = np.zeros((rows, len(place.columns)), dtype=np.int16)
    for part, source in zip(parts, place.sources, strict=True):
        block = matrix.cells[source.start : source.stop, place.columns]
        cells[part.start : part.start + part.length] = block
    output_scale = matrix.output_scale
    if isinstance(output_scale, np.ndarray):
        output_scale = output_scale[place.columns]
    steps = quantise.Steps(
        matrix.where, matrix.gmax, matrix.largest, matrix.input_scale, output_scale, matrix.peak
    )
    bias = matrix.bias[place.columns]
    bias = bias if place.last else np.zeros_like(bias)
    binary16 = chip.link.partial_sums == "binary16"
    relu = bool(options.pop("relu_2", False)) and place.last
    added = bool(options.pop("rx_enable", False)) or not place.first
    config = TileConfig(
        read_mode=read_mode,
        rows=rows,
        columns=len(place.columns),
        constants=quantise.column_constants(steps, bias, chip, place.columns),
        relu_2=relu,
        rx_enable=added,
        rx_binary16=binary16 and not place.first,
        tx_binary16=binary16 and not place.last,
        **options,
    )
    if added and (size := chip.rx_place(config.rx_bytes)) > chip.buffers.rx:
        raise UserError(
            f"{matrix.where}: what a tile adds to {config.columns} columns takes {size} bytes: got "
            f"buffers.rx = {chip.buffers.rx}, expected at least {size}"
        )
    return config, quantise.device_codes(cells)
