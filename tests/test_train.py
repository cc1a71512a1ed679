"""What training left behind, and what surrounds it: networks, dataset files, export.

Nothing here needs PyTorch or the dataset. The chip's arithmetic is written out once more, in
integers and as plainly as possible, to show that the committed networks classify with it.
"""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from weights_files import same_arrays

import caduceus.data as data
from caduceus.data import fashion_mnist
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.graph import Layer, geometries
from caduceus.spec.network import NETWORKS, Network, Weights
from caduceus.spec.network_file import to_yaml
from caduceus.spec.shipped import shipped_folder
from train.export import export
from train.fashion import main
from train.topology import Task, tasks

ROOT = Path(__file__).resolve().parent.parent
IMAGES = Path(data.__file__).with_name("fashion_mnist_test20.npz")
TASKS = {name: task for name, task in tasks().items() if task.one_tile}

each_network = pytest.mark.parametrize("name", sorted(TASKS))


# --- the committed networks ----------------------------------------------------------------------
@each_network
def test_committed_network_has_the_shapes_that_training_describes(name: str) -> None:
    committed = Network.find(name).graph
    described = TASKS[name].untrained
    layers = tuple(
        shape.model_copy(update={"gmax": layer.gmax, "output_scale": layer.output_scale})
        for shape, layer in zip(described.nodes, committed.nodes, strict=True)
    )
    update = {"nodes": layers, "metric": committed.metric}
    assert committed == described.model_copy(update=update)


@each_network
def test_committed_matrices_fit_the_array(name: str) -> None:
    found = Network.find(name)
    committed, weights = found.graph, found.weights
    array = TASKS[name].chip.array
    mvms = 0
    for layer, geometry in zip(committed.nodes, geometries(committed), strict=True):
        rows, columns = weights[layer.name].weight.shape
        assert (rows, columns) == (geometry.rows, layer.outputs)
        assert rows <= array.rows and columns <= array.columns
        assert weights[layer.name].weight.any(axis=0).all(), "a column without weights is wasted"
        mvms += geometry.output[0] * geometry.output[1]
    assert mvms <= 1000


@each_network
def test_committed_weights_are_binary16_and_biases_binary32(name: str) -> None:
    committed = Network.find(name).graph
    with np.load(shipped_folder(NETWORKS) / name / committed.weights) as arrays:
        kinds = {array: arrays[array].dtype for array in arrays.files}
    expected = {f"{layer.name}.weight": np.dtype(np.float16) for layer in committed.nodes}
    expected |= {f"{layer.name}.bias": np.dtype(np.float32) for layer in committed.nodes}
    assert kinds == expected


@each_network
def test_export_writes_the_committed_files_again(name: str, tmp_path: Path) -> None:
    committed = Network.find(name).graph
    with np.load(shipped_folder(NETWORKS) / name / committed.weights) as arrays:
        export(committed, dict(arrays), tmp_path)
    shipped, description = shipped_folder(NETWORKS) / name, "network.yaml"
    assert (tmp_path / description).read_bytes() == (shipped / description).read_bytes()
    assert same_arrays(tmp_path / committed.weights, shipped / committed.weights)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.yaml", "weights.npz"]


def test_a_layer_that_does_not_fit_is_refused() -> None:
    too_wide = Task(TASKS["fashion_small"].untrained, Chip.find("tiny"))
    with pytest.raises(ValueError, match=r"layer conv1 of fashion_small is 9 x 28; .* 16 x 16"):
        too_wide.geometries()


def test_export_into_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="taken: cannot write the network: File exists"):
        export(TASKS["fashion_tiny"].untrained, {}, tmp_path / "taken")


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "weights.npz").mkdir()
    (tmp_path / "network.yaml").write_text("old")
    with pytest.raises(UserError, match=r"weights\.npz: cannot write the weights: it is no reg"):
        export(TASKS["fashion_tiny"].untrained, {}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.yaml", "weights.npz"]
    assert (tmp_path / "network.yaml").read_text() == "old"


def test_yaml_leaves_out_what_was_never_set() -> None:
    text = to_yaml(TASKS["fashion_tiny"].untrained)
    assert (
        "  - {name: dense, op: dense, outputs: 10, relu: false, gmax: 510, output_scale: 1.0}\n"
        in text
    )


# --- the committed networks in the chip's arithmetic ---------------------------------------------
def _patches(x: NDArray[np.int64], layer: Layer) -> NDArray[np.int64]:
    """[N, y, x, channel] to the inputs of every MVM, [N, y', x', rows]."""
    if layer.op == "dense":
        return x.reshape(len(x), 1, 1, -1)
    around = (layer.padding, layer.padding)
    padded = np.pad(x, ((0, 0), around, around, (0, 0)))
    size = (layer.kernel, layer.kernel)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=(1, 2))
    windows = windows[:, :: layer.stride, :: layer.stride].transpose(0, 1, 2, 4, 5, 3)
    return windows.reshape(*windows.shape[:3], -1)


