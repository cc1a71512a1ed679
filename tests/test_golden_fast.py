"""`caduceus.golden.fast` equals `caduceus.golden.reference`, for any settings of a tile."""

import dataclasses
from itertools import product

import numba
import numpy as np
import pytest
from golden_reference import SIGN, random_config, random_int8, random_state, tiny
from hypothesis import given, settings
from hypothesis import strategies as some

from caduceus.golden.fast import kernels, philox, prepare
from caduceus.golden.fast.arguments import Analog, Digital, Noise
from caduceus.golden.fast.tile import Tile
from caduceus.golden.reference import adc, fp16, ldpu
from caduceus.golden.reference import tile as reference_tile
from caduceus.golden.reference.pcm_array import Crossbar
from caduceus.spec import formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import FP16_ONE, ReadMode
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import TileConfig

TINY = tiny()
COLUMNS = TINY.array.columns - 2
RESETS = tuple(constant.reset for constant in formats.COLUMN_CONSTANTS)
STATES = ("ideal", "gains", "offsets", "noise")
FLAGS = tuple(product((False, True), repeat=3))
"""ReLU before and after the RX addition, results in binary16."""
SCALES = (FP16_ONE, 0x34CD, 0xBC00, 0, 0x7BFF, 0x0C08)
"""1, 0.3, -1, 0, the largest, and one of which 127 are a little less than 1 / 32."""


@numba.njit
def _converted(
    charges: np.ndarray, driven: np.ndarray, reads: np.ndarray, analog: Analog, noise: Noise
) -> np.ndarray:
    """Counters [2, n, columns filled up] for charges [windows, n, columns filled up]."""
    windows, vectors, columns = charges.shape
    samples = np.zeros(max(noise.tables.size, windows * columns), dtype=np.int32)
    counts, values = np.empty((2, columns), dtype=np.int32), np.empty((2, columns))
    found = np.empty((2, vectors, columns), dtype=np.int32)
    for v in range(vectors):
        if noise.there:
            philox.draw(reads[v], noise, samples)
        of_windows = samples[: windows * columns].reshape(windows, columns)
        kernels._convert(charges, v, driven, of_windows, analog, values, counts)
        found[:, v] = counts
    return found


@numba.njit
def _processed(
    counters: np.ndarray, bounded: bool, digital: Digital, rx: np.ndarray,
    int8: np.ndarray, binary16: np.ndarray,
) -> None:  # fmt: skip
    """Fill in results for counters [2, n, columns filled up]."""
    _, vectors, columns = counters.shape
    values, none = np.empty((2, columns)), np.empty((0, 0), dtype=np.uint16)
    for v in range(vectors):
        counts = counters[:, v].copy()
        if bounded:
            kernels._bounded(counts, v, digital, rx, values, int8)
        else:
            kernels._process(counts, v, digital, rx, none, values, int8, binary16)


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


def _compare(
    state: PcmState, config: TileConfig, x: np.ndarray, rx: np.ndarray | None, chip: Chip = TINY
) -> np.ndarray:
    expected = reference_tile.run(chip, state, 0, config, x, rx)
    got = Tile(chip, state).run(config, x, rx)
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
    state, count = _state(kind), 400
    x = _inputs(rng, count)
    sums = _bits(rng.normal(size=(count, COLUMNS)) * 40)
    for relu_1, relu_2, tx in FLAGS:
        flags = {"relu_1": relu_1, "relu_2": relu_2, "tx_binary16": tx}
        config = _config(rng, mode, unit, **flags)
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
    x = _inputs(rng, 500)
    x[350:] = 0
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
    """Infinities and NaN among the constants, overflow, and what only just does not."""
    rng = np.random.default_rng(3)
    x = _inputs(rng, 400)
    rx = random_int8(rng, len(x), COLUMNS)
    kinds = []
    for attempt in range(40):
        config = _config(rng, mode, False, rx_enable=True, tx_binary16=bool(attempt % 2))
        if attempt % 4 < 2:
            config.constants[...] = rng.integers(0, 1 << 16, config.constants.shape)
        else:
            size = 2.0 ** rng.uniform(-26, rng.choice([5, 12]), config.constants.shape)
            config.constants[...] = _bits(size * rng.choice([-1, 1], size.shape))
        results = _compare(_state("noise"), config, x, rx)
        if config.tx_binary16:
            magnitudes = results & ~np.uint16(SIGN)
            kinds.append(np.sign(magnitudes.astype(int) - formats.FP16_INFINITY))
    every, counts = np.unique(np.stack(kinds), return_counts=True)
    assert list(every) == [-1, 0, 1]  # numbers, infinities, NaN
    assert counts.min() > 1000


