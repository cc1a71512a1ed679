"""Inputs of networks: how many, of what shape, and what is expected of their outputs."""

from dataclasses import replace

import numpy as np
import pytest

from caduceus.compiler.lower import Way, recurrent, way
from caduceus.compiler.network import compile_network
from caduceus.data import inputs, measured_network, networks_of, sample
from caduceus.data.inputs import DEFAULTS, TYPICAL, unit_of
from caduceus.data.own import OWN
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Layer
from caduceus.spec.network import Network

SHAPES = {
    "fashion_tiny": ("images", (784, 1)), "resnet9": ("images", (1024, 1)),
    "resnet_tiny": ("images", (64, 1)), "conv_32x16": ("vectors", (1, 32)),
    "conv_2016x224": ("vectors", (9, 224)), "lstm_tiny": ("steps", (8,)),
    "lstm_ptb": ("steps", (128,)), "lstm_504": ("steps", (504,)),
}  # fmt: skip
"""What inputs are called, and the shape of one."""


@pytest.mark.parametrize("name", SHAPES)
def test_inputs_of_every_kind(name: str) -> None:
    network, (unit, shape) = Network.find(name), SHAPES[name]
    given, typical = inputs(network), sample(network)
    count = DEFAULTS[unit]
    assert (given.unit, given.count, unit_of(network)) == (unit, count, unit)
    first = (1, count) if unit == "steps" else (count,)
    assert given.x.shape == (*first, *shape) and given.x.dtype == np.int8
    assert np.array_equal(given.x, inputs(network, count).x)
    assert (given.labels is not None) == (network.graph.dataset == "fashion_mnist")
    assert (given.following is not None) == (network.embedding is not None)
    steps = (1, TYPICAL[unit]) if unit == "steps" else (TYPICAL[unit],)
    assert typical.shape == (*steps, *shape)


def test_a_text_gives_what_follows() -> None:
    network = Network.find("lstm_tiny")
    given, symbols = inputs(network, 7), network.graph.input.symbols
    assert "".join(symbols[number] for number in given.following[0]) == network.text[1:8]
    numbers = [symbols.index(character) for character in network.text[:7]]
    np.testing.assert_array_equal(given.x[0], network.embedding[numbers])
    with pytest.raises(
        UserError,
        match=r"^characters: got 9999, expected 1 to \d+ of the text of network lstm_tiny",
    ):
        inputs(network, 9999)
    silent = replace(network, text=None)
    np.testing.assert_array_equal(sample(silent)[0, :16], network.embedding)
    with pytest.raises(UserError, match=r"there is no text\.txt beside its description"):
        inputs(silent, 7)


def test_a_data_set_that_is_not_here_gives_no_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIFAR10", raising=False)
    network = Network.find("resnet20")
    network = replace(network, graph=network.graph.model_copy(update={"dataset": "cifar10"}))
    assert sample(network) is None
    with pytest.raises(UserError, match="environment variable CIFAR10"):
        inputs(network)


@pytest.mark.parametrize("name", ["resnet_tiny", "fashion_tiny", "conv_32x16", "lstm_tiny"])
def test_a_program_holds_what_a_host_needs(name: str) -> None:
    network, tiny = Network.find(name), Chip.find("tiny")
    program = compile_network(
        network, tiny, ReadMode.ONE_PHASE, largest_code=255, sample=sample(network)
    )
    assert (program.input.shape, program.input.scale) == (
        network.graph.input.shape, network.graph.input.scale,
    )  # fmt: skip
    assert program.output.scale == network.graph.nodes[-1].output_scale
    assert np.prod(program.output.shape) == program.output_pixels * program.output_length
    assert program.symbols == network.graph.input.symbols and program.largest_code == 255
    np.testing.assert_array_equal(program.sample.ravel(), sample(network).ravel())
    blocks = {tile.block.layer for tile in program.tiles if tile.config}
    assert blocks == {node.name for node in network.graph.nodes}


def test_each_chip_has_its_own_networks() -> None:
    for name, own in OWN.items():
        description = Chip.find(name)
        assert networks_of(description, None) == own.run
        assert networks_of(description, "other") == ("other",)
        assert {*own.run, own.measured} - {None} <= set(Network.available())
    with pytest.raises(UserError, match="chip ulx3s has no network of its own: name one with"):
        measured_network(Chip.find("ulx3s"))


def test_each_network_takes_its_way() -> None:
    ways = {name: way(Network.find(name).graph) for name in Network.available()}
    assert {name for name in ways if ways[name] is Way.RECURRENT} == {
        "lstm_504", "lstm_ptb", "lstm_tiny"
    }  # fmt: skip
    assert {name for name in ways if ways[name] is Way.VECTORS} == {"conv_2016x224", "conv_32x16"}


def _dense(name: str, **options: object) -> Layer:
    settings = {"outputs": 8, "relu": False, "gmax": 400, "output_scale": 0.1} | options
    return Layer(name=name, op="dense", **settings)


def test_what_is_more_than_an_lstm_and_a_dense_layer_is_refused() -> None:
    graph = Network.find("lstm_504").graph
    (lstm,) = graph.nodes
    cases = {
        (_dense("first"), lstm): "node first: before the LSTM: expected one LSTM, as the first",
        (
            lstm,
            lstm.model_copy(update={"name": "two"}),
        ): "node two: op: got lstm after the LSTM: expected one LSTM",
        (lstm, _dense("a"), _dense("b")): "node b: op: got dense after the LSTM: expected one LSTM",
        (lstm, _dense("a", relu=True)): "node a: relu: got True, expected none after an LSTM",
        (
            lstm,
            _dense("a", residual="lstm"),
        ): "node a: residual: got lstm, expected none after an LSTM",
    }
    for nodes, sentence in cases.items():
        with pytest.raises(UserError, match=f"^network lstm_504: {sentence}"):
            recurrent(graph.model_copy(update={"nodes": nodes}))
