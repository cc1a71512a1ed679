"""The report on layers: saturated conversions, clipped outputs, errors, and the table."""

import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from cnn_networks import conv, dense, written
from command_line import here

from caduceus.data import inputs
from caduceus.devices.settings import Devices
from caduceus.golden.machine import Machine
from caduceus.importers.reference import FloatReference, pooled
from caduceus.sim.compile import compiled
from caduceus.sim.golden import Golden
from caduceus.sim.layer_figures import WIDTH, LayerFigures, Quality, Worst, losses, table
from caduceus.spec.chip import Chip
from caduceus.spec.formats import PHASES, ReadMode, Steer
from caduceus.spec.graph import Origin, Pool
from caduceus.spec.host_ends import HostEnds, HostOperator
from caduceus.spec.network import Network
from caduceus.spec.program import TileProgram
from caduceus.spec.program_codes import computing
from caduceus.study import layer_report
from caduceus.study.layer_report import layers, snr_db, with_layers

TINY = Chip.find("tiny")
MODES = list(ReadMode)


def test_a_known_error_has_the_ratio_that_it_should():
    signal = np.array([3.0, -4.0])
    assert snr_db(signal, signal + np.array([0.3, 0.4])) == pytest.approx(20)
    assert snr_db(signal, np.zeros(2)) == pytest.approx(0)
    assert snr_db(signal, signal) is None
    assert snr_db(np.zeros(2), signal) is None


def _by_layer(golden: Golden) -> dict[str, TileProgram]:
    """The only tile of each layer."""
    return {tile.block.layer: tile for tile in computing(golden.program)}


def _by_hand(golden: Golden, x: np.ndarray) -> dict[int, np.ndarray]:
    """By tile, saturated conversions of each column: windows one by one, in Python's integers."""
    state, limit = golden.state, golden.chip.adc.phase_limit
    vectors: dict[int, list] = {}
    Machine(
        golden.program, golden.chip, state,
        lambda tile, given: vectors.setdefault(tile, []).extend(given.tolist()),
    ).run(x)  # fmt: skip
    found = {}
    for index, tile in enumerate(computing(golden.program)):
        config, codes = tile.config, state.codes[index].astype(int)
        plus, minus = codes[..., :2].sum(axis=-1), codes[..., 2:].sum(axis=-1)
        reached = found[tile.tile] = np.zeros(config.columns, int)
        for vector in vectors[tile.tile]:
            for phase in PHASES[config.read_mode]:
                for column in range(config.columns):
                    charge = 0
                    for row, value in enumerate(vector):
                        driven = phase.drive_positive if value > 0 else phase.drive_negative
                        if driven:
                            cell = int(phase.select_plus) * plus[row, column]
                            cell -= (1 if phase.steer is Steer.BY_SIGN else -1) * (
                                int(phase.select_minus) * minus[row, column]
                            )
                            size = value if phase.steer is Steer.BY_SIGN else abs(value)
                            charge += int(size) * int(cell)
                    to_p = phase.steer == Steer.P or (phase.steer == Steer.BY_SIGN and charge >= 0)
                    side = "p" if to_p else "n"
                    gain = int(getattr(state, f"gain_{side}")[index, column])
                    offset = int(getattr(state, f"offset_{side}")[index, column])
                    count = (abs(charge) * gain + (offset << 24)) >> 32
                    reached[column] += count >= limit
    return found


@pytest.mark.parametrize("mode", MODES)
def test_saturated_conversions_are_those_counted_one_by_one(mode):
    chip = TINY.model_copy(update={"adc": TINY.adc.model_copy(update={"phase_limit": 24})})
    network = Network.find("resnet_tiny")
    devices = Devices.find("generic", seed=3)
    golden = Golden(compiled(network, chip, mode, devices=devices), devices, chip)
    x = golden.program.vectors(inputs(network, 1).x)
    expected = _by_hand(golden, x)
    found = layers(network, golden, x)
    tiles = _by_layer(golden)
    windows = len(PHASES[mode])
    assert [row.layer for row in found] == [node.name for node in network.graph.nodes]
    for row, results in zip(found, (64, 16, 4, 1), strict=True):
        tile = tiles[row.layer]
        columns = expected[tile.tile]
        assert row.conversions == results * windows * len(columns)
        assert row.saturated == columns.sum()
        assert row.saturated_share == columns.sum() / row.conversions
        worst = row.saturated_most
        assert (worst.tile, worst.column) == (tile.tile, columns.argmax())
        assert worst.share == columns.max() / (results * windows)
    assert 0 < found[0].saturated < found[0].conversions


