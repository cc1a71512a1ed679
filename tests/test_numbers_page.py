"""A second model, written from the words of docs/numbers.md alone, against the golden one.

Its arithmetic is Python's integers and fractions, and its constants are those on the page. Only the
tests at the end import the golden model: a change of the page, or of the code, makes them fail.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from caduceus.compiler.content import Matrix, Scaling
from caduceus.compiler.quantise import column_constants
from caduceus.golden.fast.gdpu import FastGdpu
from caduceus.golden.fast.tile import Tile
from caduceus.golden.reference import adc, convert, fp16, gdpu, read_noise, tile
from caduceus.golden.reference.pcm_array import Crossbar, reference_charges
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import GdpuConfig, TileConfig

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "numbers.md").read_text(encoding="utf-8")
WORD = 1 << 32
SIGN, INFINITY, NAN, ONE = 0x8000, 0x7C00, 0x7E00, 0x3C00


# --- what is on the page -------------------------------------------------------------------------
def section(title: str) -> str:
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)[1]


def table(text: str) -> list[list[str]]:
    """Cells of every row of the one table, without its heading."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


NOISE, TANH = section("Read noise"), section("GDPU")
MULTIPLIERS = [int(re.search(rf"hi\(0x(\w+) \* {word}\)", NOISE)[1], 16) for word in ("c0", "c2")]
KEY_STEPS = [int(each, 16) for each in re.findall(r"k[01] (?:grows )?by 0x(\w+)", NOISE)]
LEVELS = [int(each) for line in re.findall(r"^ {4}((?: *\d+){16})$", NOISE, re.M)
          for each in line.split()]  # fmt: skip
FACTOR = float(re.search(r"round\(([\d.]+) \*", NOISE)[1])
BINS = table(TANH)
THRESHOLDS = [int(row[1], 16) for row in BINS[1:]]
SLOPES, OFFSETS = ([int(row[place], 16) for row in BINS] for place in (3, 4))


# --- read noise and conversion -------------------------------------------------------------------
def philox(counter: Sequence[int], key: Sequence[int]) -> list[int]:
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        low, high = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = high // WORD ^ c1 ^ k0, high % WORD, low // WORD ^ c3 ^ k1, low % WORD
        k0, k1 = (k0 + KEY_STEPS[0]) % WORD, (k1 + KEY_STEPS[1]) % WORD
    return [c0, c1, c2, c3]


