"""What weights lose on their way to cell codes: in warnings, on the terminal, in results."""

import json
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from cnn_networks import conv, dense, described
from command_line import here

import caduceus
from caduceus.compiler.content import Scaling
from caduceus.compiler.losses import WeightLoss, lossy_columns, lowered_gmax
from caduceus.spec.errors import UserError
from caduceus.spec.graph import geometries
from caduceus.spec.network import Network, Weights
from train.export import export

HERMES, TINY = caduceus.Chip.find("hermes"), caduceus.Chip.find("tiny")
SHAPE, LAYERS = (4, 4, 1), (conv("a", 6, kernel=2, stride=2), dense(3))


def _network(factor: float, column: int = 3) -> Network:
    """Random weights; those of one column of layer `a` are larger by `factor`."""
    graph = described(SHAPE, LAYERS)
    random = np.random.default_rng(2)
    weights = {}
    for layer, geometry in zip(graph.nodes, geometries(graph), strict=True):
        weight = random.normal(0, 0.2, (geometry.rows, layer.outputs)).astype(np.float32)
        weights[layer.name] = Weights(weight, np.zeros(layer.outputs, np.float32))
    weights["a"].weight[:, column] *= np.float32(factor)
    return Network(graph, weights)


def _written(folder, network: Network):
    arrays = {}
    for name, parameters in network.weights.items():
        arrays |= {f"{name}.weight": parameters.weight, f"{name}.bias": parameters.bias}
    export(network.graph, arrays, folder)
    return folder / "network.yaml"


@pytest.mark.parametrize("factor", [1, 3, 30, 300])
def test_the_share_per_core_is_what_rounding_to_codes_takes(factor: float) -> None:
    """Against codes and energies written out here."""
    network = _network(factor)
    weight = network.weights["a"].weight.astype(np.float64)
    step = np.abs(weight).max() / 400
    lost = np.square(weight - np.rint(weight / step) * step).sum(axis=0)
    share = lost / np.square(weight).sum(axis=0)
    found = lossy_columns(network, HERMES, Scaling(per_core=True))
    if share.max() <= 0.01:
        assert found == () and factor < 30
        return
    (sentence,) = found
    worst = int(share.argmax())
    ratio = np.abs(weight).max() / np.abs(weight[:, worst]).max()
    assert sentence == (
        f"network mine: layer a: {(share > 0.01).sum()} of 6 columns lose more than 1 % of their "
        f"weights' energy to rounding, column {worst} the most, {100 * share[worst]:.0f} %: the "
        f"largest weight, in column 3, is {ratio:.4g} times that column's largest and has code 400"
    )


@pytest.mark.parametrize("factor", [1, 300, 1000, 1e-3, 1e-12])
def test_by_column_no_other_column_matters(factor: float) -> None:
    assert lossy_columns(_network(factor), HERMES, Scaling()) == ()


@pytest.mark.parametrize(("code", "lossy"), [(400, False), (3, True)])
def test_the_share_by_column_is_what_rounding_to_codes_takes(code: int, lossy: bool) -> None:
    """Of a column whose codes are few, or whose weights are small beside its largest."""
    network = _network(1)
    codes = np.full(6, 400, np.uint16)
    codes[2] = code
    weight = network.weights["a"].weight
    network.weights["a"] = replace(network.weights["a"], gmax=codes)
    column = weight[:, 2].astype(np.float64)
    step = np.abs(column).max() / code
    share = np.square(column - np.rint(column / step) * step).sum() / np.square(column).sum()
    found = lossy_columns(network, HERMES, Scaling())
    assert (share > 0.01) == lossy
    ratio = np.abs(column).max() / np.sqrt(np.square(column).mean())
    sentence = (
        "network mine: layer a: 1 of 6 columns lose more than 1 % of their weights' energy to "
        f"rounding, column 2 the most, {100 * share:.0f} %: its largest weight is {ratio:.4g} "
        "times their root mean square and has code 3"
    )
    assert found == ((sentence,) if lossy else ())


@pytest.mark.parametrize("per_core", [False, True])
def test_columns_of_zeros_lose_nothing(per_core: bool) -> None:
    network = _network(1)
    network.weights["a"].weight[:, 1] = 0
    network.weights["dense"].weight[:] = 0
    assert lossy_columns(network, HERMES, Scaling(per_core=per_core)) == ()


def test_compile_warns_of_columns_and_of_nothing_else() -> None:
    match = r"^network mine: layer a: 5 of 6 columns lose"
    with pytest.warns(WeightLoss, match=match) as found:
        caduceus.compile(_network(300), HERMES, per_core=True)
    assert len(found) == 1 and found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        caduceus.compile(_network(300), HERMES)
        caduceus.compile(_network(3), HERMES, per_core=True)
        odp = caduceus.Devices.find("hermes_odp")
        caduceus.compile(Network.find("lstm_tiny"), TINY, devices=odp)