@pytest.mark.parametrize("mode", MODES)
def test_without_a_low_limit_the_shipped_network_saturates_nowhere(mode):
    network = Network.find("resnet_tiny")
    golden = Golden(compiled(network, TINY, mode), chip=TINY)
    found = layers(network, golden, golden.program.sample[:4])
    assert [row.saturated for row in found] == [0] * 4


def test_outputs_are_those_of_the_tiles():
    """Clipped outputs and the error, once more from captured values."""
    network = Network.find("resnet_tiny")
    golden = Golden(compiled(network, TINY), chip=TINY)
    x = golden.program.sample[:3]
    captured = golden.run(x, capture=True)
    expected = FloatReference(network).run(x.reshape(3, 8, 8, 1) * network.graph.input.scale)
    tiles = _by_layer(golden)
    for row in layers(network, golden, x):
        values = captured.tiles[tiles[row.layer].tile].results.astype(int)
        clipped = abs(values) == 127
        assert row.clipped == clipped.mean()
        shares = clipped.mean(axis=(0, 1))
        assert (row.clipped_most.column, row.clipped_most.share) == (shares.argmax(), shares.max())
        real = expected[row.layer].reshape(values.shape).astype(float)
        error = np.square(real - values * row.output_scale).sum()
        assert row.snr_db == pytest.approx(10 * np.log10(np.square(real).sum() / error))
        assert row.snr_db > 15


def test_replicas_and_blocks_do_not_change_outputs(tmp_path):
    shape, pool = (8, 8, 2), Pool(kind="max", size=2, stride=2)
    nodes = (conv("first", 4, kernel=3, padding=1, pool=pool), dense(4))
    network = Network.load(written(tmp_path / "net", shape, nodes))
    chip = Chip.find("hermes")
    given = inputs(network, 2).x
    rows = []
    for replicas in (None, {"first": 2}):
        golden = Golden(compiled(network, chip, replicas=replicas), chip=chip)
        rows.append(layers(network, golden, golden.program.vectors(given)))
    for one, several in zip(*rows, strict=True):
        assert (one.clipped, one.snr_db) == (several.clipped, several.snr_db)
        assert one.conversions == several.conversions
    assert (rows[0][0].tiles, rows[1][0].tiles) == (1, 2)
    assert rows[0][0].useful == 2 * rows[1][0].useful == 18 * 4 / 256**2


def test_rows_and_columns_in_several_tiles():
    network = Network.find("resnet9")
    chip = Chip.find("hermes")
    golden = Golden(compiled(network, chip), chip=chip)
    found = {row.layer: row for row in layers(network, golden, golden.program.sample[:4])}
    assert found["conv7"].tiles == 8
    assert all(row.snr_db > 8 for row in found.values())


def _table_line(layer: str, printed: str) -> list[str]:
    (line,) = (each for each in printed.splitlines() if each.split()[:1] == [layer])
    return line.split()


@pytest.mark.parametrize(
    ("name", "counted", "operators"),
    [
        ("resnet_tiny", 2, ["conv", "conv", "conv", "dense"]),
        ("lstm_tiny", 16, ["lstm", "dense"]),
    ],
)
def test_run_prints_the_table_and_writes_the_same(tmp_path, name, counted, operators):
    output = tmp_path / "result.json"
    run = here("run", "--chip", "tiny", "--net", name, "--output", output)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    assert report["layer_inputs"] == counted
    assert [row["operator"] for row in report["layers"]] == operators
    keys = [field.name for field in fields(LayerFigures)]
    for row in report["layers"]:
        assert list(row) == keys
        assert row["where"] == "chip" and row["node"] is None
        cells = _table_line(row["layer"], run.stdout)
        assert cells[1:4] == [row["operator"], "chip", str(row["tiles"])]
        assert cells[4] == f"{row['useful']:.1%}"
        assert cells[-3:] == [
            f"{row['saturated_share']:.2%}", f"{row['clipped']:.2%}", f"{row['snr_db']:.1f}"
        ]  # fmt: skip
    scales = Network.find(name).graph.scales
    assert [row["output_scale"] for row in report["layers"]] == list(scales.values())[1:]
    assert report["layers"][0]["input_scale"] == scales[None]
    if name == "lstm_tiny":
        value = report["metric"]["value"]
        assert report["quality"] == {
            "name": "bpc", "float": 1.3918, "quantized": value, "devices": None
        }  # fmt: skip
        assert f"bpc: float 1.392 on the whole test set, quantized {value:.4g}\n" in run.stdout


