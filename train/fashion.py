"""Train a network on Fashion-MNIST for the chip: `python -m train.fashion --network NAME`.

Two stages. The first trains in floating point with batch normalisation, weight noise and slightly
moved and mirrored images. The second folds the normalisation away and goes on under the chip's own
arithmetic (`train.analog`), with weight noise and clipped weights, so that the weights learn to
live with INT8 activations, floored ADC counts and imprecise cells.
"""

import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional

from train import fashion_mnist
from train.analog import AnalogNetwork
from train.export import export
from train.topology import TOPOLOGIES

NETWORKS = Path(__file__).resolve().parent.parent / "networks"

BATCH = 128
EVALUATION_BATCH = 1000
CALIBRATION_IMAGES = 4000
CLIPPED_SHARE = 2e-4
"""Share of a layer's outputs on training images beyond the INT8 range."""
ONE_PHASE_SHARE = 0.25
"""Share of second-stage batches read in 1 phase; the others are read in 4."""


def to_tensor(images: np.ndarray) -> Tensor:
    """uint8 [N, 28, 28] to float32 [N, 1, 28, 28] in 0..1."""
    return torch.from_numpy(images.astype(np.float32) / 255).unsqueeze(1)


def augment(images: Tensor, shift: int) -> Tensor:
    """Mirror half of the images, and move each by up to `shift` pixels over a black border."""
    mirrored = torch.rand(len(images), 1, 1, 1) < 0.5
    images = torch.where(mirrored, images.flip(3), images)
    if not shift:
        return images
    size = images.shape[-1]
    padded = functional.pad(images, (shift,) * 4)
    offset = torch.randint(0, 2 * shift + 1, (2, len(images), 1))
    rows, columns = offset + torch.arange(size)
    return padded[torch.arange(len(images))[:, None, None], 0, rows[:, :, None], columns[:, None]][
        :, None
    ]


