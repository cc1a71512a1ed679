"""Golden network run: layers in order on one tile, read indices, capture, splitting, refusals."""

import re

import numpy as np
import pytest
from golden_reference import random_config, random_state

from golden import host, network
from golden.tile import Tile
from spec import chip, pcm_state
from spec.errors import UserError
from spec.formats import ReadMode
from spec.graph import Graph, Input, Layer, Pool, geometries
from spec.program import LayerProgram, TileNetworkProgram

TINY = chip.find("tiny")
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 10, 10, 1)).astype(np.uint8)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three images a block, so that seven images cross block edges."""
    monkeypatch.setattr(network, "IMAGES_PER_BLOCK", 3)


def _program(mode: ReadMode) -> tuple[TileNetworkProgram, list[pcm_state.PcmState]]:
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
    return TileNetworkProgram("tiny", description, programs), states


@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.usefixtures("small_blocks")
def test_layer_after_layer_vector_after_vector(mode: ReadMode) -> None:
    """The same network, one vector at a time through each tile."""
    program, states = _program(mode)
    final, traces = network.run(program, TINY, IMAGES, states, capture=True)
    assert [trace.name for trace in traces] == ["wide", "narrow", "last"]
    x = host.quantise_input(IMAGES, 0.02)
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
    whole = network.run(program, TINY, IMAGES, states)
    halves = [
        network.run(program, TINY, IMAGES[:2], states),
        network.run(program, TINY, IMAGES[2:], states, first_image=2),
    ]
    np.testing.assert_array_equal(np.concatenate(halves), whole)
    assert (network.run(program, TINY, IMAGES[2:], states) != whole[2:]).any()


@pytest.mark.usefixtures("small_blocks")
def test_progress_adds_up() -> None:
    program, states = _program(ReadMode.ONE_PHASE)
    done: list[int] = []
    network.run(program, TINY, IMAGES, states, progress=done.append)
    assert done == [3, 3, 1]


def test_grey_images_need_no_channel_axis() -> None:
    program, states = _program(ReadMode.ONE_PHASE)
    np.testing.assert_array_equal(
        network.run(program, TINY, IMAGES[..., 0], states),
        network.run(program, TINY, IMAGES, states),
    )


def test_no_images() -> None:
    program, states = _program(ReadMode.ONE_PHASE)
    final, traces = network.run(program, TINY, IMAGES[:0], states, capture=True)
    assert final.shape == (0, 5)
    assert [trace.vectors.shape for trace in traces] == [(0, 9), (0, 8), (0, 16)]


def test_what_does_not_fit_is_refused() -> None:
    program, states = _program(ReadMode.ONE_PHASE)
    for arguments, sentence in (
        (
            (chip.find("hermes"), IMAGES, states),
            "program is for chip 'tiny': chip 'hermes' was given",
        ),
        ((TINY, IMAGES, states[:2]), "2 PCM states: allowed is one a layer (3)"),
        (
            (TINY, IMAGES[:, :9], states),
            "images: uint8 [7, 9, 10, 1]: allowed is uint8 [n, 10, 10, 1]",
        ),
        (
            (TINY, IMAGES.astype(np.int8), states),
            "images: int8 [7, 10, 10, 1]: allowed is uint8 [n, 10, 10, 1]",
        ),
    ):
        with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
            network.run(program, *arguments)
