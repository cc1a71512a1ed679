"""Codes of the largest weights saturate no converter; scales of columns undo them."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from caduceus.compiler.content import Matrix
from caduceus.compiler.quantise import cell_codes, column_constants, largest_weights
from caduceus.importers.gmax import column_gmax, layer_gmax
from caduceus.spec import formats
from caduceus.spec.chip import Chip

HERMES, TINY = Chip.find("hermes"), Chip.find("tiny")
SCALE = next(each.index for each in formats.COLUMN_CONSTANTS if each.name == "scale")


def _constants(matrix: Matrix) -> np.ndarray:
    return column_constants(matrix.steps, matrix.bias, HERMES)[:, SCALE].view(np.float16)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(-6, 6), min_size=1, max_size=12),
    st.integers(1, formats.CELL_MAX),
)
def test_a_column_s_factor_moves_from_codes_to_its_constant(
    seed: int, powers: list[int], gmax: int
) -> None:
    """Powers of two, so that nothing rounds: equal codes, and the constants times the factors."""
    random = np.random.default_rng(seed)
    weight = random.normal(0, 1, (16, len(powers))).astype(np.float32)
    factors = np.exp2(powers).astype(np.float32)
    # Constants are normal numbers of binary16 with any of the factors.
    step = 100 * gmax / formats.CELL_MAX
    bias = np.zeros(len(powers), np.float32)
    plain = Matrix("a", weight, bias, gmax, 1.0, 1 / step)
    scaled = replace(plain, weight=weight * factors)
    assert (scaled.cells == plain.cells).all()
    assert (np.abs(plain.cells).max(axis=0) == gmax).all()
    assert (_constants(scaled) == _constants(plain) * factors).all()
    core = replace(scaled, per_core=True)
    assert len(set(_constants(core))) == 1
    assert np.abs(core.cells).max() == gmax


def _phases(part: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
    """Charges of a tile's conversions in every phase of a 4-phase read, and in a 1-phase read."""
    signs = (np.maximum(x, 0), np.maximum(-x, 0))
    halves = (np.maximum(part, 0), np.maximum(-part, 0))
    return [side @ half for side in signs for half in halves] + [np.abs(x @ part)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 8), st.floats(0.1, 3))
def test_codes_of_columns_are_the_largest_that_saturate_no_conversion(
    seed: int, rows: int, columns: int, shape: float
) -> None:
    """Of ideal arrays, up to the rounding of weights to codes."""
    random = np.random.default_rng(seed)
    rows *= 24
    weight = random.normal(0, 1, (rows, columns)) * random.lognormal(0, shape, (rows, columns))
    weight = np.abs(weight) if seed % 2 else weight
    x = random.integers(-127, 128, (20, rows)).astype(np.int8)
    blocks = [range(start, min(start + 256, rows)) for start in range(0, rows, 256)]
    codes = column_gmax(weight, x, blocks, HERMES)
    assert codes.dtype == np.uint16 and codes.shape == (columns,)
    assert codes.min() >= 1 and codes.max() <= formats.CELL_MAX

    largest = largest_weights(weight, per_core=False)
    cells = cell_codes(weight, codes, largest).astype(float)
    count = HERMES.nominal_gain / 2**formats.GAIN_FRACTION
    real, most = np.zeros(columns), np.zeros(columns)
    for block in blocks:
        given = x[:, list(block)].astype(float)
        rounding = np.abs(given).sum(axis=1, keepdims=True) / 2
        for charge in _phases(cells[list(block)], given):
            most = np.maximum(most, (charge - rounding).max(axis=0) * count)
        for charge in _phases(weight[list(block)], given):
            real = np.maximum(real, charge.max(axis=0) * count)
    fits = real / largest <= HERMES.adc.phase_limit  # with code 1
    assert (most[fits] <= HERMES.adc.phase_limit).all()
    below = codes < formats.CELL_MAX
    # The sums here and there differ in their order, so a last bit may.
    assert ((codes + 1.001) * real / largest > HERMES.adc.phase_limit)[below].all()

    core = layer_gmax(weight, x, blocks, HERMES)
    expected = HERMES.adc.phase_limit * largest.max() / real.max()
    assert abs(core - min(formats.CELL_MAX, max(1, np.floor(expected)))) <= 1e-3 * expected
    assert (core <= np.floor(codes * largest.max() / largest) + 1).all()


def test_codes_of_columns_of_zeros_and_of_silent_inputs_are_the_largest() -> None:
    weight = np.ones((4, 3), np.float32)
    weight[:, 1] = 0
    x, blocks = np.zeros((5, 4), np.int8), [range(4)]
    assert (column_gmax(weight, x, blocks, TINY) == formats.CELL_MAX).all()
    assert layer_gmax(weight, x, blocks, TINY) == formats.CELL_MAX
    assert layer_gmax(np.zeros((4, 3)), x + 1, blocks, TINY) == formats.CELL_MAX
    assert column_gmax(weight, x + 127, blocks, TINY)[1] == formats.CELL_MAX


def test_one_conversion_in_100_000_may_saturate_and_two_may_not() -> None:
    weight, blocks = np.ones((256, 1), np.float32), [range(256)]
    x = np.ones((100_000, 256), np.int8)
    quiet = column_gmax(weight, x, blocks, HERMES)
    x[7] = 127
    assert column_gmax(weight, x, blocks, HERMES) == quiet
    x[8] = 127
    assert column_gmax(weight, x, blocks, HERMES) < quiet


def test_the_net_charge_of_a_1_phase_read_counts() -> None:
    """Where signs agree it is that of two phases together."""
    signs = np.repeat([1, -1], 128)
    x, blocks = (127 * signs[np.newaxis]).astype(np.int8), [range(256)]
    charge = 256 * 127 * HERMES.nominal_gain / 2**formats.GAIN_FRACTION
    expected = int(HERMES.adc.phase_limit / charge)
    assert column_gmax(signs[:, np.newaxis].astype(float), x, blocks, HERMES) == expected
    assert layer_gmax(signs[:, np.newaxis].astype(float), x, blocks, HERMES) == expected
    # Signs that agree by halves leave no net charge: a phase alone decides.
    mixed = np.tile([1.0, -1.0], 128)[:, np.newaxis]
    assert column_gmax(mixed, x, blocks, HERMES) > 3 * expected
