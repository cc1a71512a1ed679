"""The Fashion-MNIST images from their gzip-compressed IDX files, in numpy alone.

The files are those that Debian's package `dataset-fashion-mnist` installs. The IDX layout is the
one that the MNIST files introduced: two zero bytes, a type byte, a byte with the number of
dimensions, one big-endian 32-bit size per dimension, then the values, last dimension fastest.
"""

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from caduceus.data.missing import Missing
from caduceus.spec.errors import UserError, shown
from caduceus.spec.files import present, read_whole

FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package puts the files."""

CLASSES = 10
SIDE = 28
"""Height and width of an image in pixels."""

_PREFIX = {"train": "train", "test": "t10k"}
_UNSIGNED_BYTE = 0x08
_BYTES_MAX = 16 + 60_000 * SIDE**2
"""The largest file, unpacked: the training images."""
_WHAT = "Fashion-MNIST file"
_HINT = "install it with `apt-get install dataset-fashion-mnist`"


def load(split: str, folder: Path | str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read one split of the dataset.

    `split` is "train" (60,000 images in the real dataset) or "test" (10,000); `folder` holds the
    four `.gz` files and defaults to where Debian installs them.

    Returns:
        Images, uint8 [N, 28, 28] (0 is background, row by row from the top), and labels,
        uint8 [N], 0 to 9.

    Raises:
        UserError: a file is missing, damaged, or does not fit the other.
    """
    if split not in _PREFIX:
        raise UserError(f"split: got {shown(split)}, expected one of {', '.join(_PREFIX)}")
    folder = FOLDER if folder is None else Path(folder)
    image_path = folder / f"{_PREFIX[split]}-images-idx3-ubyte.gz"
    label_path = folder / f"{_PREFIX[split]}-labels-idx1-ubyte.gz"
    images = _read_idx(image_path, dimensions=3)
    labels = _read_idx(label_path, dimensions=1)
    if images.shape[1:] != (SIDE, SIDE):
        raise UserError(
            f"{image_path}: image size: got {images.shape[1]}x{images.shape[2]} pixels, "
            f"expected {SIDE}x{SIDE}"
        )
    if len(images) != len(labels):
        raise UserError(
            f"{label_path}: got {len(labels)} labels, expected {len(images)}, one per image of "
            f"{image_path.name}"
        )
    if labels.size and labels.max() >= CLASSES:
        raise UserError(f"{label_path}: label: got {labels.max()}, expected 0 to {CLASSES - 1}")
    return images, labels


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The unsigned bytes of one IDX file as an array of `dimensions` dimensions."""
    if not present(path):
        raise Missing(f"{path}: missing: {_HINT}")
    packed = read_whole(path, _WHAT, _BYTES_MAX)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            data = file.read(_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error, struct.error):
        raise UserError(f"{path}: {_WHAT}: not a gzip file, or damaged") from None
    if len(data) > _BYTES_MAX:
        raise UserError(f"{path}: {_WHAT}: expected at most {_BYTES_MAX} bytes, unpacked")
    header = 4 + 4 * dimensions
    if len(data) < header:
        raise UserError(
            f"{path}: cut short: got {len(data)} bytes, expected at least the {header} of the "
            "IDX header"
        )
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if data[:4] != magic:
        raise UserError(
            f"{path}: not a {dimensions}-dimensional IDX file of unsigned bytes: magic number: "
            f"got 0x{data[:4].hex()}, expected 0x{magic.hex()}"
        )
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", dimensions, offset=4))
    expected = header + math.prod(shape)
    if len(data) != expected:
        fault = "cut short" if len(data) < expected else "too long"
        raise UserError(f"{path}: {fault}: got {len(data)} bytes, expected {expected}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
