"""Sealed files: a record with its arrays, and a SHA-256 over all of the file.

Numbers are little-endian. The same record gives the same bytes.

    0    8 bytes     magic number of the kind of file
    8    uint32      version of its format
    12   uint32      length of the header in bytes
    16   32 bytes    SHA-256 of all other bytes of the file, in order
    48   header      UTF-8 JSON, keys as the fields of the record; for an array its shape
    ..   arrays      row by row, in the order of the fields (`caduceus.spec.records`)

A file with any bit changed, with bytes missing or with bytes added is refused.
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from caduceus.spec.errors import UserError
from caduceus.spec.files import read_whole, write_whole
from caduceus.spec.records import from_json, to_json

BYTES_MAX = 1 << 31
"""Size of the largest file."""
HEADER_MAX = 1 << 23
"""Size of the largest header: as values it takes 20 times the memory. 64 tiles need 30 KB."""
_START = struct.Struct("<8sII")
_DIGEST = hashlib.sha256().digest_size
_FIXED = _START.size + _DIGEST

_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Sealed(Generic[_Record]):
    """A kind of sealed file.

    Attributes:
        magic: the first 8 bytes of each.
        version: of the format.
        record: dataclass that a file holds.
        what: what the file is, for errors.
    """

    magic: bytes
    version: int
    record: type[_Record]
    what: str

    def save(self, record: _Record, path: Path | str) -> None:
        """Write `record` to `path`: never half a file.

        Raises:
            UserError: the file cannot be written, or it or its header would be too large.
        """
        arrays: list[bytes] = []
        content = to_json(record, arrays)
        header = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
        if len(header) > HEADER_MAX:
            raise _too_long(path, self.what, len(header))
        start = _START.pack(self.magic, self.version, len(header))
        body = b"".join([header, *arrays])
        size = _FIXED + len(body)
        if size > BYTES_MAX:
            raise UserError(f"{path}: {self.what}: got {size} bytes, expected at most {BYTES_MAX}")
        write_whole(path, start + _digest(start, body) + body, self.what)

    def load(self, path: Path | str) -> _Record:
        """The record of the file at `path`.

        Raises:
            UserError: the file is missing, not of this kind, altered, cut short, of another format
                version, or its content does not fit the record.
        """
        content = memoryview(read_whole(path, self.what, BYTES_MAX))
        if content[: len(self.magic)] != self.magic:
            raise UserError(f"{path}: not a {self.what}, or damaged")
        if len(content) < _FIXED:
            raise UserError(
                f"{path}: the {self.what} is cut short: make it again, or copy it whole"
            )
        start, body = content[: _START.size], content[_FIXED:]
        _, version, length = _START.unpack(start)
        if version != self.version:
            raise UserError(
                f"{path}: {self.what}: format version: got {version}, expected {self.version}"
            )
        if _digest(start, body) != content[_START.size : _FIXED]:
            raise UserError(
                f"{path}: checksum does not match its content: the file was altered or cut short"
            )
        if length > HEADER_MAX:
            raise _too_long(path, self.what, length)
        try:
            return from_json(self.record, _json(bytes(body[:length])), body[length:])
        except UserError as error:
            raise UserError(f"{path}: {self.what}: {error}") from None


def _too_long(path: Path | str, what: str, length: int) -> UserError:
    return UserError(f"{path}: {what}: header: got {length} bytes, expected at most {HEADER_MAX}")


def _json(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UserError("header: expected JSON in UTF-8") from None


def _digest(start: bytes | memoryview, body: bytes | memoryview) -> bytes:
    """The file's checksum; the body is not copied for it."""
    digest = hashlib.sha256(start)
    digest.update(body)
    return digest.digest()
