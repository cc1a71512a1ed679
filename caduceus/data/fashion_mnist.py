"""The Fashion-MNIST images from their gzip-compressed IDX files, in numpy alone.

The files are those that Debian's package `dataset-fashion-mnist` installs. The IDX layout is the
one that the MNIST files introduced: two zero bytes, a type byte, a byte with the number of
dimensions, one big-endian 32-bit size per dimension, then the values, last dimension fastest.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from caduceus.data.missing import Missing
from caduceus.spec.errors import UserError

FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package puts the files."""

CLASSES = 10
SIDE = 28
"""Height and width of an image in pixels."""

_PREFIX = {"train": "train", "test": "t10k"}
_UNSIGNED_BYTE = 0x08
_HINT = "install it with `apt-get install dataset-fashion-mnist`"


def load(split: str, folder: Path | str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read one split of the dataset.

    `split` is "train" (60,000 images in the real dataset) or "test" (10,000); `folder` holds the
    four `.gz` files and defaults to where Debian installs them.

    Returns images, uint8 [N, 28, 28] (0 is background, row by row from the top), and labels,
    uint8 [N] in 0..9. Raises `UserError` when a file is missing, damaged or inconsistent.
    """
    if split not in _PREFIX:
        raise UserError(f"there is no split {split!r}: it is one of {', '.join(_PREFIX)}")
    folder = FOLDER if folder is None else Path(folder)
    image_path = folder / f"{_PREFIX[split]}-images-idx3-ubyte.gz"
    label_path = folder / f"{_PREFIX[split]}-labels-idx1-ubyte.gz"
    images = _read_idx(image_path, dimensions=3)
    labels = _read_idx(label_path, dimensions=1)
    if images.shape[1:] != (SIDE, SIDE):
        raise UserError(
            f"{image_path} holds images of {images.shape[1]}x{images.shape[2]} pixels, "
            f"where {SIDE}x{SIDE} are expected"
        )
    if len(images) != len(labels):
        raise UserError(
            f"{image_path} holds {len(images)} images but {label_path} holds {len(labels)} labels; "
            "they must be equal"
        )
    if labels.size and labels.max() >= CLASSES:
        raise UserError(f"{label_path} holds the label {labels.max()}; 0 to 9 are allowed")
    return images, labels


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The unsigned bytes of one IDX file as an array of `dimensions` dimensions."""
    try:
        with gzip.open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise Missing(f"the Fashion-MNIST file {path} is missing; {_HINT}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"the Fashion-MNIST file {path} cannot be read ({error})") from None
    header = 4 + 4 * dimensions
    if len(data) < header:
        raise UserError(
            f"{path} is truncated: {len(data)} bytes, where the IDX header alone takes {header}"
        )
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if data[:4] != magic:
        raise UserError(
            f"{path} is not an IDX file of unsigned bytes in {dimensions} dimension(s): it "
            f"starts with 0x{data[:4].hex()}, where 0x{magic.hex()} is expected"
        )
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", dimensions, offset=4))
    expected = header + math.prod(shape)
    if len(data) != expected:
        fault = "truncated" if len(data) < expected else "too long"
        raise UserError(
            f"{path} is {fault}: {len(data)} bytes, where its header announces {expected}"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
