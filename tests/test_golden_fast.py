"""The fast way through a tile gives the bits of the parts that define them, whatever it is told."""

import dataclasses
from itertools import product

import numpy as np
import pytest
from golden_reference import SIGN, random_config, random_int8, random_state, tiny

from golden import adc, fp16, ldpu
from golden import tile as golden_tile
from golden.fast_adc import FastAdc
from golden.fast_ldpu import FastLdpu
from golden.pcm_array import Crossbar
from golden.tile import Tile
from spec import formats, pcm_state
from spec.chip import Chip
from spec.formats import FP16_ONE, ReadMode
from spec.pcm_state import PcmState
from spec.program import TileConfig

TINY = tiny()
COLUMNS = TINY.array.columns - 2
RESETS = tuple(constant.reset for constant in formats.COLUMN_CONSTANTS)
STATES = ("ideal", "gains", "offsets", "noise")
FLAGS = tuple(product((False, True), repeat=3))
"""ReLU before and after the RX addition, results in binary16."""
SCALES = (FP16_ONE, 0x34CD, 0xBC00, 0, 0x7BFF, 0x0C08)
"""1, 0.3, -1, 0, the largest, and one of which 127 are a little less than 1 / 32."""


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    """Blocks of 400 vectors, so that a table is made after some of a batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(golden_tile, "BLOCK_VALUES", 400 * TINY.array.rows)
        yield


def _state(kind: str) -> PcmState:
    """Devices whose converters have more and more of a character."""
    spread = random_state(TINY, seed=11)
    if kind == "ideal":
        return pcm_state.ideal(TINY, spread.codes)
    zeros = {"noise": 0 * spread.noise} if kind != "noise" else {}
    if kind == "gains":
        zeros |= {"offset_p": 0 * spread.offset_p, "offset_n": 0 * spread.offset_n}
    return dataclasses.replace(spread, **zeros)


def _bits(real: np.ndarray) -> np.ndarray:
    return np.asarray(real).astype(np.float16).view(np.uint16)


def _plain(
    chip: Chip, state: PcmState, config: TileConfig, x: np.ndarray, rx: np.ndarray | None
) -> np.ndarray:
    """Results as the tile's parts define them."""
    charges = Crossbar(state, 0).charges(x, config.read_mode, config.columns)
    p, n = adc.convert(charges, state, 0, config.read_mode, chip.adc.phase_limit)
    if rx is not None and rx.dtype == np.int8:
        rx = np.maximum(rx, -127)
    return ldpu.process(
        p, n, config.constants, config.relu_1, config.relu_2, rx, config.rx_scale,
        config.tx_binary16,
    )  # fmt: skip


def _compare(
    state: PcmState, config: TileConfig, x: np.ndarray, rx: np.ndarray | None, chip: Chip = TINY
) -> np.ndarray:
    """A batch in one piece (with a table from some block on), and again with all of it ready."""
    expected = _plain(chip, state, config, x, rx)
    tile = Tile(chip, state)
    for _ in range(2):
        got = tile.run(config, x, rx)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    return expected


def _config(rng: np.random.Generator, mode: ReadMode, unit: bool, **options) -> TileConfig:
    """Constants with gains of 1 and no offset, as the compiler makes them, or any."""
    config = random_config(rng, mode, TINY.array.rows, COLUMNS, **options)
    if unit:
        config.constants[:, :3] = RESETS[:3]
    return config


