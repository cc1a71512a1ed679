"""Images as tensors: padded to the network's input, moved, mirrored, made smaller."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def to_tensor(images: np.ndarray, side: int) -> Tensor:
    """uint8 [N, y, x] or [N, y, x, channels] to float32 [N, channels, side, side] in 0..1.

    Smaller images stand in the middle, on black.
    """
    pixels = torch.from_numpy(images.astype(np.float32) / 255)
    pixels = pixels.unsqueeze(1) if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2)
    border = side - pixels.shape[2]
    around = (border // 2, border - border // 2)
    return functional.pad(pixels, (*around, *around)).contiguous()


def augment(images: Tensor, shift: int, mirror: bool) -> Tensor:
    """Mirror half of the images, and move each by up to `shift` pixels over a black border."""
    if mirror:
        chosen = torch.rand(len(images), 1, 1, 1) < 0.5
        images = torch.where(chosen, images.flip(3), images)
    if not shift:
        return images
    size = images.shape[-1]
    padded = functional.pad(images, (shift,) * 4)
    offset = torch.randint(0, 2 * shift + 1, (2, len(images), 1))
    rows, columns = offset + torch.arange(size)
    image = torch.arange(len(images))[:, None, None]
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def resize(images: Tensor, side: int) -> Tensor:
    """Images of `side` pixels: made smaller by averages if by half or more, else their middle."""
    size = images.shape[-1]
    if 2 * side <= size:
        return functional.avg_pool2d(images, size // side)
    first = (size - side) // 2
    return images[:, :, first : first + side, first : first + side]
