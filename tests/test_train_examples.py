"""How `examples/` is made: every network trains, and both exporters and the quantizer write it."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from caduceus.data import fashion_mnist

NAMES = ("resnet8", "mlp", "separable", "lstm", "tiny_conv", "tiny_mlp", "tiny_lstm")
IMAGES = 640


def made(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images in place of Fashion-MNIST's: a class is a place of a square, on noise."""
    random = np.random.default_rng(len(split))
    labels = random.integers(0, 10, IMAGES).astype(np.uint8)
    images = random.integers(0, 60, (IMAGES, 28, 28)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        y, x = 12 * (label // 5), 5 * (label % 5)
        image[y : y + 8, x : x + 8] += 180
    return images, labels


@pytest.mark.regress  # PyTorch comes with `make regress`, not with `make test`
@pytest.mark.parametrize("name", NAMES)
def test_example_is_trained_and_exported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from train.examples import EXAMPLES, make, trained

    assert tuple(EXAMPLES) == NAMES
    monkeypatch.setattr(fashion_mnist, "load", made)
    torch.set_num_threads(1)
    module = trained(name, 512)
    found = make(name, module, tmp_path, every=True)
    forms = {name, f"{name}_torchscript", f"{name}_dynamo"}
    assert len(found.keys() & forms) == 2
    if "lstm" not in name:
        assert found.keys() - forms == {f"{name}_qdq", f"{name}_qdq_uint8"}
    x = EXAMPLES[name].view(made("test")[0])
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    for each in found:
        file = tmp_path / f"{each}.onnx"
        onnx.checker.check_model(onnx.load(file), full_check=True)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        outputs = session.run(None, {"x": x})[0]
        if each in forms:
            assert np.abs(outputs - expected).max() < 1e-3 * np.abs(expected).max()
        with np.load(tmp_path / f"{each}.npz") as data:
            assert np.array_equal(data["inputs"], x[: len(data["inputs"])])
            assert np.array_equal(data["labels"], made("test")[1][: len(data["labels"])])
    for each in ("torchscript", "dynamo"):
        file = tmp_path / (
            f"{name}.onnx" if each in EXAMPLES[name].forms else f"{name}_{each}.onnx"
        )
        assert {13: "torchscript", 18: "dynamo"}[onnx.load(file).opset_import[0].version] == each