class Reference:
    """A network in the chip's integer arithmetic; counts the conversions that saturate."""

    def __init__(self, name: str, mode: formats.ReadMode) -> None:
        found = Network.find(name)
        self.network, self.weights = found.graph, found.weights
        self.chip = TASKS[name].chip
        self.mode = mode
        self.conversions = self.saturated = 0

    def classify(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Class of each image [N, 28, 28]: the first of the largest logits."""
        step = self.network.input.scale
        x = np.rint(images[..., None] / 255 / step).astype(np.int64)
        for layer in self.network.nodes:
            x = self._layer(x, layer, self.weights[layer.name], step)
            step = layer.output_scale
        return x.reshape(len(x), -1).argmax(axis=1)

    def _layer(
        self, x: NDArray[np.int64], layer: Layer, weights: Weights, step: float
    ) -> NDArray[np.int64]:
        wmax = float(np.abs(weights.weight).max())
        code = np.rint(weights.weight.astype(np.float64) / wmax * layer.gmax).astype(np.int64)
        net = self._read(_patches(x, layer), code)
        full_cell = formats.INT8_MAX * formats.CELL_MAX
        real_per_count = full_cell / self.chip.adc.cell_counts * step * wmax / layer.gmax
        y = np.rint((net * real_per_count + weights.bias) / layer.output_scale)
        y = np.clip(y, 0 if layer.relu else -formats.INT8_MAX, formats.INT8_MAX).astype(np.int64)
        if layer.pool:
            size, stride = layer.pool.size, layer.pool.stride
            windows = np.lib.stride_tricks.sliding_window_view(y, (size, size), axis=(1, 2))
            y = windows[:, ::stride, ::stride].max(axis=(-2, -1))
        return y

    def _read(self, x: NDArray[np.int64], code: NDArray[np.int64]) -> NDArray[np.int64]:
        """Net counts P - N of every column, from `x` [..., rows] and `code` [rows, columns]."""
        if self.mode == formats.ReadMode.ONE_PHASE:
            charge = self._charge(x, code)
            return np.sign(charge) * self._convert(np.abs(charge))
        plus, minus = np.maximum(x, 0), np.maximum(-x, 0)
        up, down = np.maximum(code, 0), np.maximum(-code, 0)
        p = self._convert(self._charge(plus, up)) + self._convert(self._charge(minus, down))
        n = self._convert(self._charge(plus, down)) + self._convert(self._charge(minus, up))
        return p - n

    @staticmethod
    def _charge(x: NDArray[np.int64], code: NDArray[np.int64]) -> NDArray[np.int64]:
        # Far below 2**53, so binary64 is exact here, and has a fast product.
        return (x.astype(np.float64) @ code.astype(np.float64)).astype(np.int64)

    def _convert(self, charge: NDArray[np.int64]) -> NDArray[np.int64]:
        count = charge * self.chip.adc.cell_counts // (formats.INT8_MAX * formats.CELL_MAX)
        self.conversions += int((charge > 0).sum())
        self.saturated += int((count >= self.chip.adc.phase_limit).sum())
        return np.minimum(count, self.chip.adc.phase_limit)


def _images() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    with np.load(IMAGES) as data:
        return data["images"], data["labels"]


AT_LEAST = {"fashion_small": 17, "fashion_tiny": 15}
"""Images of the 20 that a network gets right; guessing gets 2."""


@each_network
@pytest.mark.parametrize("mode", formats.ReadMode)
def test_committed_network_classifies_in_the_chips_arithmetic(
    name: str, mode: formats.ReadMode
) -> None:
    images, labels = _images()
    reference = Reference(name, mode)
    assert int((reference.classify(images) == labels).sum()) >= AT_LEAST[name]
    assert reference.saturated < 1e-4 * reference.conversions


def test_gmax_too_large_would_saturate() -> None:
    """The saturation check above can fail: twice the `gmax` breaks it."""
    reference = Reference("fashion_small", formats.ReadMode.FOUR_PHASE)
    layers = tuple(
        layer.model_copy(update={"gmax": 2 * layer.gmax}) for layer in reference.network.nodes
    )
    reference.network = reference.network.model_copy(update={"nodes": layers})
    reference.classify(_images()[0])
    assert reference.saturated > 1e-4 * reference.conversions


# --- the dataset's files -------------------------------------------------------------------------
def _idx(array: NDArray[np.uint8]) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(gzip.compress(data))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A made-up dataset: 7 training images, 3 test images."""
    random = np.random.default_rng(5)
    for prefix, size in (("train", 7), ("t10k", 3)):
        images = random.integers(0, 256, (size, 28, 28), dtype=np.uint8)
        _write(tmp_path / f"{prefix}-images-idx3-ubyte.gz", _idx(images))
        labels = np.arange(size, dtype=np.uint8)
        _write(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", _idx(labels))
    return tmp_path


def test_load_reads_what_was_written(tmp_path: Path) -> None:
    images, labels = _images()
    _write(tmp_path / "t10k-images-idx3-ubyte.gz", _idx(images))
    _write(tmp_path / "t10k-labels-idx1-ubyte.gz", _idx(labels))
    read_images, read_labels = fashion_mnist.load("test", tmp_path)
    np.testing.assert_array_equal(read_images, images)
    np.testing.assert_array_equal(read_labels, labels)
    assert read_images.dtype == read_labels.dtype == np.uint8


def test_splits_are_different_files(folder: Path) -> None:
    assert len(fashion_mnist.load("train", folder)[0]) == 7
    assert len(fashion_mnist.load("test", str(folder))[0]) == 3


TRUNCATED = r"t10k-images-idx3-ubyte.gz: cut short: got 816 bytes, expected 2368"
IMAGES_FILE = "t10k-images-idx3-ubyte.gz"
LABELS_FILE = "t10k-labels-idx1-ubyte.gz"
WHOLE = np.zeros((3, 28, 28), np.uint8)


@pytest.mark.parametrize(
    ("file", "data", "sentence"),
    [
        (IMAGES_FILE, _idx(WHOLE)[:816], TRUNCATED),
        (IMAGES_FILE, _idx(WHOLE) + b"\0", r"too long: got 2369 bytes, expected 2368"),
        (IMAGES_FILE, _idx(WHOLE)[:9], r"cut short: got 9 bytes, expected at least the 16"),
        (IMAGES_FILE, b"", r"cut short: got 0 bytes"),
        (IMAGES_FILE, b"\0\0\x0d\3" + _idx(WHOLE)[4:], r"got 0x00000d03, expected 0x00000803"),
        (
            IMAGES_FILE,
            _idx(np.zeros((3, 32, 32), np.uint8)),
            r"image size: got 32x32 pixels, expected 28x28",
        ),
        (
            IMAGES_FILE,
            _idx(np.zeros((4, 28, 28), np.uint8)),
            r"got 3 labels, expected 4, one per image",
        ),
        (LABELS_FILE, _idx(np.array([1, 10, 2], np.uint8)), r"label: got 10, expected 0 to 9"),
        (LABELS_FILE, _idx(WHOLE), r"not a 1-dimensional IDX file .*: got 0x00000803"),
    ],
)
def test_a_wrong_file_is_described(folder: Path, file: str, data: bytes, sentence: str) -> None:
    _write(folder / file, data)
    with pytest.raises(UserError, match=sentence):
        fashion_mnist.load("test", folder)


def test_a_missing_file_says_how_to_get_it(folder: Path) -> None:
    (folder / LABELS_FILE).unlink()
    with pytest.raises(
        UserError, match=rf"{LABELS_FILE}: missing: .*apt-get install dataset-fashion-mnist"
    ):
        fashion_mnist.load("test", folder)


@pytest.mark.parametrize("damage", ["cut", "not gzip", "flipped"])
def test_a_damaged_gzip_file_cannot_be_read(folder: Path, damage: str) -> None:
    whole = (folder / IMAGES_FILE).read_bytes()
    middle = len(whole) // 2
    data = {
        "cut": whole[:middle],
        "not gzip": b"plain text",
        "flipped": whole[:middle] + bytes((whole[middle] ^ 1,)) + whole[middle + 1 :],
    }[damage]
    (folder / IMAGES_FILE).write_bytes(data)
    with pytest.raises(
        UserError, match=f"{IMAGES_FILE}: Fashion-MNIST file: not a gzip file, or damaged"
    ):
        fashion_mnist.load("test", folder)


def test_an_unknown_split_lists_those_there_are(folder: Path) -> None:
    with pytest.raises(UserError, match=r"^split: got 'validation', expected one of train, test"):
        fashion_mnist.load("validation", folder)


# --- the command line, as far as it goes without PyTorch -----------------------------------------
def test_training_without_the_dataset_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--network", "fashion_tiny", "--dataset", str(tmp_path)])
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert "apt-get install dataset-fashion-mnist" in result.output


def test_an_unknown_network_lists_those_there_are() -> None:
    result = CliRunner().invoke(main, ["--network", "resnet"])
    assert result.exit_code == 2
    assert "'fashion_small', 'fashion_tiny'" in result.output


def test_holding_out_every_image_is_one_sentence(folder: Path) -> None:
    options = ["--network", "fashion_tiny", "--dataset", str(folder), "--holdout", "7"]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2
    assert "--holdout: got 7, expected at most 6 of 7 images" in result.output


def test_training_without_pytorch_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    """In its own process, where an import of PyTorch fails whether it is installed or not."""
    absent = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
    (tmp_path / "torch.py").write_text(absent)
    output = tmp_path / "output"
    options = ["--dataset", str(folder), "--output", str(output)]
    result = subprocess.run(
        [sys.executable, "-m", "train.fashion", "--network", "fashion_tiny", *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "training needs PyTorch" in result.stderr
    assert not output.exists()
