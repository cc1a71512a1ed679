"""im2col and max-pooling, which the published chip leaves to its host between layers."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray


def im2col(x: NDArray[np.int8], kernel: int, stride: int, padding: int) -> NDArray[np.int8]:
    """The input vector of every output pixel of a convolution with a square kernel.

    Takes [n, height, width, channels], pads it with zeros on all four sides, and gives
    [n, height', width', kernel * kernel * channels] in the order kernel y, kernel x, channel.
    """
    border = (padding, padding)
    windows = _windows(np.pad(x, ((0, 0), border, border, (0, 0))), kernel, stride)
    vectors = windows.transpose(0, 1, 2, 4, 5, 3)
    return vectors.reshape(*vectors.shape[:3], kernel * kernel * x.shape[3])


def max_pool(x: NDArray[np.int8], size: int, stride: int) -> NDArray[np.int8]:
    """Largest value of every square window: [n, height, width, channels] in and out."""
    return _windows(x, size, stride).max(axis=(-2, -1))


def _windows(x: NDArray[np.int8], size: int, stride: int) -> NDArray[np.int8]:
    """View [n, height', width', channels, size, size] of the windows that fit whole."""
    return sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]
