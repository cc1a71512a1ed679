"""From networks to tile programs: codes, constants, and what does not fit."""

import numpy as np
import pytest

from compiler import quantise
from compiler.one_tile import compile_network
from golden.tile import Tile
from spec import chip, pcm_state
from spec.errors import UserError
from spec.formats import CELL_MAX, DEVICE_MAX, ReadMode
from spec.network import Network


def test_device_codes_give_the_cells_back_and_fill_one_device_first():
    cells = np.arange(-CELL_MAX, CELL_MAX + 1, dtype=np.int16).reshape(1, -1)
    codes = quantise.device_codes(cells).astype(int)
    assert np.array_equal(
        codes[..., 0] + codes[..., 1] - codes[..., 2] - codes[..., 3], cells.astype(int)
    )
    assert codes.min() == 0 and codes.max() == DEVICE_MAX
    for first, second in ((0, 1), (2, 3)):
        # A second device is used only once the first is full.
        assert ((codes[..., second] == 0) | (codes[..., first] == DEVICE_MAX)).all()


def test_the_largest_weight_gets_gmax():
    weight = np.array([[0.5, -2.0], [0.0, 1.0]], dtype=np.float32)
    assert quantise.cell_codes(weight, 300).tolist() == [[75, -300], [0, 150]]
    assert not quantise.cell_codes(np.zeros((2, 2), np.float32), 300).any()


def test_constants_beyond_binary16_are_refused():
    with pytest.raises(UserError, match=r"layer a: bias = 7e\+04: allowed in binary16"):
        quantise.binary16(np.array([1.0, 7e4]), "layer a: bias")
    with pytest.raises(UserError, match=r"layer a: scale = 1e-06: allowed in binary16"):
        quantise.binary16(np.array([1e-6]), "layer a: scale")


@pytest.mark.parametrize("read_mode", list(ReadMode))
def test_a_compiled_layer_computes_the_real_layer(read_mode):
    """Against the matrix product in binary64, within what codes, counts and INT8 can resolve."""
    hermes = chip.find("hermes")
    found = Network.find("fashion_small")
    description, weights = found.graph, found.weights
    program = compile_network(description, weights, hermes, read_mode)
    layer = program.layers[1]
    random = np.random.default_rng(3)
    # Sparse like real feature maps, so that no conversion saturates.
    x = random.integers(0, 60, (50, layer.geometry.rows)) * (random.random((50, 252)) < 0.2)
    state = pcm_state.ideal(hermes, layer.codes[np.newaxis])
    got = Tile(hermes, state).run(layer.config, x.astype(np.int8)).astype(int)
    scale_in, scale_out = description.nodes[0].output_scale, description.nodes[1].output_scale
    real = x * scale_in @ weights["conv2"].weight.astype(np.float64) + weights["conv2"].bias
    wanted = np.clip(np.rint(np.maximum(real, 0) / scale_out), -127, 127)
    step = np.float16(layer.config.constants[0, 3:4].view(np.float16)[0])
    # Each of up to four conversions loses up to one count; rounding adds half an INT8 step.
    assert np.abs(got - wanted).max() <= 4 * float(step) + 1.5
    assert (got > 0).any()


def test_what_does_not_fit_the_array_is_told():
    found = Network.find("fashion_small")
    description, weights = found.graph, found.weights
    sentence = r"layer conv1 has 28 columns: chip tiny allows 16 on one tile"
    with pytest.raises(UserError, match=sentence):
        compile_network(description, weights, chip.find("tiny"), ReadMode.ONE_PHASE)


def test_unused_cells_hold_nothing():
    tiny = chip.find("tiny")
    found = Network.find("fashion_tiny")
    description, weights = found.graph, found.weights
    for layer in compile_network(description, weights, tiny, ReadMode.FOUR_PHASE).layers:
        assert layer.codes.shape == (16, 16, 4)
        assert not layer.codes[layer.geometry.rows :].any()
        assert not layer.codes[:, layer.layer.outputs :].any()
