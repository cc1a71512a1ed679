"""Network descriptions and their weights: shapes, and one sentence for each mistake."""

import shutil
import warnings

import numpy as np
import pytest
import yaml

from caduceus.spec.errors import UserError
from caduceus.spec.graph import geometries
from caduceus.spec.network import NETWORKS, TEXT, Network
from caduceus.spec.shipped import shipped_folder


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(shipped_folder(NETWORKS) / "fashion_tiny", tmp_path / "net")
    return tmp_path / "net"


def edit(folder, change):
    path = folder / "network.yaml"
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))
    return path


def test_shipped_networks_load():
    assert {"fashion_small", "fashion_tiny"} <= set(Network.available())
    for name in Network.available():
        assert Network.find(name).name == name


def test_only_sequences_are_recurrent() -> None:
    texts = {"lstm_ptb", "lstm_tiny", "lstm_504"}
    assert {name for name in Network.available() if Network.find(name).recurrent} == texts


def test_geometry_follows_the_layers():
    conv1, conv2, dense = geometries(Network.find("fashion_small").graph)
    assert (conv1.input, conv1.rows, conv1.output) == ((28, 28, 1), 9, (28, 28, 28))
    assert (conv1.pooled, conv2.rows) == ((14, 14, 28), 252)
    assert (dense.rows, dense.output) == (256, (1, 1, 10))


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(
        UserError, match=r"unknown network 'x': expected one of .*fashion_small, fashion_t"
    ):
        Network.find("x")


def test_random_images_need_no_accuracy(folder):
    def change(document):
        document.update(dataset="random")
        del document["metric"]

    assert Network.load(edit(folder, change)).graph.metric is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d["nodes"][0].update(gmax=511), r"nodes\.0\.gmax: got 511, expected"),
        (lambda d: d["nodes"][0].update(knrl=2), r"nodes\.0\.knrl: unknown key: expected one of"),
        (lambda d: d["nodes"][-1].update(kernel=2), r"kernel: got 2, expected nothing: a dense"),
        (lambda d: d["nodes"][0].update(kernel=29), r"node conv1: kernel: got 29, expected at m"),
        (
            lambda d: d["nodes"][2]["pool"].update(size=9),
            r"node conv3: pool\.size: got 9, expected",
        ),
        (lambda d: d.update(format=1, layers=[]), r"yaml: format: got 1, expected 2$"),
        (lambda d: d["metric"].pop("float"), r"yaml: metric\.float is missing$"),
        (
            lambda d: d["metric"].update(float=None),
            r"metric\.float: got nothing, expected a valid num",
        ),
        (lambda d: d["metric"].update(float=2.0), r"metric\.float: got 2\.0, expected"),
        (lambda d: d["metric"].update(float=-0.1), r"metric\.float: got -0\.1, expected"),
        (lambda d: d["metric"].update(name="bpc"), r"metric\.name: got 'bpc', expected accuracy"),
        (
            lambda d: d.update(dataset="random"),
            r"metric\.name: got 'accuracy', expected no metric",
        ),
        (
            lambda d: d["nodes"][0].update(op="cnv"),
            r"nodes\.0\.op: got 'cnv', expected 'conv', 'den",
        ),
        (lambda d: d["nodes"][0].pop("op"), r"yaml: nodes\.0\.op is missing$"),
        (lambda d: d["nodes"][0].pop("relu"), r"yaml: nodes\.0\.relu is missing$"),
        (
            lambda d: d["nodes"][2]["pool"].update(kind="min"),
            r"nodes\.2\.pool\.kind: got 'min', expected",
        ),
        (
            lambda d: d["nodes"][2]["pool"].update(pad=1),
            r"nodes\.2\.pool\.pad: unknown key: expected one of",
        ),
        (
            lambda d: d["nodes"][1].update(input="conv9"),
            r"nodes\.conv2\.input: got 'conv9', expected",
        ),
        (
            lambda d: d["input"].update(shape=[28, 28]),
            r"input\.shape: got \[28, 28\], expected \[hei",
        ),
        (lambda d: d["input"].update(shape=[28]), r"input\.shape: got \[28\], expected an image's"),
        (
            lambda d: d["input"].update(symbols="ab"),
            r"input\.symbols: got 'ab', expected nothing: f",
        ),
        (lambda d: d.update(dataset="mnist"), r"dataset: got 'mnist', expected"),
        (lambda d: d.update(nodes=[]), r"nodes: got \[\], expected at least 1 item"),
        (lambda d: d["nodes"].append({**d["nodes"][0]}), r"nodes: got .*, expected distinct"),
        (lambda d: d.update(weights="none.npz"), r"none\.npz: cannot read the weights"),
        (
            lambda d: d["nodes"][0].update(outputs=15),
            r"conv1\.weight: shape: got \[16, 16\], expected",
        ),
    ],
)
def test_a_mistake_is_one_sentence(folder, change, sentence):
    path = edit(folder, change)
    with pytest.raises(UserError, match=sentence) as refusal:
        Network.load(path)
    assert "\n" not in str(refusal.value)


