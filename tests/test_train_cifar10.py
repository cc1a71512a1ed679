"""CIFAR-10 from made files: the loader, and a network of three channels through its training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from caduceus.data import cifar10
from caduceus.spec.errors import UserError
from caduceus.spec.network import Network
from train.fashion import main
from train.recipe import RECIPES

RECORD = 3073


def _records(count: int, seed: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    records = random.integers(0, 256, (count, RECORD), dtype=np.uint8)
    records[:, 0] %= 10
    return records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """2 images in each of the five training files, 3 in the test file."""
    for number in range(1, 6):
        (tmp_path / f"data_batch_{number}.bin").write_bytes(_records(2, number).tobytes())
    (tmp_path / "test_batch.bin").write_bytes(_records(3, 0).tobytes())
    return tmp_path


def test_load_takes_planes_apart(folder: Path) -> None:
    images, labels = cifar10.load("test", folder)
    records = _records(3, 0)
    assert images.shape == (3, 32, 32, 3)
    assert images.dtype == labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, records[:, 0])
    for image, channel, y, x in ((0, 0, 0, 1), (1, 1, 1, 0), (2, 2, 31, 17)):
        expected = records[image, 1 + 1024 * channel + 32 * y + x]
        assert images[image, y, x, channel] == expected


def test_training_files_come_in_order(folder: Path) -> None:
    images, labels = cifar10.load("train", str(folder))
    assert len(images) == len(labels) == 10
    for number in range(1, 6):
        expected = _records(2, number)[:, 0]
        np.testing.assert_array_equal(labels[2 * number - 2 : 2 * number], expected)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", r"data_batch_3\.bin: CIFAR-10 images: got 0 bytes, expected a multiple of 3073"),
        (
            bytes(RECORD - 1),
            r"data_batch_3\.bin: CIFAR-10 images: got 3072 bytes, expected a multiple of 3073",
        ),
        (
            bytes(RECORD) + b"\x0a" + bytes(RECORD - 1),
            r"data_batch_3\.bin: label: got 10, expected 0 to 9",
        ),
    ],
)
def test_a_damaged_file_is_described(folder: Path, data: bytes, sentence: str) -> None:
    (folder / "data_batch_3.bin").write_bytes(data)
    with pytest.raises(UserError, match=sentence):
        cifar10.load("train", folder)


def test_a_missing_file_says_which_there_have_to_be(folder: Path) -> None:
    (folder / "data_batch_5.bin").unlink()
    with pytest.raises(UserError, match=r"data_batch_5\.bin: missing: .*data_batch_1\.bin, .*"):
        cifar10.load("train", folder)


def test_a_folder_in_a_files_place_cannot_be_read(folder: Path) -> None:
    (folder / "test_batch.bin").unlink()
    (folder / "test_batch.bin").mkdir()
    with pytest.raises(
        UserError, match=r"test_batch\.bin: cannot read the CIFAR-10 images: Is a directory"
    ):
        cifar10.load("test", folder)


def test_an_unknown_split_lists_those_there_are(folder: Path) -> None:
    with pytest.raises(UserError, match=r"^split: got 'validation', expected one of train, test"):
        cifar10.load("validation", folder)


def test_training_without_a_folder_asks_for_it() -> None:
    result = CliRunner().invoke(main, ["--network", "resnet9_cifar10"])
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert "--dataset has to name the folder of its files" in result.output


def test_too_few_images_are_refused(folder: Path) -> None:
    options = ["--network", "resnet9_cifar10", "--dataset", str(folder)]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2
    assert "keeps 2000 training images to choose its scales on: more than the 10" in result.output


@pytest.mark.regress  # PyTorch comes with `make regress`, not with `make test`
def test_three_channels_through_both_stages(tmp_path: Path, monkeypatch) -> None:
    """One batch of small images in each, then an export that can be read."""
    from train import checkpoint, loop

    monkeypatch.setattr(checkpoint, "FOLDER", tmp_path / "checkpoints")
    monkeypatch.setattr(loop, "BATCH", 8)
    recipe = replace(
        RECIPES["resnet9_cifar10"],
        epochs=1,
        analog_epochs=1,
        epoch_images=8,
        sides=(8, 8),
        kept=2,
        calibrated=2,
        clipped=(1e-3, 1e-2),
    )
    records = _records(12, 7)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    training, measuring = (images[:10], records[:10, 0]), (images[10:], records[10:, 0])
    output = tmp_path / "resnet9_cifar10"
    loop.run("resnet9_cifar10", recipe, training, measuring, output, seed=1, threads=1)

    found = Network.load(output / "network.yaml")
    described, weights = found.graph, found.weights
    assert described.dataset == "cifar10"
    assert weights["conv0"].weight.shape == (27, 56)
    with np.load(output / "weights.npz") as arrays:
        levels, step = arrays["conv5.weight"], arrays["conv5.weight_step"]
    assert levels.dtype == np.int8 and step.dtype == np.float32
    assert np.abs(levels).max() == 127
    np.testing.assert_array_equal(weights["conv5"].weight, levels * step)

    saved = tmp_path / "checkpoints" / "resnet9_cifar10.pt"
    # From the checkpoint of the second stage, with nothing to train, the same comes out.
    again = replace(recipe, analog_epochs=0, sides=(8,))
    loop.run("resnet9_cifar10", again, training, measuring, tmp_path / "again", 1, 1, saved)
    for file in ("network.yaml", "weights.npz"):
        assert (tmp_path / "again" / file).read_bytes() == (output / file).read_bytes()
