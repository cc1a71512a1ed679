"""A network through one tile: compiled, and golden: layers in order, read indices, refusals."""

import re

import numpy as np
import pytest
from golden_reference import random_config, random_state

from caduceus.data import pictures
from caduceus.golden.fast.tile import Tile
from caduceus.golden.reference import host
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Graph, Input, Layer, Pool, geometries
from caduceus.spec.network import Network
from tb import tile_network
from tb.tile_network import LayerProgram, TileNetwork, compile_network

TINY = Chip.find("tiny")
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 10, 10, 1)).astype(np.uint8)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three images per block, so that seven images cross block edges."""
    monkeypatch.setattr(tile_network, "IMAGES_PER_BLOCK", 3)


def _program(mode: ReadMode) -> tuple[TileNetwork, list[pcm_state.PcmState]]:
    """Two convolutions and a dense layer with random devices: 9x8, 8x4 and 16x5."""
    common = {"relu": True, "gmax": 510, "output_scale": 0.1}
    layers = (
        Layer(
            name="wide", op="conv", outputs=8, kernel=3, padding=1,
            pool=Pool(kind="max", size=2, stride=2), **common,
        ),
        Layer(name="narrow", op="conv", outputs=4, kernel=1, stride=3, **common),
        Layer(name="last", op="dense", outputs=5, **common),
    )  # fmt: skip
    description = Graph(
        format=2, name="toy", dataset="fashion_mnist", weights="none", nodes=layers,
        input=Input(shape=(10, 10, 1), scale=0.02),
    )  # fmt: skip
    rng = np.random.default_rng(1)
    states = [random_state(TINY, seed) for seed in range(3)]
    programs = tuple(
        LayerProgram(
            layer,
            geometry,
            random_config(rng, mode, geometry.rows, layer.outputs, relu_1=True),
            state.codes[0],
        )
        for layer, geometry, state in zip(layers, geometries(description), states, strict=True)
    )
    return TileNetwork("tiny", description, programs), states


@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.usefixtures("small_blocks")
def test_layer_after_layer_vector_after_vector(mode: ReadMode) -> None:
    """The same network, one vector at a time through each tile."""
    program, states = _program(mode)
    final, traces = tile_network.run(program, TINY, IMAGES, states, capture=True)
    assert [trace.name for trace in traces] == ["wide", "narrow", "last"]
    x = pictures.quantise_input(IMAGES, 0.02)
    for layer, state, trace in zip(program.layers, states, traces, strict=True):
        if layer.layer.op == "conv":
            x = host.im2col(x, layer.layer.kernel, layer.layer.stride, layer.layer.padding)
        vectors = x.reshape(-1, layer.geometry.rows)
        np.testing.assert_array_equal(trace.vectors, vectors)
        tile = Tile(TINY, state)
        outputs = [
            tile.run(layer.config, vectors[read : read + 1], first_read=read)
            for read in range(len(vectors))
        ]
        np.testing.assert_array_equal(trace.outputs, np.concatenate(outputs))
        x = trace.outputs.reshape(len(IMAGES), *layer.geometry.output)
        if layer.layer.pool:
            x = host.max_pool(x, layer.layer.pool.size, layer.layer.pool.stride)
        assert len(np.unique(x)) > 5
    np.testing.assert_array_equal(final, x.reshape(len(IMAGES), 5))


@pytest.mark.usefixtures("small_blocks")
def test_data_sets_may_be_split() -> None:
    program, states = _program(ReadMode.FOUR_PHASE)
    whole = tile_network.run(program, TINY, IMAGES, states)
    halves = [
        tile_network.run(program, TINY, IMAGES[:2], states),
        tile_network.run(program, TINY, IMAGES[2:], states, first_image=2),
    ]
    np.testing.assert_array_equal(np.concatenate(halves), whole)
    assert (tile_network.run(program, TINY, IMAGES[2:], states) != whole[2:]).any()


@pytest.mark.usefixtures("small_blocks")
def test_progress_adds_up() -> None:
    program, states = _program(ReadMode.ONE_PHASE)
    done: list[int] = []
    tile_network.run(program, TINY, IMAGES, states, progress=done.append)
    assert done == [3, 3, 1]


def test_grey_images_need_no_channel_axis() -> None:
    program, states = _program(ReadMode.ONE_PHASE)
    np.testing.assert_array_equal(
        tile_network.run(program, TINY, IMAGES[..., 0], states),
        tile_network.run(program, TINY, IMAGES, states),
    )


def test_no_images() -> None:
    program, states = _program(ReadMode.ONE_PHASE)
    final, traces = tile_network.run(program, TINY, IMAGES[:0], states, capture=True)
    assert final.shape == (0, 5)
    assert [trace.vectors.shape for trace in traces] == [(0, 9), (0, 8), (0, 16)]


def test_what_does_not_fit_is_refused() -> None:
    program, states = _program(ReadMode.ONE_PHASE)
    for arguments, sentence in (
        (
            (Chip.find("hermes"), IMAGES, states),
            "program is for chip 'tiny': got chip 'hermes'",
        ),
        ((TINY, IMAGES, states[:2]), "2 PCM states: expected one per layer (3)"),
        (
            (TINY, IMAGES[:, :9], states),
            "images: got uint8 [7, 9, 10, 1], expected uint8 [n, 10, 10, 1]",
        ),
        (
            (TINY, IMAGES.astype(np.int8), states),
            "images: got int8 [7, 10, 10, 1], expected uint8 [n, 10, 10, 1]",
        ),
    ):
        with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
            tile_network.run(program, *arguments)


@pytest.mark.parametrize("read_mode", list(ReadMode))
def test_a_compiled_layer_computes_the_real_layer(read_mode):
    """Against the matrix product in binary64, within what codes, counts and INT8 can resolve."""
    hermes = Chip.find("hermes")
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


def test_what_does_not_fit_the_array_is_reported():
    found = Network.find("fashion_small")
    description, weights = found.graph, found.weights
    sentence = r"layer conv1 has 28 columns: chip tiny allows 16 on one tile"
    with pytest.raises(UserError, match=sentence):
        compile_network(description, weights, Chip.find("tiny"), ReadMode.ONE_PHASE)


def test_unused_cells_hold_nothing():
    tiny = Chip.find("tiny")
    found = Network.find("fashion_tiny")
    description, weights = found.graph, found.weights
    for layer in compile_network(description, weights, tiny, ReadMode.FOUR_PHASE).layers:
        assert layer.codes.shape == (16, 16, 4)
        assert not layer.codes[layer.geometry.rows :].any()
        assert not layer.codes[:, layer.layer.outputs :].any()