def test_with_devices_the_metric_has_all_stages(tmp_path):
    output = tmp_path / "result.json"
    options = ("--chip", "tiny", "--net", "lstm_tiny", "--output", output)
    here("run", *options)
    ideal = json.loads(output.read_text())["quality"]
    run = here("run", *options, "--pcm", "generic")
    found = json.loads(output.read_text())
    assert found["quality"] == ideal | {"devices": found["metric"]["value"]}
    assert f"quantized {ideal['quantized']:.4g}, devices " in run.stdout


def test_accuracy_has_the_layers_of_the_first_inputs():
    run = here("accuracy", "--chip", "tiny", "--net", "lstm_tiny", "--images", 40)
    assert run.returncode == 0, run.stdout + run.stderr
    assert _table_line("lstm", run.stdout)[1:4] == ["lstm", "chip", "2"]
    assert "layers: of the first 16 inputs" in run.stdout
    assert "bpc: float 1.392 on the whole test set, quantized " in run.stdout


def test_what_the_host_does_has_rows_of_its_own():
    network = Network.find("resnet_tiny")
    program = compiled(network, TINY)
    ends = HostEnds(
        before=(HostOperator("normalize", None, (2.0,), (0.0,)),),
        after=(HostOperator("softmax", "/head/Softmax"),),
    )
    golden = Golden(replace(program, host=ends), chip=TINY)
    found = layers(network, golden, golden.program.sample[:1])
    first, last = found[0], found[-1]
    assert (first.layer, first.where, first.node, first.tiles) == ("normalize", "host", None, None)
    assert (last.operator, last.where, last.node) == ("softmax", "host", "/head/Softmax")
    lines = table(found, 1, None)
    assert lines[1].split() == ["normalize", "normalize", "host", *"-------"]


def test_an_imported_layer_has_its_node_operator_and_own_weights():
    network = Network.find("resnet_tiny")
    origin = Origin(node="/conv/Conv", operator="Conv+Relu", weights=20)
    nodes = network.graph.nodes
    graph = network.graph.model_copy(
        update={"nodes": (nodes[0].model_copy(update={"origin": origin}), *nodes[1:])}
    )
    network = replace(network, graph=graph)
    golden = Golden(compiled(network, TINY), chip=TINY)
    row = layers(network, golden, golden.program.sample[:1])[0]
    assert (row.node, row.operator) == ("/conv/Conv", "Conv+Relu")
    assert row.useful == 20 / (TINY.array.rows * TINY.array.columns)


LOSSY = LayerFigures(
    layer="layer_with_a_name_that_is_longer_than_a_column_of_the_table_can_be",
    node="n", operator="Conv+BatchNormalization+Add+Relu+MaxPool", where="chip", tiles=4096,
    useful=1.0, input_scale=1.234e-05, output_scale=1.234e-05, conversions=1000, saturated=20,
    saturated_share=0.02, saturated_most=Worst(7, 3, 0.2), clipped=0.05,
    clipped_most=Worst(None, 9, 0.5), snr_db=-12.3,
)  # fmt: skip


def test_losses_name_layer_and_column():
    assert losses([LOSSY]) == [
        f"layer {LOSSY.layer}: column 3 of tile 7: 20.0% of its conversions saturate, 2.00% of all",
        f"layer {LOSSY.layer}: 5.0% of its outputs are clipped at 127, column 9 the most, 50.0%",
    ]
    at_limit = {"saturated_most": Worst(7, 3, 0.01), "clipped": 0.01}
    assert losses([replace(LOSSY, **at_limit)]) == []


