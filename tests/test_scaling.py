"""Weights scaled by column, or per core as published: what each takes from the other columns."""

import hashlib
from dataclasses import replace

import cnn_reference as small
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrent_networks import TALL, random_network
from recurrent_reference import RecurrentReference

import caduceus
from caduceus.compiler import quantise
from caduceus.compiler.content import Matrix, Scaling
from caduceus.compiler.network import compile_network
from caduceus.golden import machine
from caduceus.spec import formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network, Weights
from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing, device_codes

HERMES, TINY = Chip.find("hermes"), Chip.find("tiny")
COLUMNS, PEAK = 6, 3

# --- per core ------------------------------------------------------------------------------------
# Constants and codes of all tiles, made when the compiler knew no other scaling.
PUBLISHED = {
    ("resnet_tiny", "tiny", "ideal"):
        "2eb3a2e10913598fe79339e3644c5c3d",
    ("resnet_tiny", "tiny", "hermes_odp"):
        "36b1d11dfd942a39949300b78804f033",
    ("lstm_tiny", "tiny", "ideal"):
        "7f703fd36965f41a0ba16a6c0982aca4",
    ("lstm_tiny", "tiny", "hermes_odp"):
        "c0ab1b51ba1d12f0a653f0bc2960f8df",
    ("resnet9", "hermes", "ideal"):
        "6c9600cf351ffcfd0b15f2dd5257d2c9",
    ("resnet9", "hermes", "hermes_odp"):
        "7246efb679b361141f5dc8729eeedc54",
    ("lstm_504", "hermes", "ideal"):
        "2219ef93f0bd28db7d6affc290247d7b",
    ("conv_32x16", "tiny", "ideal"):
        "9b276ca160266fb74ad7eceb1ffea7ca",
}  # fmt: skip


@pytest.mark.parametrize("case", PUBLISHED, ids=" ".join)
def test_a_network_scaled_per_core_has_the_bits_it_always_had(case: tuple[str, str, str]) -> None:
    name, chip, devices = case
    program = caduceus.compile(
        Network.find(name), Chip.find(chip), devices=caduceus.Devices.find(devices), per_core=True
    )
    digest = hashlib.sha256()
    for tile in computing(program):
        digest.update(tile.config.constants.tobytes())
        digest.update(tile.codes.tobytes())
    assert digest.hexdigest()[:32] == PUBLISHED[case] and program.per_core


# --- by column -----------------------------------------------------------------------------------
def _layer(factor: float) -> Network:
    """A layer on two row blocks and two column blocks of `tiny`; one column times `factor`."""
    graph = small.network(1, 1, 24, small.dense("a", COLUMNS, output_scale=0.05))
    weight = np.random.default_rng(2).normal(0, 0.2, (24, COLUMNS)).astype(np.float32)
    weight[:, PEAK] *= np.float32(factor)
    return Network(graph, {"a": Weights(weight, np.full(COLUMNS, 0.3, np.float32))})


def _outputs(program: Program, chip: Chip, devices: str = "ideal") -> np.ndarray:
    x = np.random.default_rng(3).integers(-127, 128, (50, 1, 24), dtype=np.int8)
    return caduceus.Golden(program, caduceus.Devices.find(devices), chip).run(x).outputs


@pytest.mark.parametrize("factor", [1e-12, 300, 1000])
def test_a_column_leaves_the_others_as_they_are(factor: float) -> None:
    """Bit for bit; scaled per core, columns beside one that is 1000 times as large are lost."""
    others = np.arange(COLUMNS) != PEAK
    usual = _outputs(compile_network(_layer(1), TINY, ReadMode.FOUR_PHASE), TINY)
    got = _outputs(compile_network(_layer(factor), TINY, ReadMode.FOUR_PHASE), TINY)
    np.testing.assert_array_equal(got[..., others], usual[..., others])
    assert not np.array_equal(got[..., PEAK], usual[..., PEAK])
    core = compile_network(_layer(max(factor, 1)), TINY, ReadMode.FOUR_PHASE, per_core=True)
    lost = np.abs(_outputs(core, TINY)[..., others].astype(int) - usual[..., others])
    assert factor < 1 or lost.max() > 20


@pytest.mark.parametrize("factor", [0, 1e-12])
def test_a_column_without_weight_gives_its_bias_on_any_devices(factor: float) -> None:
    program = compile_network(_layer(factor), TINY, ReadMode.FOUR_PHASE)
    found = _outputs(program, TINY, "generic")
    assert (found[..., PEAK] == np.rint(np.float16(0.3 / 0.05))).all()
    assert len(np.unique(found[..., 0])) > 10


def test_only_the_column_that_does_not_fit_is_named() -> None:
    sentence = rf"^network small: layer a, column {PEAK} with the largest weight, .*: scale: got "
    with pytest.raises(UserError, match=sentence):
        compile_network(_layer(1e8), TINY, ReadMode.FOUR_PHASE)


