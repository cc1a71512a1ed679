"""How the networks of `examples/` are trained: AdamW, one cycle of the learning rate."""

import time
from dataclasses import dataclass

import click
import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH = 128


@dataclass(frozen=True)
class Recipe:
    """What a training takes."""

    sides: tuple[int | None, ...]
    """For every epoch, height and width that images are brought to; None leaves them alone."""
    rate: float
    """Peak learning rate."""
    mirror: bool = False
    """Mirror half of the images left to right."""


def resized(images: Tensor, side: int | None) -> Tensor:
    """Images [n, channels, y, x] at `side`: half the size by averages, otherwise their middle."""
    if side is None:
        return images
    if images.shape[-1] == 2 * side:
        return functional.avg_pool2d(images, 2)
    border = (images.shape[-1] - side) // 2
    return images[..., border : border + side, border : border + side]


def fit(name: str, module: nn.Module, inputs: Tensor, labels: Tensor, recipe: Recipe) -> nn.Module:
    """Train `module` on float inputs [n, ...] and labels [n]; prints a line for each epoch.

    Random numbers are torch's global ones: seed them before the module is made. Returns the
    module, in evaluation mode.
    """
    module = module.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(module.parameters(), weight_decay=0.01)
    steps = len(recipe.sides) * -(-len(inputs) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, steps)
    began = time.monotonic()
    module.train()
    for epoch, side in enumerate(recipe.sides, 1):
        total = 0.0
        for chosen in torch.randperm(len(inputs)).split(BATCH):
            x = resized(inputs[chosen], side)
            if recipe.mirror and torch.rand(()) < 0.5:
                x = x.flip(-1)
            if x.dim() == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(module(x), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        spent = time.monotonic() - began
        click.echo(f"{name}: epoch {epoch}: loss {total / len(inputs):.4f}, {spent:.0f} s")
    # A channels-last module is exported with detours through its strides.
    return module.to(memory_format=torch.contiguous_format).eval()
