"""Reference currents in the golden model, by Python's own integers, and procedures driven on it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from golden_reference import random_config, random_int8, random_state
from numpy.typing import NDArray

from caduceus.golden import measure
from caduceus.golden.fast.tile import Tile
from caduceus.golden.reference import ldpu
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.measurement import REFERENCE_MAX, Measurement

TINY = Chip.find("tiny")
BOTH = pytest.mark.parametrize("mode", list(ReadMode))
LIMIT = TINY.adc.phase_limit


def _count(charge: int, gain: int, offset: int) -> int:
    """Counts of a window: the law of docs/numbers.md without noise."""
    return min(max((charge * gain + (offset << 24)) >> 32, 0), LIMIT)


@BOTH
@pytest.mark.parametrize("level", [1, -1, 300, -300, 5000, -5000, -32768, 32767])
def test_counts_are_those_of_the_law(mode: ReadMode, level: int) -> None:
    state = replace(random_state(TINY, 3), noise=np.zeros((1, TINY.array.columns), np.uint16))
    config = random_config(np.random.default_rng(1), mode, TINY.array.rows, TINY.array.columns)
    x = random_int8(np.random.default_rng(2), 3, config.rows)
    p, n = Tile(TINY, state).counts(config, x, reference=level)
    charge = 128 * level
    for column in range(config.columns):
        one, other = (
            _count(
                abs(charge),
                int(getattr(state, f"gain_{which}")[0, column]),
                int(getattr(state, f"offset_{which}")[0, column]),
            )
            for which in ("p", "n")
        )
        wanted = (2 * one, 2 * other)
        if mode is ReadMode.ONE_PHASE:
            wanted = (one, 0) if level > 0 else (0, other)
        assert {tuple(pair) for pair in zip(p[:, column], n[:, column], strict=True)} == {wanted}


@BOTH
def test_results_are_what_the_ldpu_makes_of_the_counts(mode: ReadMode) -> None:
    """With read noise, RX vectors and ReLU; the input vectors' values do not matter."""
    state = random_state(TINY, 5)
    random = np.random.default_rng(6)
    config = random_config(
        random, mode, TINY.array.rows, TINY.array.columns, relu_2=True, rx_enable=True
    )
    x, rx = (random_int8(random, 50, length) for length in (config.rows, config.columns))
    tile = Tile(TINY, state)
    got = tile.run(config, x, rx, 9, reference=-700)
    p, n = tile.counts(config, np.zeros_like(x), 9, reference=-700)
    rx = np.maximum(rx, -127)
    assert (got == ldpu.process(p, n, config.constants, False, True, rx, config.rx_scale)).all()
    assert (got != tile.run(config, x, rx, 9)).any()


def test_a_procedure_is_sent_what_the_tile_answers() -> None:
    """Read by read: the read index goes on from one measurement to the next."""
    state = random_state(TINY, 8)
    random = np.random.default_rng(7)
    config = random_config(random, ReadMode.ONE_PHASE, TINY.array.rows, TINY.array.columns)
    x = random_int8(random, 7, config.rows)
    tile = Tile(TINY, state)

    def procedure() -> Iterator[Measurement]:
        cells = yield Measurement(config, x[:3])
        reference = yield Measurement(config, x[3:5], -40)
        again = yield Measurement(config, x[5:])
        return cells, reference, again

    parts: tuple[NDArray[np.int8], ...] = measure.run(procedure(), tile, first_read=20)
    assert (parts[0] == tile.run(config, x[:3], first_read=20)).all()
    assert (parts[1] == tile.run(config, x[3:5], first_read=23, reference=-40)).all()
    assert (parts[2] == tile.run(config, x[5:], first_read=25)).all()


def test_a_procedure_that_asks_for_nothing() -> None:
    def procedure() -> Iterator[Measurement]:
        return 5
        yield

    assert measure.run(procedure(), Tile(TINY, random_state(TINY, 8))) == 5


def test_reference_currents_beyond_the_register_are_refused() -> None:
    config = random_config(np.random.default_rng(0), ReadMode.ONE_PHASE, 4, 4)
    x = np.zeros((1, 4), np.int8)
    assert Measurement(config, x, REFERENCE_MAX).reference == 32767
    with pytest.raises(
        UserError, match=r"^reference current: got 32768, expected -32767 to 32767$"
    ):
        Measurement(config, x, REFERENCE_MAX + 1)
