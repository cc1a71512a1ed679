"""The arrays of a weights file, checked."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from caduceus.spec.errors import UserError


def load(
    file: Path,
    shapes: Mapping[str, tuple[int, ...]],
    kinds: Mapping[str, DTypeLike] | None = None,
    optional: Mapping[str, tuple[int, ...]] | None = None,
) -> dict[str, NDArray]:
    """The arrays called as the keys of `shapes`, each of that shape.

    Real numbers become float32; those in `kinds` must be of that very type, and stay so. Arrays of
    `optional` may be missing.

    Raises:
        UserError: the file cannot be read, or an array is missing, of another shape or type, or
            holds a value that is not finite.
    """
    try:
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except OSError as error:
        raise UserError(f"{file}: cannot read the weights: {error.strerror or 'damaged'}") from None
    except (ValueError, EOFError, zipfile.BadZipFile):
        raise UserError(f"{file}: not a weights file (.npz), or damaged") from None
    found = {}
    present = {name: shape for name, shape in (optional or {}).items() if name in arrays}
    for name, shape in {**shapes, **present}.items():
        if name not in arrays or arrays[name].shape != shape:
            has = list(arrays[name].shape) if name in arrays else "missing"
            raise UserError(f"{file}: {name} is {has}: expected {list(shape)}")
        array = arrays[name]
        if kinds and name in kinds:
            if array.dtype != kinds[name]:
                raise UserError(
                    f"{file}: {name} is {array.dtype}: expected {np.dtype(kinds[name])}"
                )
            found[name] = array
            continue
        if array.dtype.kind not in "fiu":
            raise UserError(f"{file}: {name} is {array.dtype}: expected real numbers")
        if np.abs(array).max(initial=0) > np.finfo(np.float32).max:
            raise UserError(f"{file}: {name} holds a value that is not finite in binary32")
        if not np.isfinite(array).all():
            raise UserError(f"{file}: {name} holds a value that is not finite")
        found[name] = array.astype(np.float32)
    return found
