"""The program file: everything that the compiler decided for a chip.

A sealed file (`caduceus.spec.sealed`) with magic number `CADUCEUS`. Its arrays are, of each tile
with a config, in order, constants uint16 [columns, 5] and codes uint8 [rows, columns, 4]; then
embedding and sample, int8, if any.
"""

from pathlib import Path

from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.program import Program
from caduceus.spec.program_check import check
from caduceus.spec.sealed import Sealed

FORMAT = 5
_FILE = Sealed(b"CADUCEUS", FORMAT, Program, "program file")


def save(program: Program, path: Path | str) -> None:
    """Write `program` to `path`: the same program gives the same bytes; never half a file.

    Raises:
        UserError: a value of the program is beyond its limits, or the file cannot be written.
    """
    check(program)
    _FILE.save(program, path)


def load(path: Path | str, chip: Chip | None = None) -> Program:
    """Read a program file; with `chip`, demand that it was made for that very description.

    Raises:
        UserError: missing, cut short, altered, of another format version, for another chip
            description, or with a value beyond its limits.
    """
    program = _FILE.load(path)
    try:
        check(program, chip)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return program