@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.parametrize("limit", [1, 1023, 2047, formats.COUNT_MAX])
def test_other_limits(mode: ReadMode, limit: int) -> None:
    """Also such that counters saturate, or are not exact in binary16."""
    chip = TINY.model_copy(update={"adc": TINY.adc.model_copy(update={"phase_limit": limit})})
    rng = np.random.default_rng(4)
    state = _state("offsets")
    state = dataclasses.replace(state, gain_p=state.gain_p * 3, gain_n=state.gain_n * 2)
    state.codes[..., :2] |= 0xC0  # large sums
    x = _inputs(rng, 500)
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
        fast_noise = prepare.noise(state, 0, mode, columns)
        reads = 9 + np.arange(len(charges), dtype=np.uint32)
        for limit in (1, 422, 2047, formats.COUNT_MAX):
            analog = prepare.analog(Crossbar(state, 0), state, 0, mode, 1, columns, limit)
            for driven in {(1 << windows) - 1, 0, 5 & (1 << windows) - 1}:
                there = np.array([bool(driven >> window & 1) for window in range(windows)])
                real = there[:, np.newaxis, np.newaxis] * batch
                expected = adc.convert(real.astype(np.int32), state, 0, mode, limit, 9)
                padded = np.pad(batch, ((0, 0), (0, 0), (0, -columns % prepare.VECTOR)))
                got = _converted(padded, there, reads, analog, fast_noise)
                np.testing.assert_array_equal(got[..., :columns], expected)


