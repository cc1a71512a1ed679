"""The compiled loops' own arithmetic against its definitions, and how they are compiled."""

import dataclasses
import hashlib
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numba
import numpy as np
import pytest
from golden_reference import SIGN, random_config, random_state, tiny

from caduceus.golden.fast import kernels, philox, prepare, simd
from caduceus.golden.fast.__main__ import compile_loops
from caduceus.golden.fast.gdpu import FastGdpu
from caduceus.golden.fast.tile import Tile
from caduceus.golden.reference import convert, fp16, gdpu
from caduceus.spec import formats
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import GdpuConfig

TINY = tiny()
EVERY = np.arange(1 << formats.FP16_BITS).astype(np.uint16)


@numba.njit
def _all_rounded(real: np.ndarray, rounded: np.ndarray) -> None:
    for i in range(real.size):
        rounded[i] = kernels._rounded(real[i])


@numba.njit
def _all_bits(values: np.ndarray, bits: np.ndarray) -> None:
    for i in range(values.size):
        bits[i] = kernels._bits(values[i])


@numba.njit
def _all_values(bits: np.ndarray, values: np.ndarray) -> None:
    for i in range(bits.size):
        values[i] = kernels._value(bits[i])


@numba.njit
def _all_int8(values: np.ndarray, int8: np.ndarray) -> None:
    for i in range(values.size):
        int8[i] = kernels._int8(values[i], 127.0)


@numba.njit
def _all_relu(values: np.ndarray, result: np.ndarray) -> None:
    for i in range(values.size):
        result[i] = kernels._relu(values[i])


def _same(got: np.ndarray, expected: np.ndarray) -> None:
    """Also of the signs of zeros."""
    np.testing.assert_array_equal(got, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(expected)[numbers])


def test_every_binary16_number() -> None:
    values = fp16.values(EVERY).astype(np.float64)
    found, bits, int8 = np.empty_like(values), np.empty_like(EVERY), np.empty(len(EVERY), np.int8)
    _all_values(EVERY, found)
    _same(found, values)
    _all_bits(values, bits)
    np.testing.assert_array_equal(bits, np.where(np.isnan(values), formats.FP16_NAN, EVERY))
    _all_int8(values, int8)
    np.testing.assert_array_equal(int8, convert.to_int8(EVERY))
    _all_rounded(values, found)
    _same(found, values)
    # A NaN that comes out of a unit has no sign bit.
    proper = EVERY[~np.isnan(values) | (EVERY == formats.FP16_NAN)]
    found = np.empty(len(proper))
    _all_relu(fp16.values(proper).astype(np.float64), found)
    _same(found, fp16.values(fp16.relu(proper)).astype(np.float64))


def test_rounding() -> None:
    """What is between binary16 numbers, a little off that, subnormals, and beyond the largest."""
    values = fp16.values(EVERY[: formats.FP16_INFINITY]).astype(np.float64)
    between = (values[:-1] + values[1:]) / 2
    near = [between * (1 + sign * 2.0**-22) for sign in (-1, 0, 1)]
    beyond = [65519.999, 65520.0, 65520.001, 65536.0, 1e9, np.inf]
    tiny = np.arange(5) * 2.0**-26
    real = np.concatenate([values, *near, beyond, tiny])
    real = np.concatenate([real, -real, [np.nan]])
    with np.errstate(over="ignore"):
        expected = real.astype(np.float16).astype(np.float64)
    found = np.empty_like(real)
    _all_rounded(real, found)
    _same(found, expected)


def _gdpu_config(rng: np.random.Generator, units: int) -> GdpuConfig:
    def near(value: float, count: int) -> tuple[int, ...]:
        drawn = rng.normal(value, 0.3 * abs(value) + 0.01, count)
        return tuple(drawn.astype(np.float16).view(np.uint16).tolist())

    return GdpuConfig(units, near(0.03, 4), near(0.0, 4), near(127, 1)[0], near(0.0, 1)[0])