def test_the_table_is_plain_and_narrow():
    lines = table([LOSSY, LOSSY], 16, Quality("accuracy", 0.9, 0.89, 0.5))
    text = "\n".join(lines)
    rows = lines[: next(n for n, line in enumerate(lines) if line.startswith("layers: "))]
    assert max(map(len, rows)) <= WIDTH and text.isascii()
    assert "4096" in text and "-12.3" in text and "1.23e-05" in text
    assert lines[-1] == (
        "accuracy: float 90.00% on the whole test set, quantized 89.00%, devices 50.00%"
    )


def test_losses_are_among_the_notes_of_a_result():
    network = Network.find("resnet_tiny")
    nodes = [node.model_copy(update={"output_scale": 1e-4}) for node in network.graph.nodes]
    graph = network.graph.model_copy(update={"nodes": tuple(nodes[:1]) + network.graph.nodes[1:]})
    network = replace(network, graph=graph)
    golden = Golden(compiled(network, TINY), chip=TINY)
    x = golden.program.sample[:20]
    result = with_layers(golden.run(x), network, golden, x)
    assert result.figures.layer_inputs == layer_report.INPUTS
    note = next(note for note in result.figures.notes if note.startswith("layer conv0: "))
    assert "of its outputs are clipped at 127, column" in note
    assert f"note: {note}" in result.report()
    assert asdict(result.figures)["layers"][0]["clipped"] > 0.01


def test_compile_shows_the_useful_share():
    run = here("compile", "--chip", "tiny", "--net", "resnet_tiny")
    line = next(line for line in run.stdout.splitlines() if line.startswith("a conv0: 1 tile"))
    assert line.endswith(f", {36 / 16**2:.1%} of the cells useful")


def test_the_float_reference_of_a_feature_map_network_equals_numpy():
    network = Network.find("resnet_tiny")
    random = np.random.default_rng(1)
    x = random.normal(size=(3, 8, 8, 1)).astype(np.float32)
    tensors = {None: x}
    found = FloatReference(network).run(x)
    for node, source in zip(network.graph.nodes, network.graph.inputs, strict=True):
        given = tensors[source].astype(float)
        weights = network.weights[node.name]
        kernel = given.shape[1] if node.op == "dense" else node.kernel
        padded = np.pad(given, ((0, 0), *[(node.padding,) * 2] * 2, (0, 0)))
        size = (padded.shape[1] - kernel) // node.stride + 1
        result = np.empty((3, size, size, node.outputs))
        for y in range(size):
            for at in range(size):
                top, left = y * node.stride, at * node.stride
                window = padded[:, top : top + kernel, left : left + kernel].reshape(3, -1)
                result[:, y, at] = window @ weights.weight + weights.bias
        if node.residual:
            result += tensors[node.residual]
        if node.relu:
            result = np.maximum(result, 0)
        np.testing.assert_allclose(found[node.name], result, rtol=1e-4, atol=1e-5)
        if node.pool:
            n = node.pool.size
            blocks = result.reshape(3, size // n, n, size // n, n, -1)
            result = blocks.max((2, 4)) if node.pool.kind == "max" else blocks.mean((2, 4))
        np.testing.assert_allclose(found[pooled(node.name)], result, rtol=1e-4, atol=1e-5)
        tensors[node.name] = result


def test_the_float_reference_of_an_lstm_equals_numpy():
    network = Network.find("lstm_tiny")
    lstm, head = (network.weights[node.name] for node in network.graph.nodes)
    x = np.random.default_rng(2).normal(size=(3, 7, 8)).astype(np.float32)
    reference = FloatReference(network)
    found = reference.run(x)
    hidden = cell = np.zeros((3, 8))

    def sigmoid(value: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-value))

    for step in range(7):
        sums = x[:, step] @ lstm.input + hidden @ lstm.hidden + lstm.bias
        np.testing.assert_allclose(
            reference.gates(x, found["lstm"])[:, step].reshape(3, -1), sums, rtol=1e-4, atol=1e-5
        )
        i, a, f, o = np.split(sums, 4, axis=1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(a)
        hidden = sigmoid(o) * np.tanh(cell)
        np.testing.assert_allclose(found["lstm"][:, step], hidden, rtol=1e-4, atol=1e-5)
        logits = hidden @ head.weight + head.bias
        np.testing.assert_allclose(found["dense"][:, step], logits, rtol=1e-4, atol=1e-5)
