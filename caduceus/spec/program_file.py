"""The program image: a file with everything that a chip is told to do.

Numbers are little-endian. The same program gives the same bytes.

    0    8 bytes     MAGIC
    8    uint32      FORMAT
    12   uint32      length of the header in bytes
    16   32 bytes    SHA-256 of all other bytes of the file, in order
    48   header      UTF-8 JSON, keys as the fields of `Program`; for an array its shape
    ..   arrays      row by row: of each tile with a config, in order, constants uint16 [columns, 5]
                     and codes uint8 [rows, columns, 4]; then embedding and sample, int8, if any
"""

import hashlib
import json
import struct
from pathlib import Path

from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole
from caduceus.spec.program import Program
from caduceus.spec.program_check import check
from caduceus.spec.records import from_json, to_json

MAGIC = b"CADUCEUS"
FORMAT = 4
_START = struct.Struct("<8sII")
_DIGEST = hashlib.sha256().digest_size
_FIXED = _START.size + _DIGEST


def save(program: Program, path: Path | str) -> None:
    """Write `program` to `path`: the same program gives the same bytes; never half a file.

    Raises:
        UserError: a value of the program is beyond its limits, or the file cannot be written.
    """
    check(program)
    arrays: list[bytes] = []
    content = to_json(program, arrays)
    header = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    start, body = _START.pack(MAGIC, FORMAT, len(header)), b"".join([header, *arrays])
    write_whole(path, start + _digest(start, body) + body, "program image")


def load(path: Path | str, chip: Chip | None = None) -> Program:
    """Read a program image; with `chip`, demand that it was made for that very description.

    Raises:
        UserError: missing, truncated, altered, of another format version, for another chip
            description, or with a value beyond its limits.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            # Only what begins like an image is read whole: the path may be anything.
            fixed = file.read(_FIXED)
            body = file.read() if fixed.startswith(MAGIC) else b""
    except OSError as error:
        raise UserError(f"{path}: cannot read the program image: {error.strerror}") from None
    if not fixed.startswith(MAGIC):
        raise UserError(f"{path}: not a program image: expected what the compiler wrote")
    if len(fixed) < _FIXED:
        raise UserError(f"{path}: the program image is cut short: make it again, or copy it whole")
    start = fixed[: _START.size]
    _, version, header_length = _START.unpack(start)
    if version != FORMAT:
        raise UserError(f"{path}: program image format {version}: expected {FORMAT}")
    if _digest(start, body) != fixed[_START.size :]:
        raise UserError(
            f"{path}: checksum does not match its content: the file was altered or cut short"
        )
    try:
        program = from_json(Program, _header(body[:header_length]), body[header_length:])
    except UserError as error:
        raise UserError(f"{path}: program image: {error}") from None
    try:
        check(program, chip)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return program


def _header(text: bytes) -> object:
    """The header's JSON value."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UserError("header: expected JSON in UTF-8, as the compiler writes it") from None


def _digest(start: bytes, body: bytes) -> bytes:
    """The file's checksum; the body is not copied for it."""
    digest = hashlib.sha256(start)
    digest.update(body)
    return digest.digest()
