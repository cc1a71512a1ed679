"""Test images: a few that come with the project, all of them where the data set is installed."""

import numpy as np
from numpy.typing import NDArray

from caduceus.paths import TEST_IMAGES
from spec.errors import UserError
from train import fashion_mnist


def first(count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The first `count` test images, uint8 [count, 28, 28], and their labels.

    Raises:
        UserError: there are not so many, or not without the data set.
    """
    with np.load(TEST_IMAGES) as shipped:
        images, labels = shipped["images"], shipped["labels"]
    if count > len(images):
        try:
            images, labels = fashion_mnist.load("test")
        except UserError as error:
            raise UserError(
                f"images = {count}: {len(images)} come with the project, more need the data set "
                f"({error})"
            ) from None
    if not 1 <= count <= len(images):
        raise UserError(f"images = {count}: allowed is 1 to {len(images)}")
    return images[:count], labels[:count]