@torch.no_grad()
def accuracy(logits: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> float:
    """Share of images whose largest logit (the first of equal ones) is the label's."""
    hits = 0
    for first in range(0, len(images), EVALUATION_BATCH):
        batch = slice(first, first + EVALUATION_BATCH)
        # numpy's argmax is specified to return the first of equal values; PyTorch's is not.
        predicted = logits(images[batch]).numpy().argmax(axis=1)
        hits += int((predicted == labels[batch].numpy()).sum())
    return hits / len(images)


def train_stage(
    network: AnalogNetwork,
    images: Tensor,
    labels: Tensor,
    *,
    analog: bool,
    epochs: int,
    rate: float,
    noise: float,
    clip: float,
    shift: int,
    smoothing: float,
    tick: Callable[[float], None],
    each_epoch: Callable[[], None],
) -> None:
    """One stage of training; `tick` gets the loss of every batch."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4)
    batches = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rate, total_steps=max(1, epochs * batches), pct_start=0.15
    )
    for _ in range(epochs):
        network.train()
        if analog:
            network.calibrate(images[:CALIBRATION_IMAGES], CLIPPED_SHARE)
        order = torch.randperm(len(images))
        for first in range(0, batches * BATCH, BATCH):
            chosen = order[first : first + BATCH]
            batch = augment(images[chosen], shift)
            if analog:
                phases = 1 if float(torch.rand(())) < ONE_PHASE_SHARE else 4
                logits = network.analog(batch, phases, noise)
            else:
                logits = network(batch, noise)
            loss = functional.cross_entropy(logits, labels[chosen], label_smoothing=smoothing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            if analog:
                network.clip_weights(clip)
            tick(float(loss.detach()))
        each_epoch()


@click.command(help=__doc__)
@click.option("--network", "name", required=True, type=click.Choice(sorted(TOPOLOGIES)))
@click.option("--epochs", default=20, show_default=True, type=click.IntRange(0))
@click.option("--analog-epochs", default=8, show_default=True, type=click.IntRange(0))
@click.option("--rate", default=6e-3, show_default=True, help="Peak learning rate, first stage.")
@click.option("--analog-rate", default=2e-3, show_default=True, help="The same, second stage.")
@click.option("--noise", default=0.03, show_default=True, help="Weight noise, share of Wmax.")
@click.option("--clip", default=2.0, show_default=True, help="Weight limit, standard deviations.")
@click.option("--shift", default=1, show_default=True, help="Largest move of an image, pixels.")
@click.option("--smoothing", default=0.0, show_default=True, help="Label smoothing.")
@click.option("--seed", default=1, show_default=True)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
@click.option("--dataset", type=click.Path(path_type=Path), help="Folder of the dataset's files.")
@click.option("--output", type=click.Path(path_type=Path), help="Default: networks/NAME.")
@click.option(
    "--holdout",
    default=0,
    show_default=True,
    type=click.IntRange(0, 30000),
    help="Measure on that many training images, kept out of training, in place of the test images:"
    " for choosing settings.",
)
def main(
    name: str,
    epochs: int,
    analog_epochs: int,
    rate: float,
    analog_rate: float,
    noise: float,
    clip: float,
    shift: int,
    smoothing: float,
    seed: int,
    threads: int,
    dataset: Path | None,
    output: Path | None,
    holdout: int,
) -> None:
    """Read the dataset, train, measure, export."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    console = Console()
    try:
        images, labels = fashion_mnist.load("train", dataset)
        if holdout:
            test_images, test_labels = images[-holdout:], labels[-holdout:]
            images, labels = images[:-holdout], labels[:-holdout]
        else:
            test_images, test_labels = fashion_mnist.load("test", dataset)
    except fashion_mnist.DatasetError as error:
        raise click.ClickException(str(error)) from None
    train_x, test_x = to_tensor(images), to_tensor(test_images)
    train_y = torch.from_numpy(labels.astype(np.int64))
    test_y = torch.from_numpy(test_labels.astype(np.int64))

    network = AnalogNetwork(TOPOLOGIES[name])
    started = time.monotonic()
    columns = ("{task.description}", "loss {task.fields[loss]:.3f}")
    with Progress(
        *map(TextColumn, columns),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as progress:

        def run(analog: bool, epochs: int, rate: float, shift: int, smoothing: float) -> None:
            stage = "chip arithmetic" if analog else "floating point"
            total = epochs * (len(train_x) // BATCH)
            task = progress.add_task(f"{name}, {stage}", total=total, loss=float("nan"))
            done = 0

            def report() -> None:
                nonlocal done
                done += 1
                network.eval()
                logits = (lambda x: network.analog(x, 4)) if analog else network
                share = accuracy(logits, train_x[:5000], train_y[:5000])
                console.print(f"{stage}, epoch {done}: {share:.2%} of 5,000 training images")

            train_stage(
                network,
                train_x,
                train_y,
                analog=analog,
                epochs=epochs,
                rate=rate,
                noise=noise,
                clip=clip,
                shift=shift,
                smoothing=smoothing,
                tick=lambda loss: progress.update(task, advance=1, loss=loss),
                each_epoch=report,
            )

        run(False, epochs, rate, shift, smoothing)
        network.eval()
        network.fold_norm()
        run(True, analog_epochs, analog_rate, shift, smoothing)
    seconds = time.monotonic() - started

    network.eval()
    network.clip_weights(clip)
    network.round_weights()
    network.calibrate(train_x[:CALIBRATION_IMAGES], CLIPPED_SHARE)
    float_accuracy = accuracy(network, test_x, test_y)
    four = accuracy(lambda x: network.analog(x, 4), test_x, test_y)
    one = accuracy(lambda x: network.analog(x, 1), test_x, test_y)
    which = f"{holdout} images kept out of training" if holdout else f"{len(test_x)} test images"
    console.print(
        f"{name}: {seconds:.0f} s of training, {threads} thread(s), seed {seed}; {which}: "
        f"float {float_accuracy:.4f}, chip arithmetic 4-phase {four:.4f}, 1-phase {one:.4f}; "
        f"gmax {[layer.gmax for layer in network.layers]}"
    )
    if not holdout:
        folder = output or NETWORKS / name
        export(network, float_accuracy, folder)
        console.print(f"written: {folder / 'network.yaml'} and {folder / 'weights.npz'}")


if __name__ == "__main__":
    main()
