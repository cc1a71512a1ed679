"""Arrays of an `.npz` file: NumPy's zip of `.npy` members, stored or deflated.

Any bytes give arrays or one `UserError`. The sizes that the zip and each `.npy` header declare are
held against the file's length, and the caller sees type and shape before an array takes memory.
"""

import io
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from caduceus.spec.errors import UserError, named, shown
from caduceus.spec.files import read_whole

MEMBERS_MAX = 16_384
"""Arrays of a file."""
_SUFFIX = ".npy"
_MEMBER, _EMPTY, _LISTED = b"PK\x03\x04", b"PK\x05\x06", b"PK\x01\x02"
_HEADER_MAX = 12_000
_DEFLATE_MAX = 1032
"""Bytes that one byte of deflated data can stand for."""
_METHODS = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: _DEFLATE_MAX}
_ENCRYPTED = 1
_VERSIONS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True)
class _Header:
    """Of a member: where its numbers start, their type, and the array's shape."""

    start: int
    dtype: np.dtype
    shape: tuple[int, ...]
    columns_first: bool

    def array(self, data: bytes) -> NDArray:
        """The array of a member's bytes."""
        found = np.frombuffer(data, self.dtype, offset=self.start)
        return found.reshape(self.shape, order="F" if self.columns_first else "C")


def _read_header(content: bytes) -> _Header:
    """The header that a member's bytes begin with; raises whatever NumPy does."""
    start = io.BytesIO(content)
    read = _VERSIONS[npy.read_magic(start)]
    with warnings.catch_warnings():
        # NumPy warns of a header that Python 2 wrote, Python of one that is nonsense.
        warnings.simplefilter("ignore")
        shape, columns_first, dtype = read(start, max_header_size=_HEADER_MAX)
    return _Header(start.tell(), dtype, shape, columns_first)


def _check_header(header: _Header, size: int, where: str) -> None:
    """Demand numbers, and as many as a member of `size` bytes holds."""
    dtype, shape = header.dtype, header.shape
    if dtype.kind not in "biuf":
        raise UserError(f"{where}: type: got {shown(str(dtype))}, expected numbers")
    expected = header.start + prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or expected != size:
        raise UserError(
            f"{where}: got {size} bytes, expected {shown(expected)} for an array "
            f"{shown(list(shape))} of {dtype}"
        )


def single(path: Path, what: str, most: int) -> NDArray:
    """The array of an `.npy` file of at most `most` bytes; `what` names its kind in errors.

    Raises:
        UserError: the file cannot be read, is larger, is damaged, or holds no numbers.
    """
    content = read_whole(path, what, most)
    damaged = UserError(f"{path}: not a {what} file (.npy), or damaged")
    if not content.startswith(npy.MAGIC_PREFIX):
        raise damaged
    try:
        header = _read_header(content[:_HEADER_MAX])
    except Exception:  # numpy.lib.format has no class of errors of its own
        raise damaged from None
    _check_header(header, len(content), str(path))
    return header.array(content)


class Archive:
    """The arrays of the file at `path`, of at most `most` bytes; `what` names its kind in errors.

    Raises:
        UserError: the file cannot be read, is larger, or is not a sound `.npz`.
    """

    def __init__(self, path: Path, what: str, most: int) -> None:
        self._path, self._what = path, what
        content = read_whole(path, what, most)
        if content.startswith(npy.MAGIC_PREFIX):
            raise UserError(
                f"{path}: {what}: got a single array (.npy), expected named ones (.npz)"
            )
        if not content.startswith((_MEMBER, _EMPTY)):
            raise UserError(f"{path}: not a {what} file (.npz), or damaged")
        # Counted before the list of members is made: each begins with these bytes.
        if content.count(_LISTED) > MEMBERS_MAX:
            raise UserError(f"{path}: {what}: expected at most {MEMBERS_MAX} arrays")
        with self._sound():
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        self._members = self._checked(self._zip.infolist())
        self._headers: dict[str, _Header] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def header(self, name: str) -> tuple[np.dtype, tuple[int, ...]]:
        """Type and shape of the array called `name`.

        Raises:
            UserError: its header is damaged, holds no numbers, or its size is not its member's.
        """
        info = self._members[name]
        with self._sound(name):
            with self._zip.open(info) as member:
                start = member.read(_HEADER_MAX)
            header = _read_header(start)
        _check_header(header, info.file_size, f"{self._path}: {named(name)}")
        self._headers[name] = header
        return header.dtype, header.shape

    def array(self, name: str) -> NDArray:
        """The array called `name`: takes memory for all of it.

        Raises:
            UserError: as `header`, or its data are damaged.
        """
        if name not in self._headers:
            self.header(name)
        header = self._headers[name]
        with self._sound(name):
            try:
                data = self._zip.read(self._members[name])
            except MemoryError:
                raise UserError(
                    f"{self._path}: {named(name)}: cannot read the {self._what}: not enough memory"
                ) from None
            return header.array(data)

    def _checked(self, members: list[zipfile.ZipInfo]) -> Mapping[str, zipfile.ZipInfo]:
        """The members by the name of their array."""
        found: dict[str, zipfile.ZipInfo] = {}
        for info in members:
            name = info.filename.removesuffix(_SUFFIX)
            where = f"{self._path}: {named(name)}"
            if name in found:
                raise UserError(f"{where}: occurs twice")
            if info.flag_bits & _ENCRYPTED:
                raise UserError(f"{where}: encrypted: expected an array that is not")
            if info.compress_type not in _METHODS:
                raise UserError(
                    f"{where}: compression method: got {info.compress_type}, expected 0 (stored) "
                    "or 8 (deflated)"
                )
            most = info.compress_size * _METHODS[info.compress_type]
            if info.file_size > most:
                raise UserError(
                    f"{where}: got {info.compress_size} bytes of data, too few for the "
                    f"{info.file_size} that the file declares"
                )
            found[name] = info
        return found

    @contextmanager
    def _sound(self, name: str | None = None) -> Iterator[None]:
        """Whatever the libraries raise within the block: the file's bytes are damaged."""
        try:
            yield
        except UserError:
            raise
        except Exception:  # zipfile, zlib and numpy.lib.format have no common class of errors
            which = f"{self._path}: " if name is None else f"{self._path}: {named(name)}: "
            raise UserError(f"{which}not a {self._what} file (.npz), or damaged") from None
