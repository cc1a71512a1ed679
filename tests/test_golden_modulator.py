"""Golden modulator: every activation in every window."""

import numpy as np
import pytest

from caduceus.golden.reference import modulator
from caduceus.spec import formats
from caduceus.spec.formats import ReadMode

EVERY = np.arange(-128, 128).astype(np.int8)[:, np.newaxis]


def _pulse(x: int, drive: str) -> int:
    x = max(x, -127)
    return {"both": x, "positive": max(x, 0), "negative": max(-x, 0)}[drive]


@pytest.mark.parametrize(
    ("mode", "drives"),
    [
        (ReadMode.ONE_PHASE, ["both"]),
        (ReadMode.FOUR_PHASE, ["positive", "negative", "positive", "negative"]),
    ],
)
def test_every_activation(mode: ReadMode, drives: list[str]) -> None:
    for phase, drive in zip(formats.PHASES[mode], drives, strict=True):
        got = modulator.signed_pulses(EVERY, phase)
        assert got.dtype == np.int8
        assert got[:, 0].tolist() == [_pulse(int(x), drive) for x in EVERY[:, 0]]


def test_input_is_left_alone() -> None:
    x = EVERY.copy()
    for mode in ReadMode:
        for phase in formats.PHASES[mode]:
            modulator.signed_pulses(x, phase)
    np.testing.assert_array_equal(x, EVERY)
