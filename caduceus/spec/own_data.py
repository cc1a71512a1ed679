"""The user's own data: inputs in the user's layout, with labels or targets, in one file."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import archive
from caduceus.spec.archive import Archive
from caduceus.spec.errors import UserError, shown

BYTES_MAX = 1 << 31
"""Of a file, and of an array."""
_KEYS = ("inputs", "labels", "targets")
_SLICE = 1 << 20


@dataclass(frozen=True, eq=False)
class OwnData:
    """Inputs, and what is expected of their outputs.

    Attributes:
        inputs: numbers [n, ...], in the layout of the network's `host`.
        labels: int64 [n], or [n, steps] where each output of a sequence has one; None without.
        targets: float64 [n, ...], the outputs in real units; None without.

    Raises:
        UserError: there is no input, labels and targets are both given, one of them has another
            count or type, or a value is not finite.
    """

    inputs: NDArray
    labels: NDArray[np.int64] | None = None
    targets: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.labels is not None and self.targets is not None:
            raise UserError("labels: got targets as well, expected one of them")
        _check("inputs", self.inputs, "biuf", "numbers")
        if self.inputs.ndim < 2:
            raise UserError(
                f"inputs: shape: got {list(self.inputs.shape)}, expected [n, ...], two axes or more"
            )
        for key, kinds, what in (("labels", "iu", "integers"), ("targets", "iuf", "numbers")):
            given = getattr(self, key)
            if given is None:
                continue
            _check(key, given, kinds, what)
            if len(given) != len(self.inputs):
                raise UserError(
                    f"{key}: got {len(given)}, expected one per input ({len(self.inputs)})"
                )
            kept = given.astype(np.int64 if key == "labels" else np.float64)
            object.__setattr__(self, key, kept)

    @property
    def metric(self) -> str | None:
        """`accuracy` with labels, `rmse` with targets; None with neither."""
        if self.labels is not None:
            return "accuracy"
        return None if self.targets is None else "rmse"

    @property
    def arrays(self) -> dict[str, NDArray]:
        """Those that there are, by name."""
        found = {key: getattr(self, key) for key in _KEYS}
        return {key: array for key, array in found.items() if array is not None}

    @classmethod
    def load(cls, path: Path | str) -> "OwnData":
        """Read an `.npz` with `inputs`, and `labels` or `targets` if any; or inputs in an `.npy`.

        Raises:
            UserError: the file cannot be read, is larger than `BYTES_MAX`, is damaged, or its
                arrays do not fit together.
        """
        path = Path(path)
        if path.suffix == ".npy":
            found = {"inputs": archive.single(path, "data", BYTES_MAX)}
        else:
            held = Archive(path, "data", BYTES_MAX)
            if "inputs" not in held:
                raise UserError(f"{path}: inputs is missing: expected an array of that name")
            found = {key: _array(held, path, key) for key in _KEYS if key in held}
        try:
            return cls(**found)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None


def _array(held: Archive, path: Path, key: str) -> NDArray:
    dtype, shape = held.header(key)
    size = dtype.itemsize * prod(shape)
    if size > BYTES_MAX:
        raise UserError(f"{path}: {key}: got {size} bytes, expected at most {BYTES_MAX}")
    return held.array(key)


def _check(key: str, array: NDArray, kinds: str, what: str) -> None:
    """Numbers of that kind, one or more, all finite."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds:
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise UserError(f"{key}: type: got {shown(str(kind))}, expected {what}")
    if not array.size:
        raise UserError(f"{key}: shape: got {list(array.shape)}, expected one value or more")
    if array.dtype.kind != "f":
        return
    for start in range(0, len(array), max(1, _SLICE * len(array) // array.size)):
        part = array[start : start + max(1, _SLICE * len(array) // array.size)]
        if not np.isfinite(part).all():
            bad = part[~np.isfinite(part)].flat[0]
            raise UserError(f"{key}: got {bad}, expected finite values")
