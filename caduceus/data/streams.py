"""A text cut into parallel streams; every character is predicted exactly once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IGNORED = -100
"""Target of a step that is not counted."""
STREAMS, WARM_UP = 512, 256
"""For a whole text: the most streams, and the characters that each reads before it counts."""


@dataclass(frozen=True)
class Streams:
    """Symbols that a model reads, and those that it should predict.

    Attributes:
        numbers: int64 [time, streams], symbols to read.
        targets: int64 [time, streams], the symbols that follow; `IGNORED` where not counted.
        warm_up: steps at the start that are not counted. The first stream has no text before it:
            its state must be set to 0 after them.
    """

    numbers: NDArray[np.int64]
    targets: NDArray[np.int64]
    warm_up: int

    @property
    def counted(self) -> int:
        """Characters predicted: all of the text but its first."""
        return int((self.targets != IGNORED).sum())


def streams(text: NDArray[np.integer], count: int, warm_up: int) -> Streams:
    """Cut `text` (symbols [n], at least 2) into at most `count` streams of equal length.

    Every stream starts `warm_up` characters before the first that it predicts from. Streams are at
    least that long, so a short text has fewer; a single stream has no warm-up.
    """
    predictions = len(text) - 1
    count = max(1, min(count, predictions // max(1, warm_up)))
    length = -(-predictions // count)
    warm_up = warm_up if count > 1 else 0
    place = np.arange(-warm_up, length)[:, None] + np.arange(0, predictions, length)
    inside = (place >= 0) & (place < predictions)
    place = np.where(inside, place, 0)
    targets = np.where(inside, text[place + 1].astype(np.int64), IGNORED)
    targets[:warm_up] = IGNORED
    return Streams(text[place].astype(np.int64), targets, warm_up)