@pytest.mark.parametrize("mode", ReadMode)
def test_windows_without_pulses_have_noise_and_offsets(mode: ReadMode) -> None:
    """Some of a batch's blocks have pulses of one sign only, or none."""
    rng = np.random.default_rng(6)
    x = random_int8(rng, 30, TINY.array.rows)
    blocks = [x, np.abs(x // 2), -np.abs(x // 2), 0 * x, x]
    config = _config(rng, mode, False)
    for kind in STATES:
        for batch in (np.concatenate(blocks), x[:0], *blocks):
            _compare(_state(kind), config, batch, None)


def test_one_tile_takes_any_configuration() -> None:
    """Each differs from the one before in one respect; constants may be changed in place."""
    rng = np.random.default_rng(7)
    state, x = _state("noise"), _inputs(rng, 100)
    base = _config(rng, ReadMode.FOUR_PHASE, True)
    rx = random_int8(rng, len(x), COLUMNS)
    tile = Tile(TINY, state)

    def check(config: TileConfig, count: int = len(x)) -> None:
        added = rx[:count] if config.rx_enable else None
        got = tile.run(config, x[:count], added)
        np.testing.assert_array_equal(
            got, reference_tile.run(TINY, state, 0, config, x[:count], added)
        )

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
    # What is prepared is made of the constants that the tile was given, which are now another's.
    other = dataclasses.replace(base, constants=base.constants.copy())
    check(base, 10)
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
    rx = np.ascontiguousarray(np.broadcast_to(rx, counts.shape))
    p, n = np.maximum(counts, 0).astype(np.uint16), np.maximum(-counts, 0).astype(np.uint16)
    seen = set()
    for tx in (True, False):
        config = dataclasses.replace(config, tx_binary16=tx)
        expected = ldpu.process(p, n, config.constants, False, False, rx, scale, tx)
        digital = prepare.digital(config, TINY.adc.phase_limit)
        counters = np.array([p, n], dtype=np.int32)
        counters = np.pad(counters, ((0, 0), (0, 0), (0, -COLUMNS % prepare.VECTOR)))
        none = np.empty((0, 0), np.int8), np.empty((0, 0), np.uint16)
        for bounded in {False, digital.bounded and not tx}:
            got = np.empty_like(expected)
            results = (none[0], got) if tx else (got, none[1])
            _processed(counters, bounded, digital, rx, *results)
            np.testing.assert_array_equal(got, expected)
            seen.add((bounded, tx))
    assert len(seen) == (3 if abs(float(fp16.values(scale))) < 100 else 2)


BITS = some.integers(0, (1 << formats.FP16_BITS) - 1)


@settings(max_examples=300, deadline=None)
@given(data=some.data())
def test_any_tile_any_configuration_any_vectors(data: some.DataObject) -> None:
    """Any settings of a tile, and whatever its devices and converters are."""
    rng = np.random.default_rng(data.draw(some.integers(0, 1 << 32), label="seed"))
    rows = data.draw(some.integers(1, TINY.array.rows), label="rows")
    columns = data.draw(some.integers(1, TINY.array.columns), label="columns")
    mode = data.draw(some.sampled_from(ReadMode), label="mode")
    relu_1, relu_2, rx_enable, rx_binary16, tx_binary16 = (
        data.draw(some.booleans(), label=name)
        for name in ("relu_1", "relu_2", "rx_enable", "rx_binary16", "tx_binary16")
    )
    config = random_config(
        rng, mode, rows, columns, relu_1=relu_1, relu_2=relu_2, rx_enable=rx_enable,
        rx_binary16=rx_binary16 and rx_enable, tx_binary16=tx_binary16,
        rx_scale=data.draw(BITS, label="rx_scale"),
    )  # fmt: skip
    wild = data.draw(some.integers(0, columns), label="columns with any constants")
    config.constants[:wild] = rng.integers(0, 1 << 16, (wild, 5))
    limit = data.draw(some.integers(1, formats.COUNT_MAX), label="phase_limit")
    chip = TINY.model_copy(update={"adc": TINY.adc.model_copy(update={"phase_limit": limit})})
    state = _state(data.draw(some.sampled_from(STATES), label="state"))
    count = data.draw(some.integers(0, 70), label="vectors")
    x = random_int8(rng, count, rows)
    low, high = sorted(data.draw(some.tuples(*[some.integers(-128, 127)] * 2), label="range"))
    x = np.clip(x, low, high)
    reads = rng.integers(0, 1 << 40, count)
    first = data.draw(some.sampled_from([0, 3, (1 << 32) - 2, reads]), label="first_read")
    rx = None
    if rx_enable:
        bits = rng.integers(0, 1 << 16, (count, columns)).astype(np.uint16)
        rx = bits if rx_binary16 else random_int8(rng, count, columns)
    tile = Tile(chip, state)
    wanted = reference_tile.run(chip, state, 0, config, x, rx, first)
    np.testing.assert_array_equal(tile.run(config, x, rx, first), wanted)
    np.testing.assert_array_equal(
        tile.counts(config, x, first), reference_tile.counts(chip, state, 0, config, x, first)
    )


@pytest.mark.parametrize("mode", ReadMode)
def test_any_memory_layout(mode: ReadMode) -> None:
    """Vectors may be read-only, or be parts of something else, and are left as they are."""
    rng = np.random.default_rng(10)
    config = _config(rng, mode, False, rx_enable=True, rx_scale=FP16_ONE)
    state, rows = _state("noise"), TINY.array.rows
    x, rx = random_int8(rng, 40, rows), random_int8(rng, 40, COLUMNS)
    x[0], rx[0] = -128, -128
    expected = reference_tile.run(TINY, state, 0, config, x, rx)
    tile = Tile(TINY, state)
    wide = np.zeros((2, 40, rows + COLUMNS), dtype=np.int8)
    wide[1, :, :rows], wide[1, :, rows:] = x, rx
    fixed = x.copy(), rx.copy()
    for each in fixed:
        each.setflags(write=False)
    layouts = ((x, rx), fixed, (wide[1, :, :rows], wide[1, :, rows:]),
               (np.asfortranarray(x), np.asfortranarray(rx)))  # fmt: skip
    for one, other in layouts:
        before = one.copy(), other.copy()
        np.testing.assert_array_equal(tile.run(config, one, other), expected)
        np.testing.assert_array_equal(one, before[0])
        np.testing.assert_array_equal(other, before[1])


@pytest.mark.parametrize("mode", ReadMode)
def test_every_window_product(mode: ReadMode) -> None:
    """Sums of products are exact at their largest, for numbers of rows and columns of any kind."""
    rng = np.random.default_rng(12)
    chip = Chip.find("hermes")
    codes = rng.integers(0, 256, (1, chip.array.rows, chip.array.columns, 4)).astype(np.uint8)
    codes[0, :, 0], codes[0, :, 1] = (255, 255, 0, 0), (0, 0, 255, 255)
    gain = 1 << formats.GAIN_FRACTION - 13  # the largest charge makes 2024 counts
    ideal = pcm_state.ideal(chip, codes)
    state = dataclasses.replace(
        ideal, gain_p=np.full_like(ideal.gain_p, gain), gain_n=np.full_like(ideal.gain_n, gain)
    )
    chip = chip.model_copy(update={"adc": chip.adc.model_copy(update={"phase_limit": 2047})})
    for rows, columns in ((1, 1), (2, 16), (7, 17), (255, 33), (256, 256)):
        config = random_config(rng, mode, rows, columns)
        x = random_int8(rng, 11, rows)
        x[0], x[1], x[2] = 127, -127, -128
        tile = Tile(chip, state)
        expected = reference_tile.counts(chip, state, 0, config, x)
        np.testing.assert_array_equal(tile.counts(config, x), expected)
        assert max(map(np.max, expected)) == (2024 if rows == 256 else np.max(expected))