def test_a_lowered_gmax_is_named_by_layer() -> None:
    found = lowered_gmax(Network.find("resnet9"), Scaling(255, per_core=True))
    assert found == (
        "gmax lowered to 255, the largest cell code of these devices: gmax was 510 in conv0; "
        "gmax was 271 in conv1; gmax was 397 in conv3; gmax was 302 in conv4; gmax was 281 in "
        "conv5; gmax was 368 in conv7"
    )
    found = lowered_gmax(Network.find("lstm_tiny"), Scaling(255))
    assert found.endswith("input_gmax was 510 in lstm; hidden_gmax was 510 in lstm; "
                          "gmax was 510 in dense")  # fmt: skip
    assert lowered_gmax(Network.find("resnet9"), Scaling(per_core=True)) is None


def test_a_lowered_gmax_of_columns_is_the_largest_of_them() -> None:
    network = _network(1)
    codes = np.array([100, 300, 255, 1, 2, 3], np.uint16)
    network.weights["a"] = replace(network.weights["a"], gmax=codes)
    found = lowered_gmax(network, Scaling(255))
    assert found.endswith("gmax was 300 in a; gmax was 400 in dense")
    assert lowered_gmax(network, Scaling(255, per_core=True)).endswith("gmax was 400 in a, dense")
    assert lowered_gmax(network, Scaling(400)) is None


def test_commands_and_results_say_it(tmp_path) -> None:
    path, output = _written(tmp_path / "net", _network(300)), tmp_path / "out"
    options = ("--chip", "tiny", "--net", path, "--output", output)
    run = here("compile", *options, "--pcm", "hermes_odp", "--per-core")
    assert run.returncode == 0, run.stderr
    notes = re.findall(r"^note: (.*)$", run.stdout, re.MULTILINE)
    assert notes[0].endswith("these devices: gmax was 400 in a, dense")
    assert notes[1].startswith("network mine: layer a: 5 of 6 columns lose more than 1 %")
    assert not run.stderr
    run = here("run", *options, "--images", 2, "--pcm", "hermes_odp", "--per-core")
    assert run.returncode == 0, run.stderr
    result = json.loads(output.read_text())
    # After what the weights lose comes what the layers of this run do.
    assert result["notes"][:2] == notes and result["scaling"] == "core"
    assert all(note.startswith("layer ") for note in result["notes"][2:])
    assert [f"note: {note}" for note in notes] == run.stdout.split("\n")[1:3]
    run = here("run", *options, "--images", 2, "--per-core")
    assert json.loads(output.read_text())["notes"][0].endswith("and has code 400")
    run = here("run", *options, "--images", 2)
    result = json.loads(output.read_text())
    assert result["notes"] == [] and result["scaling"] == "column"


@pytest.mark.parametrize("per_core", [False, True])
@pytest.mark.parametrize(("factor", "value"), [(1e7, r"\d\.\d+e\+\d+"), (1e-9, r"\d\.\d+e-\d+")])
def test_a_factor_beyond_binary16_is_refused_by_layer_and_column(
    factor: float, value: str, per_core: bool
) -> None:
    """Too large of one column; too small of all."""
    network = _network(1)
    if factor < 1:
        network.weights["a"].weight[:] *= np.float32(factor)
    else:
        network.weights["a"].weight[:, 3] *= np.float32(factor)
    column = int(np.abs(network.weights["a"].weight).max(axis=0).argmax())
    if factor < 1 and not per_core:
        column = 0
    match = f"^network mine: layer a, column {column} with the largest weight, {value}: scale"
    with pytest.raises(UserError, match=match):
        caduceus.compile(network, HERMES, per_core=per_core)


def test_a_bias_beyond_binary16_is_refused_by_layer_and_column() -> None:
    """By the column of the layer's matrix, not of the tile's block."""
    layers = (conv("a", 20, kernel=2), dense(3))
    graph = described(SHAPE, layers)
    weights = {
        layer.name: Weights(
            np.ones((geometry.rows, layer.outputs), np.float32),
            np.zeros(layer.outputs, np.float32),
        )
        for layer, geometry in zip(graph.nodes, geometries(graph), strict=True)
    }
    weights["a"].bias[17] = 1e5
    small = HERMES.model_copy(
        update={"array": HERMES.array.model_copy(update={"rows": 16, "columns": 16})}
    )
    with pytest.raises(UserError, match=r"^network mine: layer a, column 17: bias.* 2e\+06"):
        caduceus.compile(Network(graph, weights), small)
