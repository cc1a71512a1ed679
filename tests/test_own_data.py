"""The user's own data beside a description, and networks that are saved and loaded."""

import io
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caduceus.spec import network_file, own_data
from caduceus.spec.errors import UserError
from caduceus.spec.graph import Graph
from caduceus.spec.network import Network, Weights
from caduceus.spec.own_data import OwnData

RANDOM = np.random.default_rng(20)


def network(data: OwnData | None = None, **changes) -> Network:
    """One dense layer of four values to three."""
    graph = Graph.model_validate(
        {
            "format": 2, "name": "small", "dataset": "own", "weights": "weights.npz",
            "input": {"shape": (4,), "scale": 0.01},
            "nodes": ({"name": "dense", "op": "dense", "outputs": 3, "relu": False, "gmax": 510,
                       "output_scale": 1.5e-5},),
            **changes,
        }
    )  # fmt: skip
    weight = RANDOM.normal(size=(4, 3)).astype(np.float32)
    return Network(graph, {"dense": Weights(weight, np.ones(3, np.float32))}, data=data)


def same(left: Network, right: Network) -> bool:
    """Equal in every value and type."""
    assert left.graph == right.graph and left.text == right.text
    assert list(left.weights) == list(right.weights)
    pairs = [(left.embedding, right.embedding)]
    for name, mine in left.weights.items():
        other = right.weights[name]
        assert type(mine) is type(other)
        pairs += [(getattr(mine, each.name), getattr(other, each.name)) for each in fields(mine)]
    assert (left.data is None) == (right.data is None)
    if left.data is not None:
        pairs += [
            (getattr(left.data, each.name), getattr(right.data, each.name))
            for each in fields(OwnData)
        ]
    for one, two in pairs:
        assert (one is None) == (two is None)
        if one is not None:
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)
    return True


INPUTS = RANDOM.normal(size=(5, 4))
DATA = {
    "none": None,
    "alone": OwnData(INPUTS),
    "labels": OwnData(INPUTS.astype(np.float32), labels=np.arange(5, dtype=np.uint8) % 3),
    "targets": OwnData(INPUTS.astype(np.float16), targets=RANDOM.normal(size=(5, 3))),
}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_what_is_saved_is_loaded(tmp_path, data):
    host = {
        "layout": "vector",
        "before": ({"op": "normalize", "factor": (0.1,), "shift": (1e-9, 2.0, 3.0, 4.0)},),
        "after": ({"op": "softmax", "origin": "/out: Softmax"},),
    }
    found = network(data, host=host)
    found.save(tmp_path / "a")
    loaded = Network.load(tmp_path / "a" / "network.yaml")
    assert same(loaded, found)
    loaded.save(tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(["network.yaml", "weights.npz"] + ["data.npz"] * (data is not None))
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_codes_of_columns_are_saved_and_loaded(tmp_path):
    plain = network()
    codes = np.array([510, 1, 300], np.uint16)
    found = replace(plain, weights={"dense": replace(plain.weights["dense"], gmax=codes)})
    found.save(tmp_path)
    assert same(Network.load(tmp_path / "network.yaml"), found)


@pytest.mark.parametrize("name", ["fashion_tiny", "lstm_tiny", "conv_32x16"])
def test_shipped_networks_are_saved_and_loaded(tmp_path, name):
    found = Network.find(name)
    found.save(tmp_path)
    assert same(Network.load(tmp_path / "network.yaml"), found)


def test_another_network_in_the_folder_leaves_no_data(tmp_path):
    network(DATA["labels"]).save(tmp_path)
    network().save(tmp_path)
    assert Network.load(tmp_path / "network.yaml").data is None


def test_data_that_replace_a_data_set_are_saved_too(tmp_path):
    data = OwnData(RANDOM.integers(0, 256, (3, 28, 28, 1), dtype=np.uint8))
    found = Network.find("fashion_tiny").with_data(data)
    found.save(tmp_path)
    assert same(Network.load(tmp_path / "network.yaml"), found)


@pytest.mark.parametrize("name", ["../w.npz", "data.npz", "network.yaml", "a/w.npz"])
def test_weights_lie_beside_the_description(tmp_path, name):
    with pytest.raises(UserError, match=r"network small: weights: got .*, expected the name of a"):
        network(weights=name).save(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"weights\.npz: cannot write the weights: "):
        network().save(tmp_path / "file")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({}, r"inputs is missing: expected an array of that name$"),
        ({"inputs": np.zeros(3)}, r"inputs: shape: got \[3\], expected \[n, \.\.\.\], two axes"),
        ({"inputs": np.zeros((0, 3))}, r"inputs: shape: got \[0, 3\], expected one value or more"),
        ({"inputs": INPUTS * 1j}, r"inputs: type: got 'complex128', expected numbers$"),
        ({"inputs": INPUTS, "labels": np.arange(4)}, r"labels: got 4, expected one per input \(5"),
        ({"inputs": INPUTS, "labels": np.ones(5)}, r"labels: type: got 'float64', expected integ"),
        ({"inputs": INPUTS, "targets": np.ones((4, 3))}, r"targets: got 4, expected one per"),
        ({"inputs": INPUTS, "targets": INPUTS * np.inf}, r"targets: got -?inf, expected finite"),
        (
            {"inputs": INPUTS, "targets": INPUTS, "labels": np.arange(5)},
            r"labels: got targets as well, expected one of them",
        ),
    ],
)
def test_bad_data_are_one_sentence(tmp_path, arrays, sentence):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(UserError, match=rf"data\.npz: {sentence}") as refusal:
        OwnData.load(tmp_path / "data.npz")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_inputs_are_finite_wherever_the_bad_one_is(tmp_path, bad):
    inputs = np.zeros((3, 1 << 20), np.float32)
    inputs[2, -1] = bad
    np.save(tmp_path / "data.npy", inputs)
    with pytest.raises(UserError, match=rf"inputs: got {bad}, expected finite values"):
        OwnData.load(tmp_path / "data.npy")


