"""Training in two stages.

The first trains in floating point, with batch normalisation and weight noise. The second folds the
normalisation away and goes on under the chip's own arithmetic (`train.analog`), with weight noise
and clipped weights, so that the weights learn to live with INT8 activations, floored ADC counts and
imprecise cells.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional

from train.analog import AnalogNetwork
from train.export import export
from train.recipe import Recipe
from train.topology import tasks

BATCH = 128
EVALUATION_BATCH = 1000
WATCHED_IMAGES = 5000
"""Training images that the progress report of an epoch looks at."""
CALIBRATION_IMAGES = 4000
CLIPPED_SHARE = 2e-4
"""Share of a layer's outputs on training images beyond the INT8 range."""
ONE_PHASE_SHARE = 0.25
"""Share of second-stage batches read in 1 phase; the others are read in 4."""


def to_tensor(images: np.ndarray) -> Tensor:
    """uint8 [N, 28, 28] to float32 [N, 1, 28, 28] in 0..1."""
    return torch.from_numpy(images.astype(np.float32) / 255).unsqueeze(1)


def augment(images: Tensor, shift: int, mirror: bool) -> Tensor:
    """Mirror half of the images, and move each by up to `shift` pixels over a black border."""
    if mirror:
        chosen = torch.rand(len(images), 1, 1, 1) < 0.5
        images = torch.where(chosen, images.flip(3), images)
    if not shift:
        return images
    size = images.shape[-1]
    padded = functional.pad(images, (shift,) * 4)
    offset = torch.randint(0, 2 * shift + 1, (2, len(images), 1))
    rows, columns = offset + torch.arange(size)
    image = torch.arange(len(images))[:, None, None]
    return padded[image, 0, rows[:, :, None], columns[:, None, :]].unsqueeze(1)


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
    recipe: Recipe,
    *,
    analog: bool,
    each_batch: Callable[[float], None],
    each_epoch: Callable[[], None],
) -> None:
    """Run the first stage, or with `analog` the second; `each_batch` is given the loss."""
    epochs = recipe.analog_epochs if analog else recipe.epochs
    rate = recipe.analog_rate if analog else recipe.rate
    batches = len(images) // BATCH
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rate, total_steps=max(1, epochs * batches), pct_start=0.15
    )
    for _ in range(epochs):
        network.train()
        if analog:
            network.calibrate(images[:CALIBRATION_IMAGES], CLIPPED_SHARE)
        for chosen in torch.randperm(len(images))[: batches * BATCH].split(BATCH):
            batch = augment(images[chosen], recipe.shift, recipe.mirror)
            if analog:
                phases = 1 if float(torch.rand(())) < ONE_PHASE_SHARE else 4
                logits = network.analog(batch, phases, recipe.noise)
            else:
                logits = network(batch, recipe.noise)
            loss = functional.cross_entropy(logits, labels[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            if analog:
                network.clip_weights(recipe.clip)
            each_batch(float(loss.detach()))
        network.eval()
        each_epoch()


def train(
    network: AnalogNetwork, images: Tensor, labels: Tensor, recipe: Recipe, console: Console
) -> None:
    """Both stages, with a progress bar; leaves the network ready to measure and to export."""
    name = network.task.untrained.name
    progress = Progress(
        TextColumn("{task.description}"),
        TextColumn("loss {task.fields[loss]:.3f}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    watched = images[:WATCHED_IMAGES], labels[:WATCHED_IMAGES]
    with progress:
        for stage, analog, epochs in (
            ("floating point", False, recipe.epochs),
            ("chip arithmetic", True, recipe.analog_epochs),
        ):
            bar = progress.add_task(
                f"{name}, {stage}", total=epochs * (len(images) // BATCH), loss=float("nan")
            )

            def each_epoch(stage: str = stage, analog: bool = analog) -> None:
                logits = (lambda x: network.analog(x, phases=4)) if analog else network
                share = accuracy(logits, *watched)
                console.print(f"{stage}: {share:.2%} of {len(watched[0])} training images")

            train_stage(
                network,
                images,
                labels,
                recipe,
                analog=analog,
                each_batch=lambda loss, bar=bar: progress.update(bar, advance=1, loss=loss),
                each_epoch=each_epoch,
            )
            network.fold_norm()
    network.clip_weights(recipe.clip)
    network.round_weights()
    network.calibrate(images[:CALIBRATION_IMAGES], CLIPPED_SHARE)


def run(
    name: str,
    recipe: Recipe,
    training: tuple[np.ndarray, np.ndarray],
    measuring: tuple[np.ndarray, np.ndarray],
    folder: Path | None,
    seed: int,
    threads: int,
) -> None:
    """Train network `name`, measure it, and export it into `folder` unless that is None.

    `training` and `measuring` are images (uint8 [N, 28, 28]) and labels (uint8 [N]). The same seed,
    machine and number of threads give the same weights.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    console = Console()
    # Channels-last halves the time of a convolution on the CPU.
    network = AnalogNetwork(tasks()[name]).to(memory_format=torch.channels_last)
    started = time.monotonic()
    train(network, *_tensors(training), recipe, console)
    seconds = time.monotonic() - started

    images, labels = _tensors(measuring)
    float_accuracy = accuracy(network, images, labels)
    four = accuracy(lambda x: network.analog(x, phases=4), images, labels)
    one = accuracy(lambda x: network.analog(x, phases=1), images, labels)
    console.print(
        f"{name}: {recipe}, seed {seed}, {threads} thread(s): {seconds:.0f} s of training; "
        f"on {len(images)} images: float {float_accuracy:.4f}, "
        f"chip arithmetic 4-phase {four:.4f}, 1-phase {one:.4f}",
        highlight=False,
    )
    if folder is not None:
        export(network.describe(float_accuracy), network.arrays(), folder)
        console.print(f"written: {folder / 'network.yaml'} and {folder / 'weights.npz'}")


def _tensors(split: tuple[np.ndarray, np.ndarray]) -> tuple[Tensor, Tensor]:
    images, labels = split
    return to_tensor(images), torch.from_numpy(labels.astype(np.int64))
