"""Test images: 20 come with the project, the others with the installed data set."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caduceus.data import cifar10, fashion_mnist
from caduceus.data.missing import Missing
from caduceus.spec import formats
from caduceus.spec.archive import Archive
from caduceus.spec.errors import UserError, shown
from caduceus.spec.graph import Graph
from caduceus.spec.shipped import shipped_folder

CIFAR10_VARIABLE = "CIFAR10"
"""Environment variable that names the folder of the CIFAR-10 files."""
_RANDOM_SEED = 2023
_PIXEL_MAX = np.iinfo(np.uint8).max
_SHIPPED, _SHIPPED_BYTES = "fashion_mnist_test20.npz", 1 << 16


def first(count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The first `count` test images of Fashion-MNIST, uint8 [count, 28, 28], and their labels.

    Raises:
        UserError: the data set holds fewer, or is needed and not installed.
    """
    shipped = Archive(shipped_folder(__package__) / _SHIPPED, "images", _SHIPPED_BYTES)
    images, labels = shipped.array("images"), shipped.array("labels")
    if count > len(images):
        try:
            images, labels = fashion_mnist.load("test")
        except UserError as error:
            raise type(error)(
                f"images: got {count}, expected 1 to the {len(images)} that come with the project, "
                f"or the data set: {error}"
            ) from None
    return _some(images, labels, count)


def _some(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], count: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    if not 1 <= count <= len(images):
        raise UserError(f"images: got {shown(count)}, expected 1 to {len(images)}")
    return images[:count], labels[:count]


def pictures(
    network: Graph, count: int, *, fewer: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """The first `count` test images in a network's size, and their labels if they have any.

    Images smaller than the network's input are centered on black. With `fewer`, CIFAR-10 files
    that hold fewer images give all of them.

    Returns:
        uint8 [count, height, width, channels]; and uint8 [count], or None for random images.

    Raises:
        UserError: the data set holds fewer, is not installed, or does not fit the network's
            input.
    """
    wanted = network.input
    labels = None
    if network.dataset == "random":
        shape = (count, *wanted.map)
        random = np.random.default_rng(_RANDOM_SEED)
        images = random.integers(0, 256, shape, dtype=np.uint8)
    elif network.dataset == "cifar10":
        folder = os.environ.get(CIFAR10_VARIABLE)
        if not folder:
            raise Missing(
                f"network {network.name} takes CIFAR-10 images: name the folder of their files in "
                f"the environment variable {CIFAR10_VARIABLE}"
            )
        images, labels = cifar10.load("test", Path(folder))
        images, labels = _some(images, labels, min(count, len(images)) if fewer else count)
    else:
        images, labels = first(count)
        images = images[..., np.newaxis]
    height, width, channels = images.shape[1:]
    down, across = wanted.height - height, wanted.width - width
    if channels != wanted.channels or down < 0 or across < 0:
        raise UserError(
            f"network {network.name}: input.shape: got {list(wanted.map)}, expected at least "
            f"{[height, width, channels]} with as many channels, for images of {network.dataset}"
        )
    around = ((down // 2, down - down // 2), (across // 2, across - across // 2))
    return np.pad(images, ((0, 0), *around, (0, 0))), labels


def vectors(network: Graph, images: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Images of a network's size in INT8, int8 [n, pixels, channels]."""
    x = quantise_input(images, network.input.scale)
    return x.reshape(len(images), -1, network.input.channels)


def quantise_input(images: NDArray[np.uint8], scale: float) -> NDArray[np.int8]:
    """Images, uint8 for 0 to 1, in INT8 steps of `scale`."""
    brightness = np.arange(_PIXEL_MAX + 1) / _PIXEL_MAX
    level = np.clip(np.rint(brightness / scale), -formats.INT8_MAX, formats.INT8_MAX)
    return level.astype(np.int8)[images]