@pytest.mark.parametrize("wild", [False, True])
def test_lstm_units(wild: bool) -> None:
    """Any constants and any cell state, infinities and NaN included."""
    rng = np.random.default_rng(1)
    for units in (1, 3, 64, 200):
        config = _gdpu_config(rng, units)
        cell = rng.normal(size=(300, units)).astype(np.float16).view(np.uint16)
        if wild:
            drawn = [int(each) for each in rng.integers(0, 1 << 16, 10)]
            config = GdpuConfig(units, tuple(drawn[:4]), tuple(drawn[4:8]), *drawn[8:])
            cell = rng.integers(0, 1 << 16, (300, units)).astype(np.uint16)
            cell[::3] &= SIGN
        fast = FastGdpu(config)
        for _ in range(3):
            gates = rng.integers(-128, 128, (len(cell), 4 * units)).astype(np.int8)
            hidden, after = gdpu.step(config, gates, cell)
            got = fast.step(gates, cell)
            np.testing.assert_array_equal(got[0], hidden)
            np.testing.assert_array_equal(got[1], after)
            cell = after


def test_a_slice_without_units_is_refused() -> None:
    with pytest.raises(UserError, match="units: got 0, expected 1 or more"):
        FastGdpu(GdpuConfig(0, (0,) * 4, (0,) * 4, 0, 0))


def test_compiled_without_a_place_to_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is compiled anew by every process, and does the same."""
    asked = []

    def refusing(**options: bool) -> object:
        asked.append(options)
        if options.get("cache"):
            raise RuntimeError("cannot cache function")
        return numba.njit(**options)

    monkeypatch.setattr(kernels, "njit", refusing)

    def twice(value: float) -> float:
        return 2 * value

    assert kernels._entry(twice)(21.0) == 42
    assert [options.get("cache", False) for options in asked] == [True, False]


def test_compiled_once_for_whatever_a_tile_does() -> None:
    """What the set-up compiles is all that a run needs."""
    compile_loops()
    state = random_state(TINY, seed=1)
    rows, columns = state.rows - 1, state.columns
    for mode, binary16, first in product(ReadMode, (False, True), (3, np.arange(5))):
        config = random_config(
            np.random.default_rng(2), mode, rows, columns, rx_enable=True, rx_binary16=binary16,
            tx_binary16=binary16,
        )  # fmt: skip
        x = np.ones((5, state.rows), np.int8)[:, :rows]
        rx = np.zeros((5, columns), np.uint16 if binary16 else np.int8)
        rx.setflags(write=False)
        tile = Tile(TINY, state)
        tile.run(config, x, rx, first)
        tile.run(dataclasses.replace(config, rx_enable=False, rx_binary16=False), x, reference=5)
        tile.counts(config, x, first)
    assert len(kernels.tile.nopython_signatures) == len(kernels.lstm.nopython_signatures) == 1


def test_golden_model_loads_without_compiler() -> None:
    """Commands that compute nothing do not wait for numba."""
    modules = "sys, caduceus.golden.fast.tile, caduceus.golden.machine"
    code = f"import {modules}; print('numba' in sys.modules)"
    root = Path(__file__).resolve().parent.parent
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert run.stdout.strip() == "False", run.stderr


def test_kernels_change_with_what_they_are_compiled_from() -> None:
    """Machine code is kept until the file of the loops changes."""
    parts = b"".join(Path(part.__file__).read_bytes() for part in (philox, simd))
    digest = hashlib.sha256(parts).hexdigest()[:16]
    assert digest == kernels.PARTS, f'kernels.py: expected PARTS = "{digest}"'
    assert kernels.VECTOR == prepare.VECTOR


def test_the_same_bits_without_vector_instructions(tmp_path: Path) -> None:
    """As on a processor that has none but those of every x86-64."""
    root = Path(__file__).resolve().parent
    names = "any_memory_layout", "windows_without_pulses", "every_window_product"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0",
         "-k", " or ".join(names), root / "test_golden_fast.py"],
        env=os.environ
        | {"NUMBA_CPU_NAME": "generic", "NUMBA_OPT": "1", "NUMBA_CACHE_DIR": str(tmp_path)},
        cwd=root.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