def test_damaged_weights_are_refused(folder):
    file = folder / "weights.npz"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UserError, match=r"weights\.npz: not a weights file"):
        Network.load(folder / "network.yaml")


@pytest.mark.parametrize(
    ("codes", "sentence"),
    [
        (np.array([0] * 16, np.uint16), "got codes from 0 to 0, expected 1 to 510"),
        (np.array([7] * 15 + [511], np.uint16), "got codes from 7 to 511, expected 1 to 510"),
        (np.array([7] * 15, np.uint16), r"shape: got \[15\], expected \[16\]"),
        (np.array([7] * 16, np.int16), "type: got int16, expected uint16"),
    ],
)
def test_codes_of_columns_that_cannot_be_are_refused(folder, codes, sentence):
    file = folder / "weights.npz"
    with np.load(file) as content:
        arrays = {name: content[name] for name in content.files}
    np.savez(file, **arrays | {"conv1.gmax": codes})
    with pytest.raises(UserError, match=rf"weights\.npz: conv1\.gmax: {sentence}"):
        Network.load(folder / "network.yaml")
    good = np.arange(1, 17, dtype=np.uint16)
    np.savez(file, **arrays | {"conv1.gmax": good})
    found = Network.load(folder / "network.yaml").weights
    assert np.array_equal(found["conv1"].gmax, good) and found["dense"].gmax is None


def test_weights_that_are_not_numbers_are_refused(folder):
    file = folder / "weights.npz"
    with np.load(file) as content:
        arrays = {name: content[name] for name in content.files}
    arrays["conv1.bias"] = np.full_like(arrays["conv1.bias"], np.nan)
    np.savez(file, **arrays)
    with pytest.raises(UserError, match=r"conv1\.bias: got nan, expected values that are"):
        Network.load(folder / "network.yaml")
    arrays["conv1.bias"] = np.zeros_like(arrays["conv1.bias"])
    steps = {"conv1.weight_step": np.float32(1e38)}
    np.savez(file, **arrays | {"conv1.weight": 100 * np.ones_like(arrays["conv1.weight"])}, **steps)
    sentence = r"conv1\.weight_step: got 1e\+38, expected"
    with warnings.catch_warnings(), pytest.raises(UserError, match=sentence):
        warnings.simplefilter("error")
        Network.load(folder / "network.yaml")
    for other, sentence in (
        ("U3", r"got '<U3'"),
        ("c8", r"got 'complex64'"),
        ("O", r"got 'object'"),
    ):
        arrays["conv1.bias"] = np.zeros(arrays["conv1.bias"].shape, dtype=other)
        np.savez(file, **arrays)
        with pytest.raises(UserError, match=sentence):
            Network.load(folder / "network.yaml")


# --- networks that take sequences -------------------------------------------------------------

GOOD = """format: 2
name: small
dataset: text
input: {shape: [3], scale: 0.01, symbols: "ab"}
weights: weights.npz
nodes:
- {name: lstm, op: lstm, hidden: 2, input_gmax: 10, hidden_gmax: 20,
   gate_scales: [0.1, 0.2, 0.3, 0.4], output_scale: 0.5}
- {name: dense, op: dense, outputs: 2, relu: false, gmax: 30, output_scale: 0.6}
metric: {name: bpc, float: 1.5}
"""
ARRAYS = {
    "embedding": np.arange(6, dtype=np.int8).reshape(2, 3),
    "lstm.input": np.ones((3, 8), np.float16),
    "lstm.hidden": np.ones((2, 8), np.float16),
    "lstm.bias": np.zeros(8, np.float32),
    "dense.weight": np.ones((2, 2), np.float16),
    "dense.bias": np.zeros(2, np.float32),
}


def _write(folder, text: str = GOOD, **arrays):
    (folder / "network.yaml").write_text(text)
    np.savez(folder / "weights.npz", **(ARRAYS | arrays))
    (folder / TEXT).write_text("abba")
    return folder / "network.yaml"