def _inputs(rng: np.random.Generator, count: int) -> np.ndarray:
    """Vectors of both signs, then of one, then zeros, small enough for few to saturate."""
    x = random_int8(rng, count, TINY.array.rows)
    x[: count // 8] //= 16
    x[count // 2 :] = np.abs(np.maximum(x[count // 2 :], -127))
    x[-count // 8 :] = 0
    return x


@pytest.mark.parametrize("unit", [True, False], ids=["gains of 1", "any constants"])
@pytest.mark.parametrize("kind", STATES)
@pytest.mark.parametrize("mode", ReadMode)
def test_all_flags(mode: ReadMode, kind: str, unit: bool) -> None:
    rng = np.random.default_rng(1)
    state, count = _state(kind), 2200  # some more than a table has counts
    x = _inputs(rng, count)
    sums = _bits(rng.normal(size=(count, COLUMNS)) * 40)
    for relu_1, relu_2, tx in FLAGS:
        flags = {"relu_1": relu_1, "relu_2": relu_2, "tx_binary16": tx}
        config = _config(rng, mode, unit, **flags)
        assert FastLdpu(config, 844).fits
        assert len(np.unique(_compare(state, config, x, None))) > 20
        for scale, binary16 in ((FP16_ONE, False), (0x34CD, False), (FP16_ONE, True)):
            options = {"rx_enable": True, "rx_scale": scale, "rx_binary16": binary16}
            config = _config(rng, mode, unit, **flags, **options)
            _compare(state, config, x, sums if binary16 else random_int8(rng, count, COLUMNS))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("tx", [False, True], ids=["int8", "binary16"])
@pytest.mark.parametrize("mode", ReadMode)
def test_any_rx_values(mode: ReadMode, tx: bool, scale: int) -> None:
    """NaN, infinities, subnormals and zeros of both signs are added as the LDPU adds them."""
    rng = np.random.default_rng(2)
    x = _inputs(rng, 2200)
    x[1500:] = 0
    rx = rng.integers(0, 1 << 16, (len(x), COLUMNS)).astype(np.uint16)
    rx[::3] &= SIGN  # zeros
    for unit, relu in product((True, False), (None, 1, 2)):
        config = _config(
            rng, mode, unit, relu_1=relu == 1, relu_2=relu == 2, rx_enable=True, rx_scale=scale,
            rx_binary16=True, tx_binary16=tx,
        )  # fmt: skip
        config.constants[::3, 4] = SIGN  # biases of -0
        config.constants[1::3, 4] = 0
        config.constants[::2, 3] |= SIGN
        config.constants[:9, 2] = 0
        _compare(_state("ideal"), config, x, rx)


@pytest.mark.parametrize("mode", ReadMode)
def test_any_constants(mode: ReadMode) -> None:
    """What can leave binary16 is left to the LDPU; what only just cannot is not."""
    rng = np.random.default_rng(3)
    x = _inputs(rng, 2000)
    rx = random_int8(rng, len(x), COLUMNS)
    fits = 0
    for attempt in range(40):
        config = _config(rng, mode, False, rx_enable=True, tx_binary16=bool(attempt % 2))
        if attempt % 4 < 2:
            config.constants[...] = rng.integers(0, 1 << 16, config.constants.shape)
        else:
            size = 2.0 ** rng.uniform(-26, rng.choice([5, 12]), config.constants.shape)
            config.constants[...] = _bits(size * rng.choice([-1, 1], size.shape))
        fits += FastLdpu(config, 844).fits
        _compare(_state("noise"), config, x, rx)
    assert 5 <= fits <= 30


@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.parametrize("limit", [1, 1023, 2047, formats.COUNT_MAX])
def test_other_limits(mode: ReadMode, limit: int) -> None:
    """Also such that tables would be too large, or counts not exact in binary16."""
    chip = TINY.model_copy(update={"adc": TINY.adc.model_copy(update={"phase_limit": limit})})
    rng = np.random.default_rng(4)
    state = _state("offsets")
    state = dataclasses.replace(state, gain_p=state.gain_p * 3, gain_n=state.gain_n * 2)
    state.codes[..., :2] |= 0xC0  # large sums
    x = _inputs(rng, 5000)
    x[:100] = 127
    for unit in (True, False):
        config = _config(rng, mode, unit, tx_binary16=True)
        config.constants[:, 3] = _bits(0.02)
        _compare(state, config, x, None, chip)


@pytest.mark.parametrize("mode", ReadMode)
def test_converters_at_extremes(mode: ReadMode) -> None:
    """Smallest and largest gains, offsets and noise, at extreme charges."""
    gains = (0, 1, (1 << formats.GAIN_BITS) - 1)
    offsets = (-(1 << 15), -1, 0, (1 << 15) - 1)
    noises = (0, 1, (1 << formats.NOISE_BITS) - 1)
    grid = np.stack(np.meshgrid(gains, gains, offsets, offsets, noises)).reshape(5, -1)
    charges = np.array([0, 1, -1, 255, -256, 16_580_520, -16_580_520], dtype=np.int32)
    windows, columns = len(formats.PHASES[mode]), grid.shape[1]
    if mode == ReadMode.FOUR_PHASE:
        charges = np.abs(charges)
    shifted = np.stack([np.roll(charges, window) for window in range(windows)])
    batch = np.repeat(shifted[:, :, np.newaxis], columns, axis=2)
    fields = dict(zip(("gain_p", "gain_n", "offset_p", "offset_n", "noise"), grid, strict=True))
    for noisy, offset in product((False, True), repeat=2):
        chosen = fields | ({} if noisy else {"noise": 0 * grid[4]})
        chosen |= {} if offset else {"offset_p": 0 * grid[2], "offset_n": 0 * grid[3]}
        kinds = {name: pcm_state.FIELDS[name].dtype for name in chosen}
        state = PcmState(
            chip="extreme", seed=5, codes=np.zeros((1, 1, columns, 4), dtype=np.uint8),
            **{name: each[np.newaxis].astype(kinds[name]) for name, each in chosen.items()},
        )  # fmt: skip
        for limit in (1, 422, 2047, formats.COUNT_MAX):
            expected = adc.convert(batch, state, 0, mode, limit, 9)
            fast = FastAdc(state, 0, columns, mode, limit)
            reads, shape = 9 + np.arange(len(charges)), batch.shape[1:]
            real = list(batch.astype(np.float32))
            for got, wanted in zip(fast.counters(real, shape, reads), expected, strict=True):
                np.testing.assert_array_equal(got, wanted)
            difference = expected[0].astype(int) - expected[1]
            np.testing.assert_array_equal(fast.difference(real, shape, reads), difference)


def test_windows_without_pulses_are_left_out_and_change_nothing() -> None:
    state = _state("noise")
    crossbar, rng = Crossbar(state, 0), np.random.default_rng(6)
    x = random_int8(rng, 30, TINY.array.rows)
    for mode, vectors in product(ReadMode, (x, np.abs(x // 2), -np.abs(x // 2), 0 * x, x[:0])):
        charges = crossbar.charges(vectors, mode, 5)
        driven = list(crossbar.driven(vectors, mode, 5))
        for charge, real in zip(charges, driven, strict=True):
            np.testing.assert_array_equal(charge, 0 if real is None else real)
            assert real is not None or not charge.any()
    assert sum(each is None for each in crossbar.driven(np.abs(x // 2), mode, 5)) == 2


def test_one_tile_takes_any_configuration() -> None:
    """Each differs from the one before in one respect; constants may be changed in place."""
    rng = np.random.default_rng(7)
    state, x = _state("noise"), _inputs(rng, 2200)
    base = _config(rng, ReadMode.FOUR_PHASE, True)
    rx = random_int8(rng, len(x), COLUMNS)
    tile = Tile(TINY, state)

    def check(config: TileConfig, count: int = len(x)) -> None:
        added = rx[:count] if config.rx_enable else None
        got = tile.run(config, x[:count], added)
        np.testing.assert_array_equal(got, _plain(TINY, state, config, x[:count], added))

    config = base
    for change in (
        {}, {"tx_binary16": True}, {"relu_1": True}, {"rx_enable": True}, {"rx_scale": 0x34CD},
        {"relu_2": True}, {"read_mode": ReadMode.ONE_PHASE}, {"tx_binary16": False},
        {"columns": 9, "constants": base.constants[:9]},
    ):  # fmt: skip
        config = dataclasses.replace(config, **change)
        if config.columns == 9:
            rx = rx[:, :9]
        check(config)
    for constant, value in ((0, 0x3C01), (1, 0x3C01), (2, 0x2000)):
        one = dataclasses.replace(base, constants=base.constants.copy())
        one.constants[:, constant] = value
        check(one)
    # A table is made of the constants that the tile was given, which are now another's.
    other = dataclasses.replace(base, constants=base.constants.copy())
    check(base, 100)
    base.constants[...] = base.constants[::-1].copy()
    check(other)
    check(base)


@pytest.mark.parametrize("scale", SCALES)
def test_every_count_with_every_rx_value(scale: int) -> None:
    """Where a sum that is rounded to a format too narrow, and then again, would be wrong."""
    rng, most = np.random.default_rng(9), TINY.adc.phase_limit
    config = _config(
        rng, ReadMode.ONE_PHASE, False, rx_enable=True, rx_scale=scale, tx_binary16=True
    )
    counts = np.repeat(np.arange(-most, most + 1), 255)[:, np.newaxis] + np.zeros(COLUMNS, int)
    rx = np.resize(np.arange(-127, 128, dtype=np.int8), len(counts))[:, np.newaxis]
    rx = np.broadcast_to(rx, counts.shape)
    p, n = np.maximum(counts, 0).astype(np.uint16), np.maximum(-counts, 0).astype(np.uint16)
    for tx in (True, False):
        config = dataclasses.replace(config, tx_binary16=tx)
        expected = ldpu.process(p, n, config.constants, False, False, rx, scale, tx)
        fast = FastLdpu(config, most)
        by_counters = fast.from_counters(p.astype(np.int32), n.astype(np.int32), rx)
        np.testing.assert_array_equal(by_counters, expected)
        assert fast.uses_difference(2 * most + 1)
        by_table = fast.from_difference(counts.astype(np.int32), rx)
        np.testing.assert_array_equal(by_table, expected)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_values_are_rounded_as_bits_are(kind: type) -> None:
    """All binary16 values, what is between them, a little off that, and subnormals."""
    every = np.arange(formats.FP16_INFINITY, dtype=np.uint16)
    values = fp16.values(every).astype(np.float64)
    between = (values[:-1] + values[1:]) / 2
    near = [between * (1 + sign * 2.0**-22) for sign in (-1, 0, 1)]
    real = np.concatenate([values, *near])
    if kind == np.float32:
        real = np.rint(real * 2.0**37) / 2.0**37  # as much as is told of it
    real = real.astype(kind)
    real = np.concatenate([real, -real])
    with np.errstate(over="ignore"):
        expected = real.astype(np.float16)
    np.testing.assert_array_equal(fp16.from_real(real), expected.view(np.uint16))
    for signed in (False, True):
        got = real.copy()
        fp16.nearest(got, signed)
        np.testing.assert_array_equal(got, expected.astype(kind))
        if signed:
            np.testing.assert_array_equal(np.signbit(got), np.signbit(real))


def test_a_sum_of_two_values_may_be_rounded_twice() -> None:
    """In binary32 first: around every midpoint, where that would be wrong if it could be."""
    rng = np.random.default_rng(8)
    a = rng.integers(0, formats.FP16_INFINITY, 400_000).astype(np.uint16)
    # Of all sizes, and about half of the last place of `a`, a little more or less.
    half = fp16.values(a + 1).astype(np.float64) - fp16.values(a)
    b = np.concatenate([
        rng.integers(0, 1 << 16, len(a) // 2).astype(np.uint16),
        _bits(half[len(a) // 2 :] / 2 * rng.choice([1, 1 - 2**-11, 1 + 2**-10], len(a) // 2)),
    ])  # fmt: skip
    b = np.where(b & ~np.uint16(SIGN) > formats.FP16_INFINITY, 1, b).astype(np.uint16)
    b ^= np.where(rng.random(len(b)) < 0.5, SIGN, 0).astype(np.uint16)
    got = fp16.from_real(fp16.values(a) + fp16.values(b))
    np.testing.assert_array_equal(got, fp16.fma(a, FP16_ONE, b))
