"""Descriptions of recurrent networks: what is read, and what is wrong told in one sentence."""

import numpy as np
import pytest

from spec import network, recurrent
from spec.errors import UserError

GOOD = """format: 1
name: small
dataset: text
input: {size: 3, scale: 0.01, symbols: "ab"}
weights: weights.npz
lstm:
  {hidden: 2, input_gmax: 10, hidden_gmax: 20, gate_scales: [0.1, 0.2, 0.3, 0.4], output_scale: 0.5}
dense: {outputs: 2, gmax: 30, output_scale: 0.6}
float_bpc: 1.5
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
    (folder / recurrent.TEXT).write_text("abba")
    return folder / "network.yaml"


def test_what_is_written_is_read(tmp_path) -> None:
    found, weights = recurrent.load(_write(tmp_path))
    assert (found.lstm.hidden, found.outputs, found.float_bpc) == (2, 2, 1.5)
    assert found.lstm.gate_scales == (0.1, 0.2, 0.3, 0.4)
    assert weights.embedding.dtype == np.int8
    assert weights.input.dtype == np.float32
    np.testing.assert_array_equal(weights.dense, ARRAYS["dense.weight"])
    assert recurrent.find(str(tmp_path / "network.yaml"))[0] == found
    assert weights.text == "abba"


def test_without_a_dense_layer_the_hidden_state_is_the_output(tmp_path) -> None:
    text = GOOD.replace("dataset: text", "dataset: random").replace(', symbols: "ab"', "")
    lines = [line for line in text.splitlines() if not line.startswith(("dense", "float"))]
    found, weights = recurrent.load(_write(tmp_path, "\n".join(lines)))
    assert (found.outputs, weights.embedding, weights.dense) == (2, None, None)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"ab"', '"aa"', "input.symbols = 'aa': allowed is characters that are all different"),
        ("outputs: 2", "outputs: 3", "dense.outputs = 3: allowed is as many as input.symbols has"),
        ("dataset: text", "dataset: random", "input.symbols = 'ab': allowed is nothing"),
        (', symbols: "ab"', "", "input.symbols = None: allowed is the symbols of the text"),
        ("input_gmax: 10", "input_gmax: 511", "lstm.input_gmax = 511: allowed is less than or"),
        (", 0.4]", "]", "lstm.gate_scales = .*: allowed is 4 numbers"),
        ("lstm:", "lstn:", "lstn = .*: unknown key, allowed are format, name, dataset"),
        ("hidden: 2", "hidden: 0", "lstm.hidden = 0: allowed is"),
        ("{hidden: 2", "{gates: 4, hidden: 2", "lstm.gates = 4: unknown key, allowed are hidden"),
        ("name: small", "name: Small", "name = 'Small': allowed is"),
    ],
)
def test_mistakes_are_told(tmp_path, old: str, new: str, sentence: str) -> None:
    assert old in GOOD
    with pytest.raises(UserError, match=f"network.yaml: {sentence}"):
        recurrent.load(_write(tmp_path, GOOD.replace(old, new)))


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("lstm.hidden", np.ones((2, 7)), r"lstm.hidden is \[2, 7\]: allowed is \[2, 8\]"),
        ("embedding", np.ones((2, 3)), "embedding is float64: allowed is int8"),
        ("lstm.bias", np.full(8, np.nan), "lstm.bias holds a value that is not finite"),
        ("dense.bias", np.array(["a", "b"]), "dense.bias is <U1: allowed are real numbers"),
    ],
)
def test_weights_that_do_not_fit_are_told(tmp_path, name: str, array, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        recurrent.load(_write(tmp_path, **{name: array}))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"abc", "text.txt: character 2 is 'c': allowed are the network's input.symbols, 'ab'"),
        (b"a", "text.txt: 1 characters: allowed are two or more"),
        (b"", "text.txt: 0 characters: allowed are two or more"),
        (b"ab\xff", "text.txt: cannot read the text: not UTF-8"),
    ],
)
def test_a_bad_text_is_told(tmp_path, content: bytes, sentence: str) -> None:
    path = _write(tmp_path)
    (tmp_path / recurrent.TEXT).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        recurrent.load(path)


def test_a_network_need_not_have_a_text(tmp_path) -> None:
    path = _write(tmp_path)
    (tmp_path / recurrent.TEXT).unlink()
    assert recurrent.load(path)[1].text is None


def test_networks_of_the_other_kind_are_left_alone() -> None:
    assert recurrent.find("fashion_tiny") is None
    for name in ("lstm_ptb", "lstm_tiny", "lstm_504"):
        assert name in network.available()
        assert recurrent.find(name)[0].name == name


def test_a_name_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match=r"unknown network 'nothing': there are .*lstm_ptb"):
        recurrent.find("nothing")
