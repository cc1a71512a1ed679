"""Network descriptions and their weights: shapes, and one sentence for each mistake."""

import shutil
import warnings

import numpy as np
import pytest
import yaml

from spec import network, recurrent
from spec.errors import UserError


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(network.NETWORKS_DIR / "fashion_tiny", tmp_path / "net")
    return tmp_path / "net"


def edit(folder, change):
    path = folder / "network.yaml"
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))
    return path


def test_shipped_networks_load():
    assert {"fashion_small", "fashion_tiny"} <= set(network.available())
    for name in network.available():
        found = recurrent.find(name) or network.find(name)
        assert found[0].name == name


def test_geometry_follows_the_layers():
    description, _ = network.find("fashion_small")
    conv1, conv2, dense = network.geometries(description)
    assert (conv1.input, conv1.rows, conv1.output) == ((28, 28, 1), 9, (28, 28, 28))
    assert (conv1.pooled, conv2.rows) == ((14, 14, 28), 252)
    assert (dense.rows, dense.output) == (256, (1, 1, 10))


def test_an_unknown_name_lists_those_there_are():
    with pytest.raises(
        UserError, match=r"unknown network 'x': there are .*fashion_small, fashion_t"
    ):
        network.find("x")


def test_random_images_need_no_accuracy(folder):
    def change(document):
        document.update(dataset="random")
        del document["float_accuracy"]

    description, _ = network.load(edit(folder, change))
    assert description.float_accuracy is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d["layers"][0].update(gmax=511), r"layers\.0\.gmax = 511: allowed is"),
        (lambda d: d["layers"][0].update(knrl=2), r"layers\.0\.knrl = 2: unknown key, allowed are"),
        (lambda d: d["layers"][-1].update(kernel=2), r"kernel = 2: allowed is nothing: a dense"),
        (lambda d: d["layers"][0].update(kernel=29), r"layer conv1: kernel = 29: allowed is at m"),
        (lambda d: d["layers"][2]["pool"].update(size=9), r"layer conv3: pool\.size = 9: allowed"),
        (lambda d: d.pop("float_accuracy"), r"yaml: float_accuracy is missing$"),
        (lambda d: d.update(float_accuracy=None), r"yaml: float_accuracy is missing$"),
        (lambda d: d.update(float_accuracy=2.0), r"float_accuracy = 2\.0: allowed is"),
        (lambda d: d.update(dataset="random"), r"float_accuracy = 0\.8189: allowed is nothing: d"),
        (lambda d: d.update(dataset="mnist"), r"dataset = 'mnist': allowed is"),
        (lambda d: d.update(layers=[]), r"layers = \(\): allowed is|layers = "),
        (lambda d: d["layers"].append(d["layers"][0]), r"layers = .*: allowed is distinct"),
        (lambda d: d.update(weights="none.npz"), r"none\.npz: cannot read the weights"),
        (lambda d: d["layers"][0].update(outputs=15), r"conv1\.weight is \[16, 16\]: allowed is"),
    ],
)
def test_a_mistake_is_one_sentence(folder, change, sentence):
    path = edit(folder, change)
    with pytest.raises(UserError, match=sentence) as refusal:
        network.load(path)
    assert "\n" not in str(refusal.value)


def test_damaged_weights_are_refused(folder):
    file = folder / "weights.npz"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UserError, match=r"weights\.npz: not a weights file"):
        network.load(folder / "network.yaml")


def test_weights_that_are_not_numbers_are_refused(folder):
    file = folder / "weights.npz"
    with np.load(file) as content:
        arrays = {name: content[name] for name in content.files}
    arrays["conv1.bias"] = np.full_like(arrays["conv1.bias"], np.nan)
    np.savez(file, **arrays)
    with pytest.raises(UserError, match=r"conv1\.bias holds a value that is not finite"):
        network.load(folder / "network.yaml")
    arrays["conv1.bias"] = np.zeros_like(arrays["conv1.bias"])
    steps = {"conv1.weight_step": np.float32(1e38)}
    np.savez(file, **arrays | {"conv1.weight": 100 * np.ones_like(arrays["conv1.weight"])}, **steps)
    sentence = r"conv1\.weight times conv1\.weight_step = 1e\+38 holds"
    with warnings.catch_warnings(), pytest.raises(UserError, match=sentence):
        warnings.simplefilter("error")
        network.load(folder / "network.yaml")
    for other, sentence in (("U3", r"is <U3"), ("c8", r"is complex64"), ("O", r"not a weights")):
        arrays["conv1.bias"] = np.zeros(arrays["conv1.bias"].shape, dtype=other)
        np.savez(file, **arrays)
        with pytest.raises(UserError, match=sentence):
            network.load(folder / "network.yaml")
