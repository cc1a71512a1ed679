"""A matrix of more rows than the array has: its row blocks add up along a chain of tiles.

Every tile adds its block's result to the INT8 partial sum of the tile before, and rounds (see
`caduceus.compiler.whole_chip`). The first tile adds the residual, where there is one.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from caduceus.spec import formats
from caduceus.spec.graph import Layer

Read = Callable[[Tensor, Tensor], Tensor]
"""Net counts of a block from its inputs [N, y, x, rows] and its codes [rows, outputs]."""


def patches(x: Tensor, layer: Layer, kernel: tuple[int, int]) -> Tensor:
    """Inputs of every MVM, [N, y, x, rows] in the order of the rows, from `x` [N, channels, y, x].

    `kernel` is its height and width: of a dense layer, those of its whole input.
    """
    if layer.padding:
        x = functional.pad(x, (layer.padding,) * 4)
    height = (x.shape[2] - kernel[0]) // layer.stride + 1
    width = (x.shape[3] - kernel[1]) // layer.stride + 1
    x = x.permute(0, 2, 3, 1)
    shifted = [
        x[:, ky : ky + layer.stride * height : layer.stride, kx : kx + layer.stride * width :
          layer.stride]
        for ky in range(kernel[0])
        for kx in range(kernel[1])
    ]  # fmt: skip
    return torch.cat(shifted, dim=3)


def rows(weight: Tensor) -> Tensor:
    """The matrix [rows, outputs], rows in the order (y, x, channel), of a convolution's weight."""
    return weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])


@torch.no_grad()
def run(
    inputs: Tensor,
    code: Tensor,
    blocks: Sequence[range],
    read: Read,
    steps_per_count: float,
    residual: Tensor | None,
) -> Tensor:
    """What the last tile has before bias and rounding, in INT8 steps, [N, outputs, y, x].

    `inputs` [N, y, x, rows] and `code` [rows, outputs] are integers; `residual` [N, outputs, y, x]
    is in steps of this layer's output.
    """
    total = 0.0 if residual is None else residual.permute(0, 2, 3, 1)
    for index, block in enumerate(blocks):
        part = slice(block.start, block.stop)
        if index:
            total = torch.round(total).clamp_(-formats.INT8_MAX, formats.INT8_MAX)
        total = total + steps_per_count * read(inputs[..., part], code[part])
    return total.permute(0, 3, 1, 2)


@torch.no_grad()
def partial_sums(
    inputs: Tensor, weight: Tensor, blocks: Sequence[range], residual: Tensor | None
) -> list[Tensor]:
    """Real partial sums after every block but the last, [N, y, x, outputs] each.

    `inputs` [N, y, x, rows], `weight` [rows, outputs] and `residual` are real.
    """
    sums = []
    total = 0.0 if residual is None else residual.permute(0, 2, 3, 1)
    for block in blocks[:-1]:
        part = slice(block.start, block.stop)
        total = total + inputs[..., part] @ weight[part]
        sums.append(total)
    return sums


def noise_variance(blocks: int, phases: int, steps_per_count: float) -> float:
    """Variance, in square INT8 steps, of what the chain's roundings add before the last one.

    Every floor and every rounding is taken as an independent uniform error of its own step.
    """
    converted = 2 if phases == 4 else 1
    return ((blocks - 1) + blocks * converted * steps_per_count**2) / 12