matrices = st.integers(0, 1 << 32).map(np.random.default_rng)


@settings(deadline=None)
@given(
    matrices, st.integers(1, 40), st.integers(1, 12), st.booleans(),
    st.integers(1, formats.CELL_MAX),
)  # fmt: skip
def test_codes_and_scales_give_the_weights_back(
    random: np.random.Generator, rows: int, columns: int, per_core: bool, most: int
) -> None:
    """To half a code of the column's largest weight, or of the layer's, whatever the columns."""
    factors = 10.0 ** random.uniform(-2, 2, columns) * (random.random(columns) > 0.2)
    weight = (random.normal(0, 1, (rows, columns)) * factors).astype(np.float32)
    by_column = random.integers(1, formats.CELL_MAX + 1, columns).astype(np.uint16)
    scaling = Scaling(most, per_core)
    bias = np.zeros(columns, np.float32)
    matrix = Matrix("here", weight, bias, scaling.code(300, by_column), 0.01, 0.5, per_core)
    largest = np.abs(weight.astype(np.float64)).max(axis=None if per_core else 0)
    codes = min(300, most) if per_core else np.minimum(by_column.astype(int), most)
    assert (np.abs(matrix.cells).max(axis=0) <= codes).all()
    step = largest / codes
    assert (np.abs(matrix.cells * step - weight) <= step / 2 * (1 + 1e-12)).all()
    if not largest.any():
        return
    constants = quantise.column_constants(matrix.steps, bias, HERMES)
    scale = constants.view(np.float16)[:, 3].astype(float)
    expected = np.broadcast_to(step, columns) * 0.01 / 0.5 / (HERMES.nominal_gain / 2**32)
    weak = expected < 2.0**-14
    assert not (scale[weak] if not per_core else np.zeros(1)).any() or weak.all()
    np.testing.assert_allclose(scale[~weak], expected[~weak], rtol=2.0**-10)


# --- codes of columns, on whole chips ------------------------------------------------------------
def _codes(random: np.random.Generator, columns: int) -> np.ndarray:
    return random.integers(100, formats.CELL_MAX + 1, columns).astype(np.uint16)


@pytest.mark.parametrize("scaling", ["column", "core"])
@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.parametrize("chip", [small.ROOMY, small.BINARY16])
def test_layers_with_codes_of_their_columns_are_as_the_reference_has_them(
    chip: Chip, mode: ReadMode, scaling: str
) -> None:
    described = small.network(
        6, 6, 3,
        small.conv("a", 4, pool=small.pooling("max", 2)), small.conv("b", 4),
        small.conv("c", 4, residual="a"), small.dense("d", 20),
    ).model_copy(update={"scaling": scaling})  # fmt: skip
    random = np.random.default_rng(5)
    weights = {
        name: replace(each, gmax=_codes(random, each.weight.shape[1]))
        for name, each in small.random_weights(described).items()
    }
    program = compile_network(Network(described, weights), chip, mode)
    x = small.random_images(described, 4)
    state = pcm_state.ideal(chip, device_codes(program, chip))
    got = machine.run(program, chip, state, x).outputs
    expected = small.reference(described, weights, chip, mode, x)["d"].pooled
    np.testing.assert_array_equal(got, expected.reshape(got.shape))
    assert len(np.unique(got)) > 10


@pytest.mark.parametrize("scaling", ["column", "core"])
@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.parametrize(("chip", "sizes"), [(TINY, (8, 8, 16)), (TALL, (16, 16, 5))])
def test_an_lstm_with_codes_of_its_columns_is_as_the_reference_has_it(
    chip: Chip, sizes: tuple[int, int, int], mode: ReadMode, scaling: str
) -> None:
    """Where input and hidden state share tiles, and where they do not."""
    made, random = random_network(*sizes), np.random.default_rng(6)
    gates = 4 * sizes[1]
    lstm = replace(
        made.weights["lstm"], input_gmax=_codes(random, gates), hidden_gmax=_codes(random, gates)
    )
    dense = replace(made.weights["dense"], gmax=_codes(random, sizes[2]))
    graph = made.graph.model_copy(update={"scaling": scaling})
    network = Network(graph, {"lstm": lstm, "dense": dense})
    program = compile_network(network, chip, mode)
    x = random.integers(-127, 128, (3, 6, sizes[0]), dtype=np.int8)
    state = pcm_state.ideal(chip, device_codes(program, chip))
    got = machine.run(program, chip, state, x).outputs
    reference = RecurrentReference(network, chip, mode, batch=3)
    for step in range(x.shape[1]):
        np.testing.assert_array_equal(got[:, step], reference.step(x[:, step]))
    assert len(np.unique(got)) > 10
