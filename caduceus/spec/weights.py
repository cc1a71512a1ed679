"""The arrays of a weights file, checked."""

from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from caduceus.spec.archive import Archive
from caduceus.spec.errors import UserError, shown

NUMBERS_MAX = 1 << 28
"""Numbers of a network's weights in all: 64 times the cells of HERMES."""
_NUMBER_BYTES = 8
_SPARE_BYTES = 1 << 26
"""Bytes of a file besides the arrays that are read from it."""


def load(
    file: Path,
    shapes: Mapping[str, tuple[int, ...]],
    kinds: Mapping[str, DTypeLike] | None = None,
    optional: Mapping[str, tuple[int, ...]] | None = None,
) -> dict[str, NDArray]:
    """The arrays called as the keys of `shapes`, each of that shape; others are not read.

    Real numbers become float32; those in `kinds` must be of that very type, and stay so. Arrays of
    `optional` may be missing.

    Raises:
        UserError: the file cannot be read, or an array is missing, of another shape or type, or
            holds a value that is not finite.
    """
    numbers = sum(map(prod, shapes.values()))
    if numbers > NUMBERS_MAX:
        raise UserError(
            f"{file}: the network's weights: got {numbers} numbers, expected at most {NUMBERS_MAX}"
        )
    archive = Archive(file, "weights", numbers * _NUMBER_BYTES + _SPARE_BYTES)
    present = {name: shape for name, shape in (optional or {}).items() if name in archive}
    return {
        name: _array(archive, f"{file}: {name}", name, shape, (kinds or {}).get(name))
        for name, shape in {**shapes, **present}.items()
    }


def _array(
    archive: Archive, where: str, name: str, shape: tuple[int, ...], kind: DTypeLike | None
) -> NDArray:
    """One array: of type `kind` if there is one, else float32."""
    if name not in archive:
        raise UserError(f"{where} is missing: expected shape {list(shape)}")
    dtype, found = archive.header(name)
    if found != shape:
        raise UserError(f"{where}: shape: got {shown(list(found))}, expected {list(shape)}")
    if kind is not None:
        if dtype != kind:
            raise UserError(f"{where}: type: got {dtype}, expected {np.dtype(kind)}")
        return archive.array(name).copy()
    if dtype.kind not in "fiu":
        raise UserError(f"{where}: type: got {dtype}, expected real numbers")
    array = archive.array(name)
    largest = np.abs(array).max(initial=0)
    if not largest <= np.finfo(np.float32).max:
        raise UserError(f"{where}: got {largest:g}, expected values that are finite in binary32")
    return array.astype(np.float32)