def test_inputs_alone_may_be_one_array(tmp_path):
    for array in (INPUTS, np.asfortranarray(INPUTS), INPUTS.astype(">f4")):
        np.save(tmp_path / "data.npy", array)
        np.testing.assert_array_equal(OwnData.load(tmp_path / "data.npy").inputs, array)
    assert OwnData.load(tmp_path / "data.npy").metric is None


def test_pickles_are_refused(tmp_path):
    np.save(tmp_path / "data.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"data\.npy: type: got 'object', expected numbers"):
        OwnData.load(tmp_path / "data.npy")


def test_an_array_that_is_too_large_is_refused_unread(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "data.npz", inputs=np.zeros((1, 1 << 20), np.uint8))
    monkeypatch.setattr(own_data, "BYTES_MAX", 1 << 16)
    with pytest.raises(UserError, match=r"inputs: got 1048576 bytes, expected at most 65536"):
        OwnData.load(tmp_path / "data.npz")


def _bytes(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "npy":
        np.save(buffer, INPUTS)
    else:
        np.savez(buffer, inputs=INPUTS, labels=np.arange(5))
    return buffer.getvalue()


@settings(max_examples=200, deadline=None)
@given(st.data())
@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_damaged_data_give_data_or_one_sentence(tmp_path_factory, kind, data):
    content = bytearray(_bytes(kind))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    path = tmp_path_factory.mktemp("damaged") / f"data.{kind}"
    path.write_bytes(content)
    try:
        OwnData.load(path)
    except UserError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)


def test_a_description_whose_data_are_damaged_is_refused(tmp_path):
    network(DATA["labels"]).save(tmp_path)
    file = tmp_path / network_file.DATA
    file.write_bytes(file.read_bytes()[:99])
    with pytest.raises(UserError, match=r"data\.npz: not a data file \(\.npz\), or damaged"):
        Network.load(tmp_path / "network.yaml")


def test_an_embedding_needs_no_symbols(tmp_path):
    found = Network.find("lstm_tiny")
    graph = found.graph
    entries = len(found.embedding)
    content = graph.model_dump(exclude_unset=True, exclude={"metric"})
    content["input"] = {key: content["input"][key] for key in ("shape", "scale")}
    content |= {"dataset": "own", "host": {"before": ({"op": "embedding", "entries": entries},)}}
    own = replace(found, graph=Graph.model_validate(content), text=None)
    own.save(tmp_path)
    assert same(Network.load(tmp_path / "network.yaml"), own)
