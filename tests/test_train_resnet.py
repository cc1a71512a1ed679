"""The residual networks: what training and chance left behind, in the chip's arithmetic.

That arithmetic is `cnn_reference`'s, which shares nothing with `train/`. Nothing here needs
PyTorch, except the comparison with the training script's own model of the chip.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from cnn_reference import reference
from numpy.typing import NDArray
from weights_files import same_arrays

import caduceus.data as data
from caduceus.compiler.split import split
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.graph import Graph, geometries
from caduceus.spec.network import NETWORKS, Network
from caduceus.spec.shipped import shipped_folder
from train import random_network
from train.export import export
from train.topology import tasks

IMAGES = Path(data.__file__).with_name("fashion_mnist_test20.npz")
RESNET9 = tasks()["resnet9"]
RANDOM = {"resnet_tiny": ("tiny", 4), "resnet8": ("hermes", 14), "resnet20": ("hermes", 38)}
"""Chip, and tiles that a network takes without replicas."""

each_random = pytest.mark.parametrize("name", sorted(RANDOM))
each_mode = pytest.mark.parametrize("mode", ReadMode)


def _pixels(images: NDArray[np.uint8], border: int) -> NDArray[np.int8]:
    """Images [n, y, x, channels] as networks are given them, [n, pixels, channels]."""
    around = (border, border)
    x = np.rint(images.astype(np.float64) / 255 * 127).astype(np.int8)
    x = np.pad(x, ((0, 0), around, around, (0, 0)))
    return x.reshape(len(x), -1, x.shape[-1])


def _shipped(count: int) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    with np.load(IMAGES) as data:
        return _pixels(data["images"][:count, :, :, np.newaxis], 2), data["labels"][:count]


# --- the committed ResNet-9 ----------------------------------------------------------------------
def test_resnet9_has_the_shapes_that_training_describes() -> None:
    found = Network.find("resnet9")
    committed, weights = found.graph, found.weights
    layers = tuple(
        shape.model_copy(update={"gmax": layer.gmax, "output_scale": layer.output_scale})
        for shape, layer in zip(RESNET9.untrained.nodes, committed.nodes, strict=True)
    )
    update = {"nodes": layers, "metric": committed.metric, "scaling": "column"}
    assert committed == RESNET9.untrained.model_copy(update=update)
    published = [9, 504, 1008, 1008, 1008, 2016, 2016, 2016, 224]
    assert [len(weights[layer.name].weight) for layer in committed.nodes] == published
    assert round(sum(each.weight.size for each in weights.values()) / 1e6, 2) == 1.87


def test_resnet9_is_exported_as_committed(tmp_path: Path) -> None:
    committed = Network.find("resnet9").graph
    with np.load(shipped_folder(NETWORKS) / "resnet9" / committed.weights) as file:
        arrays = dict(file)
    for layer in committed.nodes:
        assert arrays[f"{layer.name}.weight"].dtype == np.int8
        assert arrays[f"{layer.name}.weight_step"].dtype == np.float32
        assert arrays[f"{layer.name}.bias"].dtype == np.float32
        assert np.abs(arrays[f"{layer.name}.weight"]).max() == 127
    export(committed, arrays, tmp_path, compressed=True)
    shipped, description = shipped_folder(NETWORKS) / "resnet9", "network.yaml"
    assert (tmp_path / description).read_bytes() == (shipped / description).read_bytes()
    assert same_arrays(tmp_path / committed.weights, shipped / committed.weights)


@each_mode
def test_resnet9_classifies_in_the_chips_arithmetic(mode: ReadMode) -> None:
    found = Network.find("resnet9")
    committed, weights = found.graph, found.weights
    x, labels = _shipped(10)
    maps = reference(committed, weights, RESNET9.chip, mode, x)
    logits = maps["dense"].pooled.reshape(len(x), -1)
    assert int((logits.argmax(axis=1) == labels).sum()) >= 8
    for layer in committed.nodes[:-1]:
        assert np.mean(maps[layer.name].results == 127) < 0.02, layer.name


@pytest.mark.regress  # PyTorch comes with `make regress`, not with `make test`
def test_the_training_scripts_model_is_the_chips() -> None:
    """Its affine step is in binary32, the chip's in binary16: they may differ by a step or two.

    Training scales layers per core.
    """
    import torch

    from train import analog_network

    torch.set_num_threads(1)
    found = Network.find("resnet9").per_core()
    committed, weights = found.graph, found.weights
    model = analog_network.AnalogNetwork(RESNET9)
    model.fold_norm()
    with torch.no_grad():
        for each, layer in zip(model.layers, committed.nodes, strict=True):
            given = weights[layer.name]
            window = each.weight.permute(2, 3, 1, 0)
            window.copy_(torch.from_numpy(given.weight).reshape(window.shape))
            each.bias.copy_(torch.from_numpy(given.bias))
            each.gmax, each.output_scale = layer.gmax, layer.output_scale
        scales = {None: committed.input.scale}
        scales |= {layer.name: layer.output_scale for layer in committed.nodes}
        for each, source in zip(model.layers, committed.inputs, strict=True):
            each.input_scale = scales[source]
            each.residual_scale = scales[each.layer.residual]
        x, _ = _shipped(2)
        image = torch.from_numpy(x.reshape(2, 1, 32, 32).astype(np.float32) / 127)
        model.eval()
        for mode, phases in ((ReadMode.ONE_PHASE, 1), (ReadMode.FOUR_PHASE, 4)):
            logits = model.analog(image, phases).numpy() / committed.nodes[-1].output_scale
            expected = reference(committed, weights, RESNET9.chip, mode, x)["dense"].pooled
            assert np.abs(logits - expected.reshape(2, -1)).max() <= 4


# --- networks with random weights ----------------------------------------------------------------
@dataclass(frozen=True)
class Made:
    described: Graph
    arrays: dict[str, NDArray]


@pytest.fixture(scope="module")
def made() -> dict[str, Made]:
    return {each[0].name: Made(*each) for each in random_network.networks()}


@each_random
def test_random_networks_are_made_as_committed(made: dict[str, Made], name: str) -> None:
    """Weights to the bit; what matrix products went into, as far as their order of sums goes."""
    committed = Network.find(name).graph
    with np.load(shipped_folder(NETWORKS) / name / committed.weights) as file:
        arrays = dict(file)
    assert arrays.keys() == made[name].arrays.keys()
    for key, array in made[name].arrays.items():
        assert array.dtype == arrays[key].dtype
        tolerance = 1e-5 if key.endswith("bias") else 0
        np.testing.assert_allclose(array, arrays[key], rtol=tolerance, err_msg=key)
    for again, layer in zip(made[name].described.nodes, committed.nodes, strict=True):
        assert again.output_scale == pytest.approx(layer.output_scale, rel=1e-5)
        assert abs(again.gmax - layer.gmax) <= 1
        assert again == layer.model_copy(
            update={"gmax": again.gmax, "output_scale": again.output_scale}
        )


@each_random
def test_random_networks_fit_their_chip(name: str) -> None:
    committed = Network.find(name).graph
    on, tiles = RANDOM[name]
    device = Chip.find(on)
    used = 0
    for layer, geometry in zip(committed.nodes, geometries(committed), strict=True):
        blocks = split(geometry.rows, layer.outputs, device)
        used += len(blocks.rows) * len(blocks.columns)
    assert used == tiles <= device.grid.rows * device.grid.columns


@each_random
@each_mode
def test_random_networks_use_the_range_and_rarely_leave_it(name: str, mode: ReadMode) -> None:
    found = Network.find(name)
    committed, weights = found.graph, found.weights
    shape = committed.input
    random = np.random.default_rng(11)
    size = (3, shape.height, shape.width, shape.channels)
    x = _pixels(random.integers(0, 256, size, dtype=np.uint8), 0)
    maps = reference(committed, weights, Chip.find(RANDOM[name][0]), mode, x)
    for layer in committed.nodes:
        results = np.abs(maps[layer.name].results)
        assert results.max() >= 40, layer.name
        assert np.mean(results == 127) < 0.02, layer.name
    logits = maps["dense"].pooled.reshape(3, -1)
    assert (logits[0] != logits[1]).any() and (logits[1] != logits[2]).any()
