"""A tile's share of a matrix: device codes, and the constants that turn counts into INT8 steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from caduceus.compiler import quantise
from caduceus.spec import formats
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
        gmax: code of the largest weight, by column or one for all.
        input_scale: real value of one INT8 step of the input.
        output_scale: of the output, float64 [columns], or one number for all.
        per_core: whether all columns share the largest weight, as published.
    """

    where: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    gmax: NDArray[np.integer] | int
    input_scale: float
    output_scale: float | NDArray[np.float64]
    per_core: bool = False

    @cached_property
    def codes(self) -> NDArray[np.integer]:
        """Code of the largest weight of every column."""
        return np.broadcast_to(self.gmax, self.weight.shape[1:])

    @cached_property
    def largest(self) -> NDArray[np.float64]:
        """The largest weight of every column, or of all columns for each."""
        return quantise.largest_weights(self.weight, per_core=self.per_core)

    @cached_property
    def peak(self) -> int:
        """Column of the largest weight."""
        return int(np.abs(self.weight).max(axis=0).argmax())

    @cached_property
    def cells(self) -> NDArray[np.int16]:
        """Signed cell codes [rows, columns]."""
        return quantise.cell_codes(self.weight, self.codes, self.largest)

    @property
    def steps(self) -> quantise.Steps:
        """What turns real values into its codes and INT8 steps."""
        return quantise.Steps(
            self.where, self.codes, self.largest, self.input_scale, self.output_scale,
            self.peak if self.per_core else None,
        )  # fmt: skip


@dataclass(frozen=True)
class Scaling:
    """How weights become codes.

    Attributes:
        largest_code: of a cell, that the devices hold.
        per_core: whether a layer's columns share the largest weight, as published.
    """

    largest_code: int = formats.CELL_MAX
    per_core: bool = False

    def code(self, gmax: int, by_column: NDArray[np.uint16] | None) -> NDArray[np.integer] | int:
        """Code of the largest weights: the layer's, or that of each column where there are such."""
        if self.per_core or by_column is None:
            return min(gmax, self.largest_code)
        return np.minimum(by_column.astype(np.int64), self.largest_code)


def layer_matrix(network: Network, layer: Layer, input_scale: float, scaling: Scaling) -> Matrix:
    """The matrix of a layer whose input has steps of `input_scale`."""
    parameters = network.weights[layer.name]
    return Matrix(
        f"network {network.name}: layer {layer.name}", parameters.weight, parameters.bias,
        scaling.code(layer.gmax, parameters.gmax), input_scale, layer.output_scale,
        scaling.per_core,
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
    bias = matrix.bias if place.last else np.zeros_like(matrix.bias)
    binary16 = chip.link.partial_sums == "binary16"
    relu = bool(options.pop("relu_2", False)) and place.last
    added = bool(options.pop("rx_enable", False)) or not place.first
    config = TileConfig(
        read_mode=read_mode,
        rows=rows,
        columns=len(place.columns),
        constants=quantise.column_constants(matrix.steps, bias, chip, place.columns),
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
