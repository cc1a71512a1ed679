"""Vectors as the beats of a stream, in the text files that the stream player and recorder use."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def beats_per_vector(length: int, units: int) -> int:
    """Beats that a vector of `length` elements takes."""
    return -(-length // units)


def write(path: Path, vectors: NDArray[np.int8], units: int) -> None:
    """Write int8 [n, length] as beats of `units` elements."""
    count, length = vectors.shape
    beats = beats_per_vector(length, units)
    padded = np.zeros((count, beats * units), dtype=np.uint8)
    padded[:, :length] = vectors.view(np.uint8)
    # Element 0 is the lowest byte, and hexadecimal has the highest first.
    data = padded.reshape(-1, units)[:, ::-1].tobytes().hex()
    digits = 2 * units
    full = f" {(1 << units) - 1:x} 0\n"
    last = f" {(1 << (length - (beats - 1) * units)) - 1:x} 1\n"
    endings = [full] * (beats - 1) + [last]
    with path.open("w", encoding="ascii") as file:
        for vector in range(count):
            start = vector * beats * digits
            file.writelines(
                data[start + beat * digits : start + (beat + 1) * digits] + ending
                for beat, ending in enumerate(endings)
            )


def read(path: Path, length: int, units: int) -> NDArray[np.int8]:
    """Read what a recorder wrote, as int8 [n, length].

    Raises:
        AssertionError: a beat's tkeep or tlast is not what vectors of this length have.
    """
    beats = beats_per_vector(length, units)
    lines = path.read_text(encoding="ascii").split()
    data, keep, last = lines[0::3], lines[1::3], lines[2::3]
    assert len(data) % beats == 0, f"{len(data)} beats: vectors have {beats} each"
    wanted_last = ["0"] * (beats - 1) + ["1"]
    rest = length - (beats - 1) * units
    wanted_keep = [(1 << units) - 1] * (beats - 1) + [(1 << rest) - 1]
    count = len(data) // beats
    for beat, (kept, ended) in enumerate(zip(keep, last, strict=True)):
        at = beat % beats
        assert ended == wanted_last[at], f"beat {beat}: tlast is {ended}"
        assert int(kept, 16) == wanted_keep[at], f"beat {beat}: tkeep is {kept}"
    values = np.frombuffer(bytes.fromhex("".join(data)), dtype=np.int8)
    elements = values.reshape(-1, units)[:, ::-1].reshape(count, beats * units)
    return np.ascontiguousarray(elements[:, :length])
