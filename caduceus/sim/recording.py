"""What a simulated tile wrote down: its results, and when it did what. See `result_recorder.sv`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing

WRITES, INTEGRATES, COMPUTES, STALLED = (1 << bit for bit in range(4))
"""Bits of the activity: rows are written, the array is at work, the LDPU is, a result waits."""

_KINDS = {1: np.dtype(np.int8), 2: np.dtype("<u2")}


@dataclass(frozen=True)
class Recorded:
    """What a tile computed, and what left it, both [n, columns], in their order."""

    results: NDArray
    sent: NDArray


def all_tiles(folder: Path, program: Program) -> dict[int, Recorded]:
    """`one_tile` of every computing tile of a program, by its number.

    Raises:
        OSError, ValueError: as `one_tile`.
    """
    return {
        tile.tile: Recorded(*one_tile(folder, tile.tile, 2 if tile.config.tx_binary16 else 1))
        for tile in computing(program)
    }


def one_tile(folder: Path, index: int, value_bytes: int) -> tuple[NDArray, NDArray]:
    """Results of the LDPU, and what left the tile, both [n, columns], in their order.

    Args:
        folder: that the simulation was told with `+record=`.
        index: number of the PCM state that the tile loaded.
        value_bytes: 1 for INT8; 2 for binary16 bits, which are uint16.

    Raises:
        OSError: nothing was recorded.
        ValueError: vectors differ in length, or a line is none.
    """
    path = folder / f"results_{index}.txt"
    # What is behind the last line's end is a line that is still being written.
    lines = path.read_text(encoding="ascii").rpartition("\n")[0].splitlines()
    found = {"r": [], "s": []}
    for number, line in enumerate(lines):
        if line[:1] not in found:
            raise ValueError(f"{path}: line {number + 1} begins with '{line[:1]}'")
        found[line[0]].append(line[1:])
    got, sent = (_vectors(path, each, _KINDS[value_bytes]) for each in found.values())
    return got, sent


def _vectors(path: Path, lines: list[str], kind: np.dtype) -> NDArray:
    """The vectors that lines of hexadecimal digits are."""
    digits = {len(line) for line in lines}
    if len(digits) > 1:
        raise ValueError(f"{path}: vectors of {' and '.join(map(str, sorted(digits)))} digits")
    columns = next(iter(digits), 0) // 2 // kind.itemsize
    values = np.frombuffer(bytes.fromhex("".join(lines)), kind)
    return values.astype(kind.newbyteorder("=")).reshape(len(lines), columns)


def activity(folder: Path, index: int) -> NDArray[np.int64]:
    """Changes of a tile's activity, [n, 2]: a time in ps, and the bits from then on.

    Before the first, all bits are 0. Arguments as of `one_tile`.

    Raises:
        OSError: nothing was recorded.
    """
    path = folder / f"activity_{index}.txt"
    lines = path.read_text(encoding="ascii").rpartition("\n")[0].splitlines()
    changes = [(int(time), int(bits, 16)) for time, bits in (line.split() for line in lines)]
    return np.array(changes, dtype=np.int64).reshape(-1, 2)
