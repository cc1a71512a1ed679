"""The command line of training: `python -m train.fashion --network NAME`."""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from caduceus.cli.failures import reported
from caduceus.data import cifar10, fashion_mnist
from caduceus.spec.errors import UserError
from caduceus.spec.network import NETWORKS
from caduceus.spec.shipped import shipped_folder
from train.export import prepare
from train.recipe import RECIPES
from train.topology import tasks

Split = tuple[np.ndarray, np.ndarray]
POSITIVE = click.FloatRange(0, min_open=True)


def _load(name: str, folder: Path | None, holdout: int) -> tuple[Split, Split]:
    """Images and labels to train network `name` on, and those to measure it on."""
    dataset = tasks()[name].untrained.dataset
    if dataset == "cifar10" and folder is None:
        raise UserError(
            f"network {name} is trained on CIFAR-10: --dataset has to name the folder of its files"
        )
    load = cifar10.load if dataset == "cifar10" else fashion_mnist.load
    images, labels = load("train", folder)
    kept = RECIPES[name].kept
    most = len(images) - kept
    if most <= 0:
        raise UserError(
            f"network {name} keeps {kept} training images to choose its scales on: more than the "
            f"{len(images)} of {folder} are needed"
        )
    if not holdout:
        return (images, labels), load("test", folder)
    if holdout >= most:
        raise UserError(f"--holdout: got {holdout}, expected at most {most - 1} of {most} images")
    return (images[:-holdout], labels[:-holdout]), (images[-holdout:], labels[-holdout:])


@click.command()
@click.option(
    "--network",
    type=click.Choice(sorted(RECIPES)),
    help="Network to train.  [default: all of Fashion-MNIST]",
)
@click.option("--epochs", type=click.IntRange(0), help="Number of epochs of the first stage.")
@click.option(
    "--analog-epochs", type=click.IntRange(0), help="Number of epochs of the second stage."
)
@click.option("--rate", type=POSITIVE, help="Peak learning rate of the first stage.")
@click.option("--analog-rate", type=POSITIVE, help="Peak learning rate of the second stage.")
@click.option(
    "--noise", type=click.FloatRange(0), help="Weight noise, as a share of the largest weight."
)
@click.option("--clip", type=POSITIVE, help="Largest weight, in standard deviations.")
@click.option("--shift", type=click.IntRange(0, 8), help="Largest move of an image, in pixels.")
@click.option("--mirror/--no-mirror", default=None, help="Mirror half of the images.")
@click.option("--seed", default=1, show_default=True, help="Random seed.")
@click.option(
    "--threads", default=1, show_default=True, type=click.IntRange(1), help="Threads of PyTorch."
)
@click.option("--dataset", type=click.Path(path_type=Path), help="Folder of the dataset's files.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    help="Checkpoint to start from in place of the first stage.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=shipped_folder(NETWORKS),
    show_default=False,
    help="Folder of the network's own folder.  [default: networks]",
)
@click.option(
    "--holdout",
    default=0,
    show_default=True,
    type=click.IntRange(0, 30000),
    help="Number of training images to measure on in place of the test images; nothing is written."
    " For choosing settings.",
)
def main(
    network: str | None,
    seed: int,
    threads: int,
    dataset: Path | None,
    resume: Path | None,
    output: Path,
    holdout: int,
    **settings: float | bool | None,
) -> None:
    """Train networks on images for the chip, and write them where the chip's tools look.

    Settings not given are those of train/recipe.py.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    names = [network] if network else sorted(RECIPES.keys() - {"resnet9_cifar10"})
    try:
        data = {name: _load(name, dataset, holdout) for name in names}
        try:
            # Imported late: everything up to here works, and is tested, without PyTorch.
            from train import loop
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise UserError(
                "training needs PyTorch, which is not installed: "
                "install it with `python -m pip install -e '.[train]'`"
            ) from None
        folders = [None if holdout else output / name for name in names]
        for folder in folders:
            if folder is not None:
                prepare(folder)
        for name, folder in zip(names, folders, strict=True):
            recipe = replace(RECIPES[name], **given)
            loop.run(name, recipe, *data[name], folder, seed, threads, resume)
    except UserError as error:
        failure = click.ClickException(str(error))
        failure.exit_code = 2
        raise failure from None


if __name__ == "__main__":
    with reported("train.fashion"):
        main(standalone_mode=False)
