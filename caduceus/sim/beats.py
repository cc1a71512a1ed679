"""Vectors as stream beats, in the text files of the stream player and recorder."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.packets import marks


def lines(vectors: NDArray[np.int8], units: int) -> list[str]:
    """Lines of each vector of int8 [n, length], as beats of `units` elements."""
    count, length = vectors.shape
    endings = [f" {keep:x} {last}\n" for keep, last in marks(length, units)]
    padded = np.zeros((count, len(endings) * units), dtype=np.uint8)
    padded[:, :length] = vectors.view(np.uint8)
    # Element 0 is the lowest byte; hexadecimal puts the highest first.
    data = padded.reshape(-1, units)[:, ::-1].tobytes().hex()
    digits = 2 * units
    return [
        "".join(
            data[start + beat * digits : start + (beat + 1) * digits] + ending
            for beat, ending in enumerate(endings)
        )
        for start in range(0, len(data), len(endings) * digits)
    ]


def write(path: Path, vectors: NDArray[np.int8], units: int) -> None:
    """Write int8 [n, length] as beats of `units` elements."""
    path.write_text("".join(lines(vectors, units)), encoding="ascii")


def read(path: Path, length: int, units: int) -> NDArray[np.int8]:
    """Read a recorder's file, as int8 [n, length].

    Raises:
        AssertionError: tkeep or tlast of a beat does not match vectors of this length.
    """
    wanted = marks(length, units)
    beats = len(wanted)
    words = path.read_text(encoding="ascii").split()
    data, keep, last = words[0::4], words[1::4], words[2::4]
    assert len(data) % beats == 0, f"{len(data)} beats: vectors have {beats} each"
    count = len(data) // beats
    for beat, (kept, ended) in enumerate(zip(keep, last, strict=True)):
        wanted_keep, wanted_last = wanted[beat % beats]
        assert int(ended) == wanted_last, f"beat {beat}: tlast is {ended}"
        assert int(kept, 16) == wanted_keep, f"beat {beat}: tkeep is {kept}"
    values = np.frombuffer(bytes.fromhex("".join(data)), dtype=np.int8)
    elements = values.reshape(-1, units)[:, ::-1].reshape(count, beats * units)
    return np.ascontiguousarray(elements[:, :length])


def packet_clocks(path: Path) -> list[NDArray[np.int64]]:
    """For each recorded packet, the clocks in which its beats left, the preamble first."""
    words = path.read_text(encoding="ascii").split()
    clocks = np.array(words[3::4], dtype=np.int64)
    ends = np.flatnonzero(np.array(words[2::4]) == "1") + 1
    return np.split(clocks, ends)[: len(ends)]


def read_packets(path: Path, units: int) -> list[bytes]:
    """The recorded packets, each with its preamble beat.

    Raises:
        AssertionError: a beat before the last is partial, or a packet has no end.
    """
    packets, values = [], bytearray()
    for line in path.read_text(encoding="ascii").splitlines():
        data, keep, last, _ = line.split()
        kept = int(keep, 16).bit_count()
        assert int(keep, 16) == (1 << kept) - 1 and (kept == units or last == "1"), line
        values += bytes.fromhex(data)[::-1][:kept]
        if last == "1":
            packets.append(bytes(values))
            values = bytearray()
    assert not values, f"{path}: the last packet has no end"
    return packets
