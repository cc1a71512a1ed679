"""The shapes of the networks that are trained here, and the numbers of the chip they are made for.

A layer is one matrix on one array: its rows are the inputs of the matrix-vector multiplication
(MVM), its columns the outputs. Everything here is plain data, usable without PyTorch.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Pool:
    """Max-pool over `size` x `size` INT8 values, moved by `stride`."""

    size: int
    stride: int


@dataclass(frozen=True)
class Layer:
    """One matrix of the network: a convolution, or a dense layer over the whole feature map."""

    name: str
    kind: Literal["conv", "dense"]
    outputs: int
    relu: bool = True
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    pool: Pool | None = None


@dataclass(frozen=True)
class Placed:
    """A layer with the sizes that follow from the layers before it.

    `height`, `width` and `channels` describe its input; `kernel_height` and `kernel_width` are the
    patch that one MVM sees (for a dense layer the whole input); `mvms` is their number an image.
    """

    layer: Layer
    height: int
    width: int
    channels: int
    kernel_height: int
    kernel_width: int
    mvms: int

    @property
    def rows(self) -> int:
        """Rows of the layer's matrix."""
        return self.kernel_height * self.kernel_width * self.channels


@dataclass(frozen=True)
class Topology:
    """A network: a one-channel image of `side` x `side` pixels through `layers` in turn."""

    name: str
    chip: str
    array_size: int
    layers: tuple[Layer, ...]
    side: int = 28

    def place(self) -> tuple[Placed, ...]:
        """The layers with their sizes; raises `ValueError` for a layer that does not fit."""
        placed = []
        height = width = self.side
        channels = 1
        for layer in self.layers:
            if layer.kind == "dense":
                kernel_height, kernel_width, out_height, out_width = height, width, 1, 1
            else:
                kernel_height = kernel_width = layer.kernel
                out_height = (height + 2 * layer.padding - layer.kernel) // layer.stride + 1
                out_width = (width + 2 * layer.padding - layer.kernel) // layer.stride + 1
            fitted = Placed(
                layer, height, width, channels, kernel_height, kernel_width, out_height * out_width
            )
            if fitted.rows > self.array_size or layer.outputs > self.array_size:
                raise ValueError(
                    f"layer {layer.name} of {self.name} needs {fitted.rows} rows and "
                    f"{layer.outputs} columns; {self.chip} has {self.array_size} of each"
                )
            placed.append(fitted)
            height, width, channels = out_height, out_width, layer.outputs
            if layer.pool:
                height = (height - layer.pool.size) // layer.pool.stride + 1
                width = (width - layer.pool.size) // layer.pool.stride + 1
        return tuple(placed)


FASHION_SMALL = Topology(
    name="fashion_small",
    chip="hermes",
    array_size=256,
    layers=(
        Layer("conv1", "conv", 28, kernel=3, padding=1, pool=Pool(2, 2)),
        Layer("conv2", "conv", 64, kernel=3, padding=1, pool=Pool(7, 7)),
        Layer("dense", "dense", 10, relu=False),
    ),
)

FASHION_TINY = Topology(
    name="fashion_tiny",
    chip="tiny",
    array_size=16,
    layers=(
        Layer("conv1", "conv", 16, kernel=4, stride=4),
        Layer("conv2", "conv", 16, kernel=1, pool=Pool(7, 7)),
        Layer("dense", "dense", 10, relu=False),
    ),
)

TOPOLOGIES = {topology.name: topology for topology in (FASHION_SMALL, FASHION_TINY)}
