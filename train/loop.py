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

from train import checkpoint
from train.analog_network import AnalogNetwork
from train.export import export
from train.images import augment, resize, to_tensor
from train.recipe import Recipe
from train.topology import tasks

BATCH = 128
EVALUATION_BATCH = 250
WATCHED_IMAGES = 5000
"""Training images that the progress report of an epoch looks at, where none are kept for it."""
ONE_PHASE_SHARE = 0.25
"""Share of second-stage batches read in 1 phase; the others are read in 4."""


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
    each_epoch: Callable[[int], None],
) -> None:
    """Run the first stage, or with `analog` the second.

    `each_batch` is given the loss, `each_epoch` the height and width that the images had in it.
    """
    epochs = recipe.analog_epochs if analog else recipe.epochs
    rate = recipe.analog_rate if analog else recipe.rate
    batches = min(len(images), recipe.epoch_images or len(images)) // BATCH
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rate, total_steps=max(1, epochs * batches), pct_start=0.15
    )
    for side in _sides(network, recipe, analog):
        network.train()
        if analog:
            network.calibrate(images[: recipe.calibrated], recipe.clipped[0])
        for chosen in torch.randperm(len(images))[: batches * BATCH].split(BATCH):
            batch = resize(augment(images[chosen], recipe.shift, recipe.mirror), side)
            if analog:
                phases = 1 if float(torch.rand(())) < ONE_PHASE_SHARE else 4
                logits = network.analog(batch, phases, recipe.noise)
            else:
                logits = network(batch, recipe.noise)
            loss = functional.cross_entropy(
                logits, labels[chosen], label_smoothing=recipe.smoothing
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            if analog:
                network.clip_weights(recipe.clip)
            each_batch(float(loss.detach()))
        network.eval()
        each_epoch(side)


def _sides(network: AnalogNetwork, recipe: Recipe, analog: bool) -> tuple[int, ...]:
    """Height and width of the images in every epoch of a stage."""
    first, second = recipe.epochs, recipe.analog_epochs
    sides = recipe.sides or (network.task.untrained.input.height,) * (first + second)
    return sides[len(sides) - second :] if analog else sides[len(sides) - second - first :][:first]


def train(
    network: AnalogNetwork,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    console: Console,
    saved: Path | None,
    resumed: Path | None,
) -> None:
    """Both stages, with a progress bar; leaves the network ready to measure and to export.

    Writes a checkpoint `saved` after every epoch; one that is `resumed` takes the place of the
    first stage.
    """
    name = network.task.untrained.name
    progress = Progress(
        TextColumn("{task.description}"),
        TextColumn("loss {task.fields[loss]:.3f}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    kept = slice(len(images) - recipe.kept, None) if recipe.kept else slice(WATCHED_IMAGES)
    watched = images[kept], labels[kept]
    images, labels = images[: len(images) - recipe.kept], labels[: len(labels) - recipe.kept]
    stages = [
        ("floating point", False, recipe.epochs),
        ("chip arithmetic", True, recipe.analog_epochs),
    ]
    if resumed:
        checkpoint.read(resumed, network)
        del stages[0]
    with progress:
        for stage, analog, epochs in stages:
            if analog:
                network.fold_norm()
            batches = min(len(images), recipe.epoch_images or len(images)) // BATCH
            bar = progress.add_task(f"{name}, {stage}", total=epochs * batches, loss=float("nan"))

            def each_epoch(side: int, stage: str = stage, analog: bool = analog) -> None:
                if saved:
                    checkpoint.write(saved, network)
                logits = (lambda x: network.analog(x, phases=4)) if analog else network
                share = accuracy(logits, resize(watched[0], side), watched[1])
                where = "kept" if recipe.kept else "training"
                console.print(
                    f"{time.strftime('%H:%M:%S')} {stage}, images of {side}x{side}: {share:.2%} "
                    f"of {len(watched[0])} {where} images"
                )

            train_stage(
                network,
                images,
                labels,
                recipe,
                analog=analog,
                each_batch=lambda loss, bar=bar: progress.update(bar, advance=1, loss=loss),
                each_epoch=each_epoch,
            )
    network.eval()
    network.clip_weights(recipe.clip)
    network.round_weights()
    _calibrate(network, images[: recipe.calibrated], watched, recipe, console)


def _calibrate(
    network: AnalogNetwork,
    images: Tensor,
    watched: tuple[Tensor, Tensor],
    recipe: Recipe,
    console: Console,
) -> None:
    """Choose the scales, with the best of the shares of clipped outputs if there are several."""
    best = recipe.clipped[0]
    if len(recipe.clipped) > 1:
        found = {}
        for share in recipe.clipped:
            network.calibrate(images, share)
            found[share] = accuracy(lambda x: network.analog(x, phases=4), *watched)
            console.print(f"{share:.2%} of outputs clipped: {found[share]:.2%} of kept images")
        best = max(found, key=found.get)
    network.calibrate(images, best)


def run(
    name: str,
    recipe: Recipe,
    training: tuple[np.ndarray, np.ndarray],
    measuring: tuple[np.ndarray, np.ndarray],
    folder: Path | None,
    seed: int,
    threads: int,
    resumed: Path | None = None,
) -> None:
    """Train network `name`, measure it, and export it into `folder` unless that is None.

    `training` and `measuring` are images (uint8 [N, y, x] or [N, y, x, channels]) and labels
    (uint8 [N]). The same seed, machine and number of threads give the same weights.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    console = Console()
    # Channels-last halves the time of a convolution on the CPU.
    network = AnalogNetwork(tasks()[name]).to(memory_format=torch.channels_last)
    side = network.task.untrained.input.height
    started = time.monotonic()
    saved = checkpoint.place(name) if recipe.sides else None
    train(network, *_tensors(training, side), recipe, console, saved, resumed)
    seconds = time.monotonic() - started

    images, labels = _tensors(measuring, side)
    float_accuracy = accuracy(network, images, labels)
    if folder is not None:
        export(network.describe(float_accuracy), network.arrays(), folder, network.task.compact)
        console.print(f"written: {folder / 'network.yaml'} and {folder / 'weights.npz'}")
    four = accuracy(lambda x: network.analog(x, phases=4), images, labels)
    one = accuracy(lambda x: network.analog(x, phases=1), images, labels)
    console.print(
        f"{name}: {recipe}, seed {seed}, {threads} thread(s): {seconds:.0f} s of training; "
        f"on {len(images)} images: float {float_accuracy:.4f}, "
        f"chip arithmetic 4-phase {four:.4f}, 1-phase {one:.4f}",
        highlight=False,
    )


def _tensors(split: tuple[np.ndarray, np.ndarray], side: int) -> tuple[Tensor, Tensor]:
    images, labels = split
    return to_tensor(images, side), torch.from_numpy(labels.astype(np.int64))