def test_what_is_written_is_read(tmp_path) -> None:
    found = Network.load(_write(tmp_path))
    graph, lstm = found.graph, found.graph.nodes[0]
    assert (lstm.hidden, graph.outputs, graph.metric.float) == (2, 2, 1.5)
    assert lstm.gate_scales == (0.1, 0.2, 0.3, 0.4)
    assert found.embedding.dtype == np.int8
    assert found.weights["lstm"].input.dtype == np.float32
    np.testing.assert_array_equal(found.weights["dense"].weight, ARRAYS["dense.weight"])
    assert Network.find(str(tmp_path / "network.yaml")).graph == graph
    assert found.text == "abba"


def test_without_a_dense_layer_the_hidden_state_is_the_output(tmp_path) -> None:
    text = GOOD.replace("dataset: text", "dataset: random").replace(', symbols: "ab"', "")
    lines = [
        line for line in text.splitlines() if not line.startswith(("- {name: dense", "metric"))
    ]
    found = Network.load(_write(tmp_path, "\n".join(lines)))
    assert (found.graph.outputs, found.embedding, list(found.weights)) == (2, None, ["lstm"])


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"ab"', '"aa"', "input.symbols: got 'aa', expected characters that are all different"),
        (
            "outputs: 2",
            "outputs: 3",
            "nodes.dense.outputs: got 3, expected as many as input.symbols has",
        ),
        ("dataset: text", "dataset: random", "input.symbols: got 'ab', expected nothing"),
        (', symbols: "ab"', "", "input.symbols: got nothing, expected the symbols of the text"),
        ("input_gmax: 10", "input_gmax: 511", "nodes.0.input_gmax: got 511, expected less than or"),
        (", 0.4]", "]", "nodes.0.gate_scales: got .*, expected 4 numbers"),
        ("nodes:", "knots:", "knots: unknown key: expected one of format, name, dataset"),
        ("hidden: 2,", "hidden: 0,", "nodes.0.hidden: got 0, expected"),
        ("hidden: 2,", "gates: 4, hidden: 2,", "nodes.0.gates: unknown key: expected one of name"),
        ("name: small", "name: Small", "name: got 'Small', expected"),
        (
            "[3]",
            "[1, 1, 3]",
            r"input.shape: got \[1, 1, 3\], expected \[size\]: an L",
        ),
        ("dataset: text", "dataset: cifar10", r"input.shape: got \[3\], expected an image's"),
        ("name: bpc", "name: accuracy", "metric.float: got 1.5, expected 0 to 1 for an accuracy"),
    ],
)
def test_mistakes_are_reported(tmp_path, old: str, new: str, sentence: str) -> None:
    assert old in GOOD
    with pytest.raises(UserError, match=f"network.yaml: {sentence}"):
        Network.load(_write(tmp_path, GOOD.replace(old, new)))


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("lstm.hidden", np.ones((2, 7)), r"lstm.hidden: shape: got \[2, 7\], expected \[2, 8\]"),
        ("embedding", np.ones((2, 3)), "embedding: type: got float64, expected int8"),
        ("lstm.bias", np.full(8, np.nan), "lstm.bias: got nan, expected values that are finite"),
        ("dense.bias", np.array(["a", "b"]), "dense.bias: type: got '<U1', expected numbers"),
    ],
)
def test_weights_that_do_not_fit_are_reported(tmp_path, name: str, array, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Network.load(_write(tmp_path, **{name: array}))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"abc",
            "text.txt: character 2: got 'c', expected one of the network's input.symbols, 'ab'",
        ),
        (b"a", "text.txt: got 1 characters, expected two or more"),
        (b"", "text.txt: got 0 characters, expected two or more"),
        (b"ab\xff", "text.txt: line 1: cannot read the text: not UTF-8"),
    ],
)
def test_a_bad_text_is_reported(tmp_path, content: bytes, sentence: str) -> None:
    path = _write(tmp_path)
    (tmp_path / TEXT).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        Network.load(path)


def test_a_network_need_not_have_a_text(tmp_path) -> None:
    path = _write(tmp_path)
    (tmp_path / TEXT).unlink()
    assert Network.load(path).text is None


def test_a_name_that_is_not_there_is_reported() -> None:
    with pytest.raises(UserError, match=r"unknown network 'nothing': expected one of .*lstm_ptb"):
        Network.find("nothing")
