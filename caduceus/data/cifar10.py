"""The CIFAR-10 images from the files of its binary version, in numpy alone.

Every image is one byte of label and 3072 of pixels: red, green and blue planes, row by row. The
data set is not packaged for Debian; its home is https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from pathlib import Path

import numpy as np

from caduceus.spec.errors import UserError, shown
from caduceus.spec.files import present, read_whole

CLASSES = 10
SIDE = 32
"""Height and width of an image in pixels."""
CHANNELS = 3

_FILES = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
}
_RECORD = 1 + CHANNELS * SIDE**2
_RECORDS_MAX = 10_000
"""Images of a file of the real data set."""
_WHAT = "CIFAR-10 images"


def load(split: str, folder: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Read one split of the data set.

    `split` is "train" (50,000 images in the real data set) or "test" (10,000); `folder` holds the
    `.bin` files.

    Returns:
        Images, uint8 [N, 32, 32, 3], and labels, uint8 [N], 0 to 9.

    Raises:
        UserError: a file is missing or damaged.
    """
    if split not in _FILES:
        raise UserError(f"split: got {shown(split)}, expected one of {', '.join(_FILES)}")
    for file in _FILES[split]:
        if not present(Path(folder) / file):
            raise UserError(
                f"{Path(folder) / file}: missing: expected the files of CIFAR-10's binary "
                f"version, {', '.join(file for files in _FILES.values() for file in files)}"
            )
    records = np.concatenate([_read(Path(folder) / file) for file in _FILES[split]])
    planes = records[:, 1:].reshape(-1, CHANNELS, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].copy()


def _read(path: Path) -> np.ndarray:
    """The records of one file, uint8 [N, 3073]."""
    data = read_whole(path, _WHAT, _RECORDS_MAX * _RECORD)
    if not data or len(data) % _RECORD:
        raise UserError(
            f"{path}: {_WHAT}: got {len(data)} bytes, expected a multiple of {_RECORD} (a label "
            "and an image)"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, _RECORD)
    largest = records[:, 0].max()
    if largest >= CLASSES:
        raise UserError(f"{path}: label: got {largest}, expected 0 to {CLASSES - 1}")
    return records
