"""The CIFAR-10 images from the files of its binary version, in numpy alone.

Every image is one byte of label and 3072 of pixels: red, green and blue planes, row by row. The
data set is not packaged for Debian; its home is https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from pathlib import Path

import numpy as np

from caduceus.spec.errors import UserError

CLASSES = 10
SIDE = 32
"""Height and width of an image in pixels."""
CHANNELS = 3

_FILES = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
}
_RECORD = 1 + CHANNELS * SIDE**2


def load(split: str, folder: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Read one split of the data set.

    `split` is "train" (50,000 images in the real data set) or "test" (10,000); `folder` holds the
    `.bin` files.

    Returns images, uint8 [N, 32, 32, 3], and labels, uint8 [N] in 0..9. Raises `UserError` when a
    file is missing or damaged.
    """
    if split not in _FILES:
        raise UserError(f"there is no split {split!r}: it is one of {', '.join(_FILES)}")
    records = np.concatenate([_read(Path(folder) / file) for file in _FILES[split]])
    planes = records[:, 1:].reshape(-1, CHANNELS, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].copy()


def _read(path: Path) -> np.ndarray:
    """The records of one file, uint8 [N, 3073]."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"the CIFAR-10 file {path} is missing: the folder has to hold the binary version's "
            f"{', '.join(file for files in _FILES.values() for file in files)}"
        ) from None
    except OSError as error:
        raise UserError(f"the CIFAR-10 file {path} cannot be read: {error.strerror}") from None
    if not data or len(data) % _RECORD:
        raise UserError(
            f"the CIFAR-10 file {path} has {len(data)} bytes: expected a multiple of {_RECORD}, "
            "the bytes of a label and an image"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, _RECORD)
    largest = records[:, 0].max()
    if largest >= CLASSES:
        raise UserError(f"the CIFAR-10 file {path} holds the label {largest}: expected 0 to 9")
    return records
