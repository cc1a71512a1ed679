"""Which images a network is given, through one tile or from end to end, from the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from caduceus import images
from golden import host
from spec import network
from spec.errors import UserError
from spec.network import Input, Layer, Network, Pool
from train.export import export

pytestmark = pytest.mark.xdist_group("sim")
"""One worker for all of them: runs of `caduceus sim` wait for each other."""

REPOSITORY = Path(__file__).resolve().parent.parent


def _conv(name: str, **shape: object) -> Layer:
    return Layer(name=name, kind="conv", relu=True, gmax=400, output_scale=0.05, **shape)


def _dense() -> Layer:
    return Layer(name="dense", kind="dense", outputs=10, relu=False, gmax=400, output_scale=0.05)


def _layers(pool: str) -> tuple[Layer, ...]:
    window = Pool(kind=pool, size=8, stride=8)
    return _conv("conv", outputs=4, kernel=2, stride=4, padding=0, pool=window), _dense()


ONE_TILE = _layers("max")
"""For the 16x16 array of `tiny`, one layer after the other."""
END_TO_END = _layers("average")
"""A tile cannot average for its host, so this one runs with a tile for each layer."""


def _write(folder: Path, dataset: str, channels: int, layers: tuple[Layer, ...]) -> Path:
    """A network of random weights; its description."""
    random = np.random.default_rng(0)
    described = Network(
        format=1, name="mine", dataset=dataset, weights="weights.npz", layers=layers,
        input=Input(height=32, width=32, channels=channels, scale=1 / 127),
        **({} if dataset == "random" else {"float_accuracy": 0.1}),
    )  # fmt: skip
    arrays = {}
    for layer, rows in zip(layers, (4 * channels, 4), strict=True):
        size = (rows, layer.outputs)
        arrays[f"{layer.name}.weight"] = random.normal(0, 0.3, size).astype(np.float16)
        arrays[f"{layer.name}.bias"] = np.zeros(layer.outputs, np.float32)
    export(described, arrays, folder)
    return folder / "network.yaml"


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    """Folder with three made test images."""
    records = np.random.default_rng(1).integers(0, 256, (3, 3073), dtype=np.uint8)
    records[:, 0] %= 10
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes())
    return tmp_path


def _caduceus(*arguments: object, **environment: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "caduceus", *map(str, arguments)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
        env=os.environ | {key: str(value) for key, value in environment.items()},
    )  # fmt: skip


@pytest.mark.parametrize("layers", [ONE_TILE, END_TO_END], ids=["one tile", "end to end"])
def test_cifar10_runs_from_its_files(tmp_path: Path, cifar10: Path, layers: tuple) -> None:
    described = _write(tmp_path / "net", "cifar10", 3, layers)
    output = tmp_path / "result.json"
    what = ("--chip", "tiny", "--net", described, "--images", 3)
    run = _caduceus("sim", *what, "--output", output, CIFAR10=cifar10)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    assert (report["mismatches"], report["inputs"]) == (0, 3)
    assert 0 <= report["rtl_accuracy"] <= 1
    run = _caduceus("accuracy", *what, CIFAR10=cifar10)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"golden {report['rtl_accuracy']:.2%} of 3 images" in run.stdout
    run = _caduceus("sim", *what)
    assert run.returncode == 2
    assert "environment variable CIFAR10" in run.stderr and run.stderr.count("\n") == 1


@pytest.mark.parametrize("layers", [ONE_TILE, END_TO_END], ids=["one tile", "end to end"])
def test_random_images_have_no_accuracy(tmp_path: Path, layers: tuple) -> None:
    what = ("--chip", "tiny", "--net", _write(tmp_path / "net", "random", 3, layers))
    run = _caduceus("accuracy", *what)
    assert run.returncode == 2
    assert "takes random images: allowed is one with a data set" in run.stderr
    output = tmp_path / "result.json"
    run = _caduceus("sim", *what, "--images", 1, "--output", output)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    assert report["mismatches"] == 0 and "rtl_accuracy" not in report


def test_smaller_images_stand_in_the_middle(tmp_path: Path) -> None:
    found, _ = network.load(_write(tmp_path, "fashion_mnist", 1, ONE_TILE))
    given, labels = images.pictures(found, 2)
    shipped, expected = images.first(2)
    assert given.shape == (2, 32, 32, 1)
    np.testing.assert_array_equal(given[:, 2:30, 2:30, 0], shipped)
    assert given.sum() == shipped.sum()
    np.testing.assert_array_equal(labels, expected)
    x, _ = images.inputs(found, 2)
    np.testing.assert_array_equal(
        x[1, :, 0], host.quantise_input(given[1, ..., 0], found.input.scale).ravel()
    )


def test_images_of_another_kind_are_refused(tmp_path: Path) -> None:
    found, _ = network.load(_write(tmp_path, "fashion_mnist", 3, ONE_TILE))
    with pytest.raises(UserError, match="takes 32x32x3: allowed for images of fashion_mnist is"):
        images.inputs(found, 1)
