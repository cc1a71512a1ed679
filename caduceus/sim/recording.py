"""Recordings of a simulated tile: results and activity. See `result_recorder.sv`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing

WRITES, INTEGRATES, COMPUTES, STALLED = (1 << bit for bit in range(4))
"""Bits of the activity: row writes, array active, LDPU active, result waiting."""

_KINDS = {1: np.dtype(np.int8), 2: np.dtype("<u2")}


@dataclass(frozen=True)
class Recorded:
    """Values that a tile computed, and values that it sent.

    Attributes:
        results, sent: [n, columns], in order.
        result_times, sent_times: of each, the times of its beats, as the recorder writes them.
    """

    results: NDArray
    sent: NDArray
    result_times: Sequence[str] = ()
    sent_times: Sequence[str] = ()

    def time_ps(self, sent: bool, vector: int, beat: int) -> int | None:
        """Time of the beat with a result or sent value; None if it was not recorded."""
        times = self.sent_times if sent else self.result_times
        if vector >= len(times):
            return None
        first, *runs = times[vector].split()
        time, left = int(first), beat
        for beats, step in (map(int, run.split("*")) for run in runs):
            time += min(left, beats) * step
            left -= min(left, beats)
        return None if left else time


def all_tiles(folder: Path, program: Program) -> dict[int, Recorded]:
    """`one_tile` of every computing tile of a program, by its number.

    Raises:
        OSError, ValueError: as `one_tile`.
    """
    return {
        tile.tile: one_tile(folder, tile.tile, 2 if tile.config.tx_binary16 else 1)
        for tile in computing(program)
    }


def one_tile(folder: Path, index: int, value_bytes: int) -> Recorded:
    """A tile's LDPU results, and its sent packets.

    Args:
        folder: the simulation's plusarg `+record=`.
        index: number of the tile's PCM state.
        value_bytes: 1 for INT8; 2 for binary16 bits, which are uint16.

    Raises:
        OSError: there is no recording.
        ValueError: vectors differ in length, or a line is malformed.
    """
    path = folder / f"results_{index}.txt"
    # Behind the last line end is a line that is still being written.
    lines = path.read_text(encoding="ascii").rpartition("\n")[0].splitlines()
    values, times = {"r": [], "s": []}, {"r": [], "s": []}
    for number, line in enumerate(lines):
        if line[:1] not in values:
            raise ValueError(f"{path}: line {number + 1} begins with '{line[:1]}'")
        digits, _, when = line[1:].partition(" ")
        values[line[0]].append(digits)
        times[line[0]].append(when)
    results, sent = (_vectors(path, each, _KINDS[value_bytes]) for each in values.values())
    return Recorded(results, sent, times["r"], times["s"])


def _vectors(path: Path, lines: list[str], kind: np.dtype) -> NDArray:
    """Vectors from lines of hexadecimal digits."""
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
        OSError: there is no recording.
    """
    path = folder / f"activity_{index}.txt"
    lines = path.read_text(encoding="ascii").rpartition("\n")[0].splitlines()
    changes = [(int(time), int(bits, 16)) for time, bits in (line.split() for line in lines)]
    return np.array(changes, dtype=np.int64).reshape(-1, 2)