def sample(seed: int, number: int, read: int, window: int, column: int) -> int:
    word = philox((column // 4, read % WORD, number, window), (seed % WORD, seed // WORD))[
        column % 4
    ]
    return sum(
        LEVELS[byte] if byte < 128 else -LEVELS[byte - 128] for byte in word.to_bytes(4, "little")
    )


def counters(
    charges: Sequence[int], by_sign: bool, column: dict[str, int], noise: Sequence[int], limit: int
) -> tuple[int, int]:
    """P and N of one column after the windows of an MVM."""
    found = {"p": 0, "n": 0}
    for charge, z, counter in zip(charges, noise, "ppnn", strict=False):
        disturbed = z * column["noise"] << 14
        if by_sign:
            scaled = charge * column["gain_p" if charge >= 0 else "gain_n"] + disturbed
            counter = "p" if scaled >= 0 else "n"
            scaled = abs(scaled)
        else:
            scaled = abs(charge) * column[f"gain_{counter}"] + disturbed
        counted = scaled + (column[f"offset_{counter}"] << 24) >> 32
        found[counter] += min(max(counted, 0), limit)
    return min(found["p"], 4095), min(found["n"], 4095)


# --- binary16 ------------------------------------------------------------------------------------
def is_nan(bits: int) -> bool:
    return bits & ~SIGN > INFINITY


@cache
def value(bits: int) -> Fraction:
    """Of a finite number."""
    exponent, fraction = bits >> 10 & 31, bits & 1023
    magnitude = Fraction(1024 + fraction, 1 << 25) if exponent else Fraction(fraction, 1 << 24)
    return (-1 if bits & SIGN else 1) * magnitude * 2 ** max(exponent, 0)


def nearest(real: Fraction) -> int:
    """Bits of the nearest binary16, ties to even; +0 of 0."""
    if not real:
        return 0
    sign, real = (SIGN if real < 0 else 0), abs(real)
    step = Fraction(1, 1 << 24)
    while real >= 2048 * step:
        step *= 2
    steps = round(real / step)  # Python rounds a Fraction to nearest, ties to even
    # Exponent and fraction follow each other, so that rounding up carries by itself.
    place = (step * (1 << 24)).numerator.bit_length() - 1
    return sign | min((place << 10) + steps, INFINITY)


def multiply_add(a: int, b: int, c: int, minus: bool = False) -> int:
    """A * b + c, or c - a * b."""
    if any(map(is_nan, (a, b, c))):
        return NAN
    sign = (a ^ b ^ (SIGN if minus else 0)) & SIGN
    infinite = [each & ~SIGN == INFINITY for each in (a, b, c)]
    if infinite[0] or infinite[1]:
        zero = not (a & ~SIGN and b & ~SIGN)
        opposite = infinite[2] and c & SIGN != sign
        return NAN if zero or opposite else sign | INFINITY
    if infinite[2]:
        return c
    product = abs(value(a) * value(b)) * (-1 if sign else 1)
    total = product + value(c)
    if not total and not product:
        return sign & c  # of two zeros: -0 only if both are
    return nearest(total)


def relu(bits: int) -> int:
    return 0 if bits & SIGN else bits


def to_int8(bits: int) -> int:
    if is_nan(bits):
        return 0
    if bits & ~SIGN == INFINITY:
        return -127 if bits & SIGN else 127
    return min(max(round(value(bits)), -127), 127)


def from_int8(x: int) -> int:
    return nearest(Fraction(max(x, -127)))


# --- from real numbers to codes ------------------------------------------------------------------
def mapped(
    weight: Sequence[Sequence[float]], gmax: Sequence[int], per_core: bool
) -> tuple[list[list[int]], list[Fraction]]:
    """Cell codes [rows][columns], and the weight that each column's `gmax` stands for."""
    largest = [max(abs(Fraction(w)) for w in column) for column in zip(*weight, strict=True)]
    if per_core:
        largest = [max(largest)] * len(largest)
    codes = [
        [round(Fraction(w) * g / most) if most else 0
         for w, g, most in zip(row, gmax, largest, strict=True)]
        for row in weight
    ]  # fmt: skip
    return codes, largest


def column_scale(
    largest: Fraction, gmax: int, input_scale: float, output_scale: float, nominal_gain: int
) -> int:
    counts_per_charge = Fraction(nominal_gain, WORD)
    steps = Fraction(input_scale) * largest / (gmax * counts_per_charge * Fraction(output_scale))
    return nearest(steps) if steps >= Fraction(1, 1 << 14) else 0


# --- units ---------------------------------------------------------------------------------------
def column_result(p: int, n: int, constants: Sequence[int], config: TileConfig, rx: int) -> int:
    """Bits of an LDPU's result before it becomes INT8; `rx` in binary16."""
    gain_p, gain_n, offset, scale, bias = constants
    v = multiply_add(nearest(Fraction(p)), gain_p, offset)
    v = multiply_add(nearest(Fraction(n)), gain_n, v, minus=True)
    v = multiply_add(v, scale, bias)
    v = relu(v) if config.relu_1 else v
    v = multiply_add(rx, config.rx_scale if config.rx_enable else 0, v)
    return relu(v) if config.relu_2 else v


def tanh(x: int) -> int:
    if is_nan(x):
        return NAN
    real = value(x) if x & ~SIGN != INFINITY else Fraction(1 << 20) * (-1 if x & SIGN else 1)
    number = bisect_right(THRESHOLDS, real, key=value)  # the thresholds that x is not below
    return multiply_add(SLOPES[number], 0 if number in (0, 17) else x, OFFSETS[number])


def unit_step(config: GdpuConfig, z: Sequence[int], cell: int) -> tuple[int, int]:
    """Hidden state, INT8, and cell state of an LSTM unit after a step."""
    half, gates = 0x3800, []
    for gate in range(4):
        x = multiply_add(from_int8(z[gate]), config.input_scale[gate], config.input_offset[gate])
        sigmoid = gate != 1
        gates.append(multiply_add(tanh(x), half if sigmoid else ONE, half if sigmoid else 0))
    i, a, f, o = gates
    cell = multiply_add(f, cell, multiply_add(i, a, 0))
    h = multiply_add(o, tanh(cell), 0)
    return to_int8(multiply_add(h, config.output_scale, config.output_offset)), cell


# --- against the golden model --------------------------------------------------------------------
def test_the_page_has_all_its_numbers() -> None:
    assert len(MULTIPLIERS) == len(KEY_STEPS) == 2 and len(LEVELS) == 128
    assert [int(row[0]) for row in BINS] == list(range(18)) and len(THRESHOLDS) == 17
    for row in BINS[1:]:
        assert float(row[2]) == pytest.approx(float(value(int(row[1], 16))), rel=5e-4)
    normal = NormalDist()
    assert [round(FACTOR * normal.inv_cdf((128.5 + k) / 256)) for k in range(128)] == LEVELS
    deviation = (sum(2 * level**2 for level in LEVELS) / 64) ** 0.5
    assert f"standard deviation {deviation:.1f}" in " ".join(NOISE.split())


def test_the_page_s_tables_are_whole() -> None:
    """An empty line ends a table in Markdown: what follows would be no row."""
    lines = PAGE.splitlines()
    for number, line in enumerate(lines[1:-1], 1):
        if not line:
            assert not (lines[number - 1].startswith("|") and lines[number + 1].startswith("|"))


@pytest.mark.parametrize("seed", range(4))
def test_samples_of_read_noise(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(60):
        key = int(random.integers(1 << 64, dtype=np.uint64))
        number, window = int(random.integers(64)), int(random.integers(4))
        read, columns = int(random.integers(WORD)), int(random.integers(1, 257))
        read = [read, WORD - 1, 0][random.integers(3)]
        found = read_noise.samples(key, number, [read, (read + 1) % WORD], window, columns)
        for row, index in zip(found.tolist(), (read, read + 1), strict=True):
            for column in {0, columns - 1, *random.integers(0, columns, 3).tolist()}:
                assert row[column] == sample(key, number, index, window, column)


def _state(random: np.random.Generator, chip: Chip, tiles: int) -> PcmState:
    """Any devices, and converters around the nominal one."""
    columns = tiles, chip.array.columns
    gains = (chip.nominal_gain * random.uniform(0.5, 1.5, (2, *columns))).astype(np.uint32)
    offsets = random.integers(-2000, 2001, (2, *columns)).astype(np.int16)
    return PcmState(
        chip=chip.name, seed=int(random.integers(1 << 64, dtype=np.uint64)),
        codes=random.integers(0, 256, (tiles, chip.array.rows, chip.array.columns, 4), np.uint8),
        gain_p=gains[0], gain_n=gains[1], offset_p=offsets[0], offset_n=offsets[1],
        noise=random.integers(0, 3000, columns).astype(np.uint16),
    )  # fmt: skip


def _charges(x: Sequence[int], cells: np.ndarray, mode: ReadMode) -> list[int]:
    """Of the windows of an MVM, for one column's devices, [rows, 4]."""
    found = [0] * 4
    for activation, (g1, g2, g3, g4) in zip(x, cells.tolist(), strict=True):
        slots = max(activation, -127)
        if mode is ReadMode.ONE_PHASE:
            found[0] += slots * (g1 + g2 - g3 - g4)
        elif slots > 0:
            found[0] += slots * (g1 + g2)
            found[2] += slots * (g3 + g4)
        else:
            found[1] -= slots * (g3 + g4)
            found[3] -= slots * (g1 + g2)
    return found[:1] if mode is ReadMode.ONE_PHASE else found


@pytest.mark.parametrize("mode", list(ReadMode))
@pytest.mark.parametrize("first", [0, WORD - 2])
def test_counters_with_noise(mode: ReadMode, first: int) -> None:
    """Both golden models, across the end of the read indices; -128 among the inputs."""
    random = np.random.default_rng(first % 97)
    chip, by_sign = Chip.find("tiny"), mode is ReadMode.ONE_PHASE
    state, number, limit = _state(random, chip, 3), 2, chip.adc.phase_limit
    rows, columns = chip.array.rows, chip.array.columns
    x = random.integers(-128, 128, (4, rows), dtype=np.int8)
    x[0, :3] = -128
    constants = np.zeros((columns, 5), np.uint16)
    for reference in (0, 300, -300):
        if reference:
            charges = [[128 * reference] * (1 if by_sign else 4)] * columns
            golden = reference_charges(reference, mode, len(x), columns)
        else:
            golden = Crossbar(state, number).charges(x, mode)
        config = TileConfig(mode, rows, columns, constants)
        fast = Tile(chip, state, number).counts(config, x, first, reference)
        slow = adc.convert(golden, state, number, mode, limit, first)
        for read, vector in enumerate(x.tolist()):
            if not reference:
                charges = [
                    _charges(vector, state.codes[number, :, column], mode)
                    for column in range(columns)
                ]
            for column in range(columns):
                one = {
                    name: int(getattr(state, name)[number, column])
                    for name in ("gain_p", "gain_n", "offset_p", "offset_n", "noise")
                }
                noise = [
                    sample(state.seed, number, first + read, window, column) for window in range(4)
                ]
                expected = counters(charges[column], by_sign, one, noise, limit)
                for p, n in (fast, slow):
                    assert (int(p[read, column]), int(n[read, column])) == expected


def _interesting(random: np.random.Generator, count: int) -> list[int]:
    """Any bits, and often those at an edge."""
    edges = [0, SIGN, 1, SIGN | 1, 0x3FF, 0x400, 0x7BFF, 0xFBFF, INFINITY, SIGN | INFINITY, NAN,
             0xFE01, ONE, 0x3800]  # fmt: skip
    found = random.integers(0, 1 << 16, count)
    return np.where(random.random(count) < 0.2, random.choice(edges, count), found).tolist()


def test_multiply_add() -> None:
    random = np.random.default_rng(1)
    a, b, c = (_interesting(random, 6000) for _ in range(3))
    for minus in (False, True):
        found = fp16.fma(*(np.array(each, np.uint16) for each in (a, b, c)), minus).tolist()
        for *operands, got in zip(a, b, c, found, strict=True):
            assert got == multiply_add(*operands, minus), [hex(each) for each in operands]


def test_conversions() -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    assert convert.to_int8(every).tolist() == [to_int8(bits) for bits in range(1 << 16)]
    counts = np.arange(4096, dtype=np.uint16)
    assert convert.from_uint12(counts).tolist() == [nearest(Fraction(n)) for n in range(4096)]


def test_tanh_of_every_value() -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    assert gdpu.tanh(every).tolist() == [tanh(bits) for bits in range(1 << 16)]
    assert tanh(0) == tanh(SIGN) == 0x196F
    assert "give\n  0x196F" in TANH


def test_results_of_columns() -> None:
    """Constants of any bits, RX of both kinds, and -128 among its values, in both golden models."""
    random = np.random.default_rng(2)
    chip = Chip.find("tiny").model_copy(
        update={"link": Chip.find("tiny").link.model_copy(update={"partial_sums": "binary16"})}
    )
    rows, columns, count = chip.array.rows, chip.array.columns, 5
    state = _state(random, chip, 1)
    x = random.integers(-127, 128, (count, rows), dtype=np.int8)
    for number in range(24):
        strange = np.array(_interesting(random, 5 * columns), np.uint16).reshape(columns, 5)
        usual = random.uniform(-1, 1, strange.shape).astype(np.float16).view(np.uint16)
        constants = np.where(random.random(strange.shape) < 0.1, strange, usual)
        wide = bool(number & 1)
        config = TileConfig(
            ReadMode.FOUR_PHASE, rows, columns, constants, bool(number & 2), bool(number & 4),
            rx_enable=number % 3 > 0, rx_scale=_interesting(random, 1)[0], rx_binary16=wide,
            tx_binary16=wide,
        )  # fmt: skip
        rx, added = None, np.zeros((count, columns), int)
        if config.rx_enable:
            if wide:
                rx = np.array(_interesting(random, added.size), np.uint16).reshape(added.shape)
            else:
                rx = random.integers(-128, 128, added.shape, dtype=np.int8)
                rx[:, ::3] = -128
            added = rx.astype(int)
        p, n = (each.astype(int).tolist() for each in Tile(chip, state).counts(config, x))
        found = (
            Tile(chip, state).run(config, x, rx),
            tile.run(chip, state, 0, config, x, rx),
        )
        for vector in range(count):
            for column in range(columns):
                addend = int(added[vector, column])
                bits = column_result(
                    p[vector][column], n[vector][column], constants[column].tolist(), config,
                    addend if wide else from_int8(addend),
                )  # fmt: skip
                for got in found:
                    assert got[vector, column] == (bits if wide else to_int8(bits))


@pytest.mark.parametrize("per_core", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_codes_and_scales_of_a_layer(seed: int, per_core: bool) -> None:
    """Columns of very different weights, one of zeros and one of next to nothing included."""
    random, chip = np.random.default_rng(seed), Chip.find("tiny")
    columns, rows = 12, 9
    factors = 10.0 ** random.uniform(-1.5, 1.5, columns)
    factors[:2] = 0, 1e-9
    weight = (random.normal(0, 1, (rows, columns)) * factors).astype(np.float32)
    bias = random.normal(0, 1, columns).astype(np.float32)
    gmax = np.full(columns, 300) if per_core else random.integers(1, 511, columns)
    matrix = Matrix(
        "here", weight, bias, Scaling(per_core=per_core).code(300, gmax.astype(np.uint16)), 0.01,
        0.05, per_core,
    )  # fmt: skip
    codes, largest = mapped(weight.tolist(), gmax.tolist(), per_core)
    assert matrix.cells.tolist() == codes
    found = column_constants(matrix.steps, bias, chip)
    scales = [
        column_scale(each, int(code), 0.01, 0.05, chip.nominal_gain)
        for each, code in zip(largest, gmax, strict=True)
    ]
    assert found[:, 3].tolist() == scales and (per_core or scales[:2] == [0, 0])
    assert found[:, 4].tolist() == [nearest(Fraction(b) / Fraction(0.05)) for b in bias.tolist()]
    assert (found[:, :3] == [ONE, ONE, 0]).all()


def test_steps_of_units() -> None:
    """Constants of any bits, and -128 as a pre-activation, in both golden models."""
    random = np.random.default_rng(3)
    for _ in range(30):
        usual = random.uniform(-0.05, 0.05, 10).astype(np.float16).view(np.uint16)
        strange = random.random(10) < 0.15
        words = np.where(strange, _interesting(random, 10), usual).tolist()
        config = GdpuConfig(6, tuple(words[:4]), tuple(words[4:8]), words[8], words[9])
        z = random.integers(-128, 128, (3, 24), dtype=np.int8)
        z[:, ::5] = -128
        cell = np.array(_interesting(random, 18), np.uint16).reshape(3, 6)
        expected = [
            [unit_step(config, z[n, 4 * u : 4 * u + 4].tolist(), int(cell[n, u])) for u in range(6)]
            for n in range(3)
        ]
        for hidden, after in (gdpu.step(config, z, cell), FastGdpu(config).step(z, cell)):
            got = np.stack([hidden.astype(int), after.astype(int)], axis=-1)
            assert got.tolist() == [[list(pair) for pair in row] for row in expected]
