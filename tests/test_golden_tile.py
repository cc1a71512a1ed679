"""Golden tile: its parts in order, batches split at will, bad input refused, every bit matters."""

import dataclasses
import re
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from golden_reference import random_config, random_int8, random_state
from hypothesis import given, settings
from hypothesis import strategies as st

from caduceus.golden.fast.tile import Tile
from caduceus.golden.reference import adc, ldpu
from caduceus.golden.reference import tile as reference_tile
from caduceus.golden.reference.pcm_array import Crossbar
from caduceus.spec import chip
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import FP16_ONE, INT8_MAX, ReadMode
from caduceus.spec.program import TileConfig

TINY, HERMES = Chip.find("tiny"), Chip.find("hermes")
HALF = FP16_ONE - 0x400
VECTORS = 300


def _make(
    mode: ReadMode, description: chip.Chip = TINY, seed: int = 1, **options
) -> tuple[Tile, TileConfig, np.ndarray, np.ndarray | None]:
    """A tile with noise, a configuration of nearly its size, and 300 vectors."""
    state = random_state(description, seed, tiles=2)
    rng = np.random.default_rng(seed + 1)
    rows, columns = state.rows - 3, state.columns - 2
    config = random_config(rng, mode, rows, columns, **options)
    # Small enough that converters mostly stay below their limit, at any array size.
    largest = INT8_MAX * TINY.array.rows // state.rows
    x = rng.integers(-largest, largest + 1, (VECTORS, rows)).astype(np.int8)
    rx = random_int8(rng, len(x), columns) if config.rx_enable else None
    return Tile(description, state, tile=1), config, x, rx


@pytest.mark.parametrize("rx_enable", [False, True])
@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.parametrize("description", [TINY, HERMES], ids=lambda chip: chip.name)
def test_a_tile_is_its_parts_in_order(
    description: chip.Chip, mode: ReadMode, rx_enable: bool
) -> None:
    state = random_state(description, seed=1, tiles=2)
    tile, config, x, rx = _make(mode, description, relu_1=True, rx_enable=rx_enable, rx_scale=HALF)
    charges = Crossbar(state, 1).charges(x, mode, config.columns)
    p, n = adc.convert(charges, state, 1, mode, description.adc.phase_limit, first_read=77)
    for got, expected in zip(tile.counts(config, x, first_read=77), (p, n), strict=True):
        np.testing.assert_array_equal(got, expected)
    added = None if rx is None else np.where(rx == -128, np.int8(-127), rx)
    expected = ldpu.process(p, n, config.constants, True, False, added, HALF)
    np.testing.assert_array_equal(
        reference_tile.run(description, state, 1, config, x, rx, first_read=77), expected
    )
    got = tile.run(config, x, rx, first_read=77)
    assert (got.dtype, got.shape) == (np.int8, (len(x), config.columns))
    np.testing.assert_array_equal(got, expected)
    assert len(np.unique(got)) > 20


@settings(deadline=None, max_examples=30)
@given(
    mode=st.sampled_from(ReadMode),
    cuts=st.lists(st.integers(0, VECTORS), max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_batches_may_be_split_and_ordered_at_will(
    mode: ReadMode, cuts: list[int], order: Random
) -> None:
    tile, config, x, rx = _make(mode, relu_2=True, rx_enable=True, rx_scale=HALF)
    whole = tile.run(config, x, rx, first_read=9)
    edges = sorted({0, *cuts, len(x)})
    parts = list(pairwise(edges))
    order.shuffle(parts)
    pieced = np.zeros_like(whole)
    for start, stop in parts:
        part = slice(start, stop)
        pieced[part] = tile.run(config, x[part], rx[part], first_read=9 + start)
    np.testing.assert_array_equal(pieced, whole)


def test_noise_depends_on_the_read_index() -> None:
    tile, config, x, _ = _make(ReadMode.FOUR_PHASE)
    assert (tile.run(config, x) != tile.run(config, x, first_read=1)).any()


def test_no_vectors_give_no_results() -> None:
    tile, config, x, _ = _make(ReadMode.ONE_PHASE)
    assert tile.run(config, x[:0]).shape == (0, config.columns)


@pytest.mark.parametrize("mode", ReadMode)
def test_one_inverted_bit_anywhere_changes_the_result(mode: ReadMode) -> None:
    state = random_state(TINY, seed=1, tiles=2, noise=False)
    _, config, x, _ = _make(mode)
    before = Tile(TINY, state, 1).run(config, x)
    rng = np.random.default_rng(5)
    for name, bit in (
        ("codes", 7), ("gain_p", 20), ("gain_n", 20),
        ("offset_p", 9), ("offset_n", 9), ("noise", 9),
    ):  # fmt: skip
        changed = getattr(state, name).copy()
        place = (1, 2, 3, rng.integers(4)) if name == "codes" else (1, 3)
        changed[place] ^= changed.dtype.type(1 << bit)
        flipped = dataclasses.replace(state, **{name: changed})
        after = Tile(TINY, flipped, 1).run(config, x)
        assert set(np.nonzero(after != before)[1]) == {3}, name
    for constant in range(config.constants.shape[1]):
        constants = config.constants.copy()
        constants[4, constant] ^= 1 << 9
        after = Tile(TINY, state, 1).run(dataclasses.replace(config, constants=constants), x)
        assert set(np.nonzero(after != before)[1]) == {4}, constant
    activations = x.copy()
    activations[6, 2] ^= 1 << 5
    assert set(np.nonzero(Tile(TINY, state, 1).run(config, activations) != before)[0]) == {6}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rows": 17}, "tile configuration: rows: got 17, expected 1 to 16"),
        ({"rows": 0}, "tile configuration: rows: got 0, expected 1 to 16"),
        (
            {"columns": 17, "constants": np.zeros((17, 5), np.uint16)},
            "tile configuration: columns: got 17, expected 1 to 16",
        ),
        ({"rows": 12}, "input vectors: int8 [300, 13]: expected int8 [300, 12]"),
        ({"rx_enable": True}, "RX vectors are missing: rx_enable = True does not fit"),
    ],
)
def test_configurations_that_do_not_fit(change: dict, sentence: str) -> None:
    tile, config, x, _ = _make(ReadMode.ONE_PHASE)
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
        tile.run(dataclasses.replace(config, **change), x)


def test_vectors_that_do_not_fit() -> None:
    tile, config, x, _ = _make(ReadMode.ONE_PHASE)
    rx = np.zeros((300, config.columns), np.int8)
    for arguments, sentence in (
        ([x.astype(np.int16)], "input vectors: int16 [300, 13]: expected int8 [300, 13]"),
        ([x[0]], "input vectors: int8 [13]: expected int8 [13, 13]"),
        ([x, rx], "RX vectors are given: rx_enable = False does not fit"),
    ):
        with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
            tile.run(config, *arguments)
    with pytest.raises(UserError, match=re.escape("RX vectors: int8 [299, 14]: expected int8")):
        tile.run(dataclasses.replace(config, rx_enable=True), x, rx[1:])
    with pytest.raises(UserError, match=re.escape("input vectors: int16")):
        tile.counts(config, x.astype(np.int16))


def test_states_that_do_not_fit() -> None:
    state = random_state(TINY, seed=1)
    with pytest.raises(UserError, match="16x16 arrays: chip 'hermes' allows 256x256"):
        Tile(HERMES, state)
    for tile in (-1, 1):
        with pytest.raises(UserError, match=f"^tile = {tile}: the PCM state allows 0 to 0$"):
            Tile(TINY, state, tile)
