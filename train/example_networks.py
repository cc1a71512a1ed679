"""The networks of `examples/` as PyTorch modules (all shapes our choice, but ResNet-8's)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 10
MEAN, DEVIATION = 73.0, 90.0
"""Of a pixel (0 to 255) over the training images of Fashion-MNIST, rounded."""


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    """A convolution without bias, and its batch normalization."""
    convolution = nn.Conv2d(
        inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class Same(nn.Module):
    """A 3x3 convolution of stride 2 with Keras's `same` padding: below and on the right only."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, 2, bias=False)
        self.normalization = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [n, inputs, 2 y, 2 x] in, [n, outputs, y, x] out."""
        return self.normalization(self.convolution(functional.pad(x, (0, 1, 0, 1))))


class Block(nn.Module):
    """Two 3x3 convolutions and what goes past them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        narrower = inputs != outputs
        self.first = Same(inputs, outputs) if narrower else _conv(inputs, outputs, 3)
        self.second = _conv(outputs, outputs, 3)
        self.skip = nn.Conv2d(inputs, outputs, 1, 2) if narrower else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps [n, inputs, y, x] in; [n, outputs, ...] out, half as large where wider."""
        return torch.relu(self.second(torch.relu(self.first(x))) + self.skip(x))


class ResNet8(nn.Module):
    """ResNet-8 of MLPerf Tiny, in Keras's layout; takes pixels from 0 to 255, [n, 1, 32, 32]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(1, 16, 3)
        self.stages = nn.Sequential(Block(16, 16), Block(16, 32), Block(32, 64))
        self.dense = nn.Linear(64, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, 10]."""
        x = self.stages(torch.relu(self.stem((x - MEAN) / DEVIATION)))
        return self.dense(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))


class Mlp(nn.Module):
    """Dense layers with batch normalization and ReLU between them."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths[:-1]):
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))

    def forward(self, x: Tensor) -> Tensor:
        """Inputs [n, ...], as many as the first width; logits [n, last width]."""
        return self.layers(torch.flatten(x, 1))


class Separable(nn.Module):
    """A strided convolution, then depthwise and pointwise ones; average pool; dense.

    `widths` are the channels after the first convolution and after each pointwise one; the
    depthwise convolutions named in `halving`, counted from 0, have stride 2.
    """

    def __init__(self, widths: tuple[int, ...], halving: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(1, widths[0], 3, 2), nn.ReLU()]
        for place, (inputs, outputs) in enumerate(pairwise(widths)):
            stride = 2 if place in halving else 1
            layers += [_conv(inputs, inputs, 3, stride, groups=inputs), nn.ReLU()]
            layers += [_conv(inputs, outputs, 1), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.dense = nn.Linear(widths[-1], CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Pixels from 0 to 255, [n, 1, y, x]; logits [n, 10]."""
        return self.dense(self.layers(x / 255).mean((2, 3)))


class TinyConv(nn.Module):
    """Two convolutions with SAME padding and ReLU, then a dense layer; for chip `tiny`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, 2, bias=False)
        self.normalization = nn.BatchNorm2d(4)
        self.first = nn.Conv2d(4, 4, 2, 2)
        self.dense = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Pixels from 0 to 255, [n, 1, 8, 8]; logits [n, 10]."""
        x = torch.relu(self.normalization(self.stem(functional.pad(x / 255, (0, 1, 0, 1)))))
        return self.dense(torch.flatten(torch.relu(self.first(x)), 1))


class Recurrent(nn.Module):
    """An LSTM over the rows of an image; the last step's hidden state goes to a dense layer.

    Inputs are divided by `divisor` first.
    """

    def __init__(self, inputs: int, hidden: int, divisor: int = 1) -> None:
        super().__init__()
        self.divisor = divisor
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        self.dense = nn.Linear(hidden, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Rows [n, steps, inputs]; logits [n, 10]."""
        hidden, _ = self.lstm(x / self.divisor if self.divisor > 1 else x)
        return self.dense(hidden[:, -1])
