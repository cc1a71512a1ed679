"""Make the GDPU's table of the hyperbolic tangent: prints it as Python source, with its error.

    python tools/tanh_table.py

Each side of 0 has half of the bins; the outermost is the constant 1, the others are straight lines,
which need not meet. The table is the one of least maximum error over all binary16 inputs, with
thresholds, slopes, offsets and the fused multiply-add that evaluates a line all in binary16. If
every bin may err by `error`, the best bins are the longest ones, one after another from 0 on, and
what is left must not be farther than `error` from 1: so the least error is found by bisection.
Within a bin, the binary16 slopes around the best real one and all offsets are tried.
"""

import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from caduceus.golden.reference import fp16
from caduceus.spec import formats, gdpu

LINES = gdpu.BINS // 2 - 1
"""Bins with a slope, on each side of 0."""
NEIGHBOURS = 4
"""How many binary16 values on either side of the real slope are tried."""
OFFSETS = 24
"""About how many offsets are tried with a slope."""
ROUNDING = 2.0**-12
"""Most by which a value below 1 is rounded."""
RESOLUTION = 1e-8
"""To which the least error is found."""
SPARSE = 61
"""One of so many inputs is looked at first: most lines that are useless show it there."""

INPUTS = np.arange(formats.FP16_INFINITY, dtype=np.uint16)
"""Bits of every finite binary16 value that is not negative, in rising order."""
REAL = INPUTS.view(np.float16).astype(np.float64)
TANH = np.tanh(REAL)


class Line(NamedTuple):
    """A bin on the positive side: first and last input (indices of `INPUTS`), slope and offset."""

    first: int
    last: int
    slope: int
    offset: int


def _bits(real: float) -> int:
    return int(np.float16(real).view(np.uint16))


def _value(bits: int) -> float:
    return float(np.uint16(bits).view(np.float16))


def _candidates(first: int, last: int, error: float) -> list[tuple[float, int, int]]:
    """Lines that may err by at most `error`, as (distance from the best offset, slope, offset).

    On one side of 0 tanh bends one way only: the best real line is parallel to the chord, half way
    between it and the tangent.
    """
    chord = (TANH[last] - TANH[first]) / (REAL[last] - REAL[first]) if last > first else 1.0
    lines = []
    for slope in range(_bits(chord) - NEIGHBOURS, _bits(chord) + NEIGHBOURS + 1):
        gap = TANH[first : last + 1] - _value(slope) * REAL[first : last + 1]
        highest, lowest = float(gap.max()), float(gap.min())
        least, most = highest - error - ROUNDING, lowest + error + ROUNDING
        if least <= most and most >= 0:
            offsets = range(_bits(max(least, 0)), _bits(most) + 1)
            lines += [
                (abs(_value(offset) - (highest + lowest) / 2), slope, offset)
                for offset in offsets[:: len(offsets) // OFFSETS + 1]
            ]
    return sorted(lines)


def _fits(slope: int, offset: int, inputs: NDArray[np.int64], error: float) -> bool:
    got = fp16.fma(INPUTS[inputs], slope, offset).view(np.float16)
    return float(np.abs(got - TANH[inputs]).max()) <= error


def _line(first: int, last: int, error: float) -> Line | None:
    """A line for these inputs that errs by at most `error`, if there is one."""
    every = np.arange(first, last + 1)
    some = np.append(every[::SPARSE], last)
    for _, slope, offset in _candidates(first, last, error):
        if _fits(slope, offset, some, error) and _fits(slope, offset, every, error):
            return Line(first, last, slope, offset)
    return None


def _longest(first: int, error: float) -> Line:
    """The line from input `first` on that goes as far as it can."""
    best = None
    low, high = first, len(INPUTS) - 2  # it fits as far as the one; where the other is, not known
    while low < high:
        middle = (low + high + 1) // 2
        line = _line(first, middle, error)
        low, high, best = (middle, high, line) if line else (low, middle - 1, best)
    return best or Line(first, first, 0, int(INPUTS[first]))


def lines(error: float) -> list[Line] | None:
    """The bins with slopes of the positive side, none of which errs by more than `error`.

    None if more would be needed.
    """
    found, first = [], 0
    while 1 - TANH[first] > error:
        if len(found) == LINES:
            return None
        found.append(_longest(first, error))
        first = found[-1].last + 1
    return found


def best() -> list[Line]:
    """The bins with slopes of the positive side for which the largest error is least."""
    low, high = 0.0, 2.0**-8
    found = lines(high)
    while high - low > RESOLUTION:
        middle = (low + high) / 2
        attempt = lines(middle)
        low, high, found = (low, middle, attempt) if attempt else (middle, high, found)
    return found


def table(positive: list[Line]) -> dict[str, list[int]]:
    """Thresholds, slopes and offsets of all bins, as `caduceus.spec.gdpu` has them.

    A bin begins with its threshold. So that the negative side mirrors the positive one, thresholds
    there are the last inputs of the bins nearer to 0.
    """
    sign = 1 << formats.FP16_BITS - 1
    above = [int(INPUTS[line.last]) + 1 for line in positive]
    below = [sign | int(INPUTS[line.last]) for line in reversed(positive)]
    slopes = [line.slope for line in positive]
    offsets = [line.offset for line in positive]
    one = formats.FP16_ONE
    return {
        "THRESHOLDS": [*below, 0, *above],
        "SLOPES": [0, *reversed(slopes), *slopes, 0],
        "OFFSETS": [sign | one, *(sign | bits for bits in reversed(offsets)), *offsets, one],
    }


def error(positive: list[Line]) -> float:
    """Largest distance from tanh over all finite inputs; the negative ones only mirror these."""
    last = float(1 - TANH[positive[-1].last + 1])
    values = (
        fp16.fma(INPUTS[line.first : line.last + 1], line.slope, line.offset).view(np.float16)
        for line in positive
    )
    gaps = np.concatenate(list(values)) - TANH[: positive[-1].last + 1]
    return max(last, float(np.abs(gaps).max()))


def source(positive: list[Line]) -> str:
    """The table, and its largest error rounded up, as lines of `caduceus/spec/gdpu.py`."""
    rows = []
    for name, bits in table(positive).items():
        hexadecimal = [f"0x{value:04X}" for value in bits]
        rows.append(f"{name} = (")
        rows += [f"    {', '.join(hexadecimal[at : at + 9])}," for at in range(0, len(bits), 9)]
        rows.append(")  # fmt: skip")
    rows.append(f"TANH_ERROR = {math.ceil(error(positive) * 1e7) / 1e7:.7f}")
    return "\n".join(rows)


if __name__ == "__main__":
    print(source(best()))
