"""Training of a character model in two stages, its calibration, measurement and export.

The first stage trains in floating point. The second goes on in the chip's numbers
(`train.recurrent`), with weight noise and clipped weights, so that the weights learn to live with
INT8 values and imprecise cells.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional

from caduceus.data.streams import IGNORED, STREAMS, WARM_UP, streams
from caduceus.spec.errors import UserError
from train.calibration import calibrate
from train.export import export
from train.recurrent import CharacterModel
from train.recurrent_task import CALIBRATION_WARM_UP, RecurrentRecipe, Run

CALIBRATION = (64, 192)
"""Streams, and steps of each, of training text that scales are chosen on."""
GRADIENT_LIMIT = 0.5
WATCHED = 50_000
"""Characters of training text that a progress report is about."""
_CHUNK = 64
_REPORTS = 10


@torch.no_grad()
def bpc(model: CharacterModel, text: np.ndarray) -> float:
    """Bits per character over all of `text` but its first character, which nothing predicts."""
    cut = streams(text, STREAMS, WARM_UP)
    numbers, targets = torch.from_numpy(cut.numbers), torch.from_numpy(cut.targets)
    training, dtype = model.training, model.dtype
    model.eval()
    model.dtype = torch.float32
    state, total = model.start(numbers.shape[1]), 0.0
    if cut.warm_up:
        _, state = model(numbers[: cut.warm_up], state)
        for part in state:
            part[0] = 0
    for first in range(cut.warm_up, len(numbers), _CHUNK):
        span = slice(first, first + _CHUNK)
        logits, state = model(numbers[span], state)
        total += float(
            functional.cross_entropy(
                logits.flatten(0, 1),
                targets[span].flatten(),
                ignore_index=IGNORED,
                reduction="sum",
            )
        )
    model.train(training)
    model.dtype = dtype
    return total / cut.counted / math.log(2)


def side_by_side(text: np.ndarray, count: int) -> tuple[Tensor, Tensor]:
    """Symbols to read and those that follow, [time, count], without what does not fill a stream."""
    length = (len(text) - 1) // count
    whole = torch.from_numpy(text[: length * count + 1].astype(np.int64))
    return tuple(part.view(count, length).t().contiguous() for part in (whole[:-1], whole[1:]))


def train_stage(
    model: CharacterModel,
    text: np.ndarray,
    recipe: RecurrentRecipe,
    *,
    hwa: bool,
    each_batch: Callable[[float], None],
    each_epoch: Callable[[], None],
) -> None:
    """Run the first stage, or with `hwa` the second; `each_batch` is given the loss in bits."""
    epochs, rate = (recipe.hwa_epochs, recipe.hwa_rate) if hwa else (recipe.epochs, recipe.rate)
    read, follow = side_by_side(text, recipe.batch)
    batches = len(read) // recipe.steps
    model.noise = recipe.noise if hwa else 0.0
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rate, total_steps=max(1, epochs * batches), pct_start=0.05,
        final_div_factor=1e3,
    )  # fmt: skip
    for _ in range(epochs):
        model.train()
        if hwa:
            model.clip_weights(recipe.clip)
            model.scales = calibrate(model, calibration_text(text))
        state = model.start(recipe.batch)
        for first in range(0, batches * recipe.steps, recipe.steps):
            span = slice(first, first + recipe.steps)
            logits, state = model(read[span], state)
            loss = functional.cross_entropy(logits.flatten(0, 1), follow[span].flatten())
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_LIMIT)
            optimiser.step()
            schedule.step()
            if hwa:
                model.clip_weights(recipe.clip)
            each_batch(float(loss.detach()) / math.log(2))
        model.eval()
        each_epoch()


def calibration_text(text: np.ndarray) -> Tensor:
    """Training text to choose scales on, [time, streams]; fewer streams of a short text."""
    count, time_ = CALIBRATION
    count = max(1, min(count, (len(text) - 1) // time_))
    return side_by_side(text, count)[0][: CALIBRATION_WARM_UP + time_]


def train(model: CharacterModel, run: Run, console: Console) -> None:
    """Both stages, with a progress bar; leaves the model ready to measure and to export."""
    name, recipe = model.task.untrained.name, run.recipe
    progress = Progress(
        TextColumn("{task.description}"),
        TextColumn("{task.fields[loss]:.3f} bits"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    stages = [
        ("floating point", False, recipe.epochs),
        ("chip arithmetic", True, recipe.hwa_epochs),
    ]
    if run.resume:
        _resume(model, run.resume)
        stages = stages[1:]
    batches = (len(run.training) - 1) // recipe.batch // recipe.steps
    watched = run.training[:50_000]
    with progress:
        for stage, hwa, epochs in stages:
            bar = progress.add_task(f"{name}, {stage}", total=epochs * batches, loss=float("nan"))
            done = 0
            smooth = float("nan")

            def each_batch(loss: float, bar: object = bar) -> None:
                nonlocal smooth
                smooth = loss if math.isnan(smooth) else 0.98 * smooth + 0.02 * loss
                progress.update(bar, advance=1, loss=smooth)

            def each_epoch(stage: str = stage, epochs: int = epochs) -> None:
                nonlocal done
                done += 1
                torch.save({"model": model.state_dict()}, run.checkpoint)
                if done % max(1, epochs // _REPORTS):
                    return
                console.print(
                    f"{name}, {stage}, epoch {done}: {bpc(model, watched):.4f} bits per character "
                    f"on {len(watched)} characters of training text",
                    highlight=False,
                )

            train_stage(
                model, run.training, recipe, hwa=hwa, each_batch=each_batch, each_epoch=each_epoch
            )
    model.eval()
    model.clip_weights(recipe.clip)
    model.round_weights()
    model.scales = calibrate(model, calibration_text(run.training))


def _resume(model: CharacterModel, checkpoint: Path) -> None:
    try:
        model.load_state_dict(torch.load(checkpoint, weights_only=True)["model"])
    except (OSError, EOFError, RuntimeError, KeyError, TypeError, UnpicklingError):
        name = model.task.untrained.name
        raise UserError(f"--resume {checkpoint}: not a checkpoint of {name}") from None


def run(run: Run, seed: int, threads: int) -> None:
    """Train, measure, and export unless `run.folder` is None.

    The same seed, machine and number of threads give the same weights.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    console = Console()
    model = CharacterModel(run.task)
    run.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    train(model, run, console)
    seconds = time.monotonic() - started

    rounded = bpc(model, run.measuring)
    scales, model.scales = model.scales, None
    real = bpc(model, run.measuring)
    model.scales = scales
    console.print(
        f"{run.task.untrained.name}: {run.recipe}, seed {seed}, {threads} thread(s): "
        f"{seconds:.0f} s of training; on {len(run.measuring)} characters: "
        f"float {real:.4f}, chip arithmetic {rounded:.4f} bits per character; {scales}",
        highlight=False,
    )
    if run.folder is not None:
        export(model.describe(real), model.arrays(), run.folder)
        console.print(f"written: {run.folder / 'network.yaml'} and {run.folder / 'weights.npz'}")
