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
    data, keep, last = lines[0::4], lines[1::4], lines[2::4]
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


def ends(path: Path) -> NDArray[np.int64]:
    """Clocks in which the recorded packets ended, int64 [n]."""
    lines = path.read_text(encoding="ascii").split()
    return np.array(
        [int(now) for last, now in zip(lines[2::4], lines[3::4], strict=True) if last == "1"],
        dtype=np.int64,
    )


def read_packets(path: Path, units: int) -> list[NDArray[np.int8]]:
    """The recorded packets, each with its preamble's beat: int8 [units + payload].

    Raises:
        AssertionError: a beat before the last is not full, or a packet did not end.
    """
    packets, values = [], bytearray()
    for line in path.read_text(encoding="ascii").splitlines():
        data, keep, last, _ = line.split()
        kept = int(keep, 16).bit_count()
        assert int(keep, 16) == (1 << kept) - 1 and (kept == units or last == "1"), line
        values += bytes.fromhex(data)[::-1][:kept]
        if last == "1":
            packets.append(np.frombuffer(bytes(values), dtype=np.int8))
            values = bytearray()
    assert not values, f"{path}: the last packet did not end"
    return packets
