"""Images for a network, through one tile or end to end, from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from cnn_networks import conv, dense, written
from command_line import caduceus, here

from caduceus.data import inputs, pictures
from caduceus.spec.errors import UserError
from caduceus.spec.graph import Layer, Pool
from caduceus.spec.network import Network

pytestmark = pytest.mark.xdist_group("sim")
"""One worker for all of them: runs of `caduceus sim` wait for each other."""


def _layers(pool: str) -> tuple[Layer, ...]:
    window = Pool(kind=pool, size=8, stride=8)
    return conv("conv", 4, kernel=2, stride=4, pool=window), dense(10)


ONE_TILE = _layers("max")
"""For the 16x16 array of `tiny`, one layer after the other."""
END_TO_END = _layers("average")
"""A tile cannot average for its host, so this one runs with a tile for each layer."""


def _write(folder: Path, dataset: str, channels: int, layers: tuple[Layer, ...]) -> Path:
    return written(folder, (32, 32, channels), layers, dataset)


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    """Folder with three made test images."""
    records = np.random.default_rng(1).integers(0, 256, (3, 3073), dtype=np.uint8)
    records[:, 0] %= 10
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes())
    return tmp_path


@pytest.mark.parametrize(
    "layers",
    [pytest.param(ONE_TILE, marks=pytest.mark.regress), END_TO_END],
    ids=["one tile", "end to end"],
)
def test_cifar10_runs_from_its_files(tmp_path: Path, cifar10: Path, layers: tuple) -> None:
    described = _write(tmp_path / "net", "cifar10", 3, layers)
    output = tmp_path / "result.json"
    what = ("--chip", "tiny", "--net", described, "--images", 3)
    run = caduceus("sim", *what, "--output", output, CIFAR10=cifar10)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    assert (report["mismatches"], report["inputs"]) == (0, 3)
    assert 0 <= report["metric"]["value"] <= 1
    run = caduceus("accuracy", *what, CIFAR10=cifar10)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"golden {report['metric']['value']:.2%} of 3 images" in run.stdout
    run = caduceus("sim", *what)
    assert run.returncode == 2
    assert "environment variable CIFAR10" in run.stderr and run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "layers",
    [pytest.param(ONE_TILE, marks=pytest.mark.regress), END_TO_END],
    ids=["one tile", "end to end"],
)
def test_random_images_have_no_accuracy(tmp_path: Path, layers: tuple) -> None:
    what = ("--chip", "tiny", "--net", _write(tmp_path / "net", "random", 3, layers))
    # Nor are they made: so many would not fit the memory.
    run = here("accuracy", *what, "--images", 100_000_000)
    assert run.returncode == 2
    assert "takes random images: expected one with a data set" in run.stderr
    assert run.stderr.count("\n") == 1
    output = tmp_path / "result.json"
    run = caduceus("sim", *what, "--images", 1, "--output", output)
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads(output.read_text())
    assert report["mismatches"] == 0 and report["metric"] is None


def test_cifar10_images_are_those_of_the_files(
    tmp_path: Path, cifar10: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(pictures.CIFAR10_VARIABLE, str(cifar10))
    layers = (conv("conv", 4, kernel=2, stride=2),)
    found = Network.load(written(tmp_path / "net", (34, 40, 3), layers, "cifar10"))
    given = inputs(found, 2)
    x, labels = given.x, given.labels
    # A record is the label, then the pixels, colour by colour and row by row.
    records = np.fromfile(cifar10 / "test_batch.bin", np.uint8).reshape(3, 3073)[:2]
    np.testing.assert_array_equal(labels, records[:, 0])
    expected = np.zeros((2, 34, 40, 3), np.uint8)
    expected[:, 1:33, 4:36] = records[:, 1:].reshape(2, 3, 32, 32).transpose(0, 2, 3, 1)
    assert x.shape == (2, 34 * 40, 3) and x.dtype == np.int8
    # A pixel of 1.0 is 127 steps of 1 / 127; there are no ties.
    np.testing.assert_array_equal(x, np.rint(expected / 255 * 127).reshape(x.shape))
    with pytest.raises(UserError, match=r"^images: got 4, expected 1 to 3$"):
        inputs(found, 4)


def test_smaller_images_stand_in_the_middle(tmp_path: Path) -> None:
    found = Network.load(_write(tmp_path, "fashion_mnist", 1, ONE_TILE))
    given, labels = pictures.pictures(found.graph, 2)
    shipped, expected = pictures.first(2)
    assert given.shape == (2, 32, 32, 1)
    np.testing.assert_array_equal(given[:, 2:30, 2:30, 0], shipped)
    assert given.sum() == shipped.sum()
    np.testing.assert_array_equal(labels, expected)
    x = inputs(found, 2).x
    np.testing.assert_array_equal(
        x[1, :, 0], pictures.quantise_input(given[1, ..., 0], found.graph.input.scale).ravel()
    )


def test_images_of_another_kind_are_refused(tmp_path: Path) -> None:
    found = Network.load(_write(tmp_path, "fashion_mnist", 3, ONE_TILE))
    with pytest.raises(
        UserError, match=r"input\.shape: got .32, 32, 3., expected at least .28, 28, 1. with"
    ):
        inputs(found, 1)
