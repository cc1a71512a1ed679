"""The models of `examples/`: trained, exported by both of PyTorch's exporters, and quantized.

`python -m train.examples` makes all of them; with names, those. Every model `X.onnx` has its data
beside it, `X.npz`: test images as the model takes them, and their labels.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from torch import nn

from caduceus.cli.failures import reported
from caduceus.data import fashion_mnist
from caduceus.spec.files import write_whole
from train.example_export import EXPORTERS, FORMS, Files, accuracy, exported, quantized
from train.example_networks import Mlp, Recurrent, ResNet8, Separable, TinyConv
from train.example_training import Recipe, fit

SEED = 2023
QUANTIZED_ON = 512
"""Training images that quantizers choose their scales on."""

View = Callable[[np.ndarray], np.ndarray]
"""Images uint8 [n, 28, 28] as a model takes them, float32."""


@dataclass(frozen=True)
class Example:
    """A model of `examples/`.

    Attributes:
        make: the module, untrained.
        view: of the images.
        recipe: of its training.
        test: test images that come with it.
        forms: the exporter, and the quantized forms, that are in the repository.
        external: whether the newer exporter writes the weights to a file of their own.
    """

    make: Callable[[], nn.Module]
    view: View
    recipe: Recipe
    test: int
    forms: tuple[str, ...]
    external: bool = False


def _plain(images: np.ndarray) -> np.ndarray:
    return images[:, np.newaxis].astype(np.float32)


def _padded(images: np.ndarray) -> np.ndarray:
    return np.pad(_plain(images), ((0, 0), (0, 0), (2, 2), (2, 2)))


def _flat(images: np.ndarray) -> np.ndarray:
    return (images.reshape(len(images), -1) / 255).astype(np.float32)


def _rows(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32)


def _small(side: int) -> View:
    """Averages over squares, rounded: [n, 1, side, side]."""

    def view(images: np.ndarray) -> np.ndarray:
        size = 32 // side
        squares = _padded(images).reshape(-1, 1, side, size, side, size)
        return np.rint(squares.mean(axis=(3, 5))).astype(np.float32)

    return view


def _small_flat(images: np.ndarray) -> np.ndarray:
    return _flat(_small(4)(images))


def _small_rows(images: np.ndarray) -> np.ndarray:
    return (_small(4)(images)[:, 0] / 255).astype(np.float32)


def _epochs(count: int, rate: float) -> Recipe:
    return Recipe((None,) * count, rate)


EXAMPLES = {
    "resnet8": Example(
        ResNet8, _padded, Recipe((16, 16, 24, 24, None, None, None), 0.01, mirror=True), 200,
        ("torchscript", "qdq"),
    ),
    "mlp": Example(
        lambda: Mlp(784, 128, 64, 10), _flat, _epochs(8, 0.01), 200, ("torchscript", "qdq")
    ),
    "separable": Example(
        lambda: Separable((16, 32, 32), (0,)), _plain, _epochs(6, 0.005), 200, ("dynamo",),
        external=True,
    ),
    "lstm": Example(
        lambda: Recurrent(28, 48, 255), _rows, _epochs(5, 0.01), 200, ("torchscript",)
    ),
    "tiny_conv": Example(TinyConv, _small(8), _epochs(5, 0.02), 64, ("dynamo", *FORMS)),
    "tiny_mlp": Example(
        lambda: Mlp(16, 16, 10), _small_flat, _epochs(5, 0.02), 64, ("torchscript", "qdq")
    ),
    "tiny_lstm": Example(
        lambda: Recurrent(4, 4), _small_rows, _epochs(5, 0.02), 64, ("dynamo",)
    ),
}  # fmt: skip
"""By name."""


def trained(name: str, images: int | None = None) -> nn.Module:
    """An example's module, trained on all training images, or on the first ones."""
    example = EXAMPLES[name]
    torch.manual_seed(SEED)
    module = example.make()
    x, labels = fashion_mnist.load("train")
    x, labels = x[:images], torch.from_numpy(labels[:images].astype(np.int64))
    return fit(name, module, torch.from_numpy(example.view(x)), labels, example.recipe)


def models(name: str, module: nn.Module, forms: tuple[str, ...]) -> dict[str, Files]:
    """A module in forms, by name of the model; the first is an exporter's and has the plain name.

    Args:
        name: of the example.
        module: trained.
        forms: of `EXPORTERS` and `FORMS`.
    """
    example = EXAMPLES[name]
    typical = example.view(fashion_mnist.load("train")[0][:QUANTIZED_ON])
    found: dict[str, Files] = {}
    for form in forms:
        file = f"{name}_{form}" if found else name
        if form in EXPORTERS:
            external = example.external and form == "dynamo"
            found[file] = exported(file, module, typical[:2], form, external)
        else:
            found[file] = {f"{file}.onnx": quantized(found[name], typical, form)}
    return found


def data(x: np.ndarray, labels: np.ndarray) -> bytes:
    """A data file; whole numbers as bytes."""
    file = io.BytesIO()
    whole = bool((x == np.rint(x)).all())
    np.savez_compressed(file, inputs=x.astype(np.uint8) if whole else x, labels=labels)
    return file.getvalue()


def make(name: str, module: nn.Module, folder: Path, every: bool = False) -> dict[str, float]:
    """Export and quantize a trained example; write its files to `folder`.

    With `every`, in all forms, else in those of the repository. Returns by model the accuracy on
    the whole test set in onnxruntime.
    """
    example = EXAMPLES[name]
    forms = example.forms
    if every:
        # ONNX Runtime's quantizer leaves an LSTM as it is.
        more = EXPORTERS if isinstance(module, Recurrent) else (*EXPORTERS, *FORMS)
        forms += tuple(form for form in more if form not in forms)
    images, labels = fashion_mnist.load("test")
    x = example.view(images)
    shipped = data(x[: example.test], labels[: example.test])
    found = {}
    for file, contents in models(name, module, forms).items():
        for each, content in contents.items():
            write_whole(folder / each, content, "model")
        write_whole(folder / f"{file}.npz", shipped, "data")
        found[file] = accuracy(contents, x, labels)
        some = accuracy(contents, x[: example.test], labels[: example.test])
        size = sum(map(len, contents.values()))
        click.echo(
            f"{file}: {found[file]:.2%} of {len(x)} test images, {some:.2%} of the first "
            f"{example.test}; {size} bytes"
        )
    return found


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), default="examples",
    show_default=True, help="Folder of the files.",
)  # fmt: skip
@click.option("--images", type=click.IntRange(512), help="Train on the first images only.")
@click.option("--every", is_flag=True, help="Write all forms, not only those of the repository.")
def examples(names: tuple[str, ...], output: Path, images: int | None, every: bool) -> None:
    """Make the models NAMES of `examples/`; all of them without a name."""
    unknown = [name for name in names if name not in EXAMPLES]
    if unknown:
        raise click.UsageError(f"got '{unknown[0]}', expected one of {', '.join(EXAMPLES)}")
    for name in names or EXAMPLES:
        make(name, trained(name, images), output, every)


def main() -> None:
    """Run the command line and exit."""
    with reported("train.examples"):
        examples(prog_name="python -m train.examples", standalone_mode=False)


if __name__ == "__main__":
    main()
