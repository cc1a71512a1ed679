"""What a tile is told to do: the compiler's result, run alike by the golden model and the RTL."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spec import formats
from spec.errors import UserError
from spec.formats import ReadMode
from spec.network import Geometry, Layer, Network


@dataclass(frozen=True)
class TileConfig:
    """Configuration of one tile.

    Attributes:
        read_mode: how signs are handled in the MVM.
        rows: length of an input vector; the array's rows after it are driven with 0.
        columns: length of a result vector.
        constants: uint16 [columns, 5], binary16 column constants in the order of
            `formats.COLUMN_CONSTANTS`.
        relu_1, relu_2: ReLU before and after the RX addition.
        rx_enable: whether one RX vector (INT8) is added to each result.
        rx_scale: binary16 factor of the RX vector.
    """

    read_mode: ReadMode
    rows: int
    columns: int
    constants: NDArray[np.uint16]
    relu_1: bool = False
    relu_2: bool = False
    rx_enable: bool = False
    rx_scale: int = formats.FP16_ONE

    def __post_init__(self) -> None:
        shape = (self.columns, len(formats.COLUMN_CONSTANTS))
        if self.constants.shape != shape or self.constants.dtype != np.uint16:
            raise UserError(
                f"tile configuration: constants is {self.constants.dtype} "
                f"{list(self.constants.shape)}: allowed is uint16 {list(shape)}"
            )


@dataclass(frozen=True)
class LayerProgram:
    """A layer as one tile runs it.

    Attributes:
        layer, geometry: what the layer is, for the host's im2col and pooling.
        config: the tile's configuration while it runs the layer.
        codes: uint8 [array rows, array columns, 4], target conductance codes.
    """

    layer: Layer
    geometry: Geometry
    config: TileConfig
    codes: NDArray[np.uint8]


@dataclass(frozen=True)
class Program:
    """A network, layer by layer, for a chip description."""

    chip: str
    network: Network
    layers: tuple[LayerProgram, ...]
