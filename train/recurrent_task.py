"""The recurrent networks that are trained here, each with its chip and its settings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from caduceus.compiler.recurrent_plan import plan
from caduceus.spec import chip, formats
from caduceus.spec.chip import Chip
from caduceus.spec.gdpu import GATES
from caduceus.spec.graph import FloatMetric, Graph, Input, Layer, Lstm
from train.topology import INPUT_SCALE

CALIBRATION_WARM_UP = 64
"""Steps at the start of a stretch of text that are read but not looked at, when calibrating."""


@dataclass(frozen=True)
class RecurrentRecipe:
    """How to train one network; README.md here says how the settings were chosen.

    Attributes:
        epochs, hwa_epochs: passes over the text, first and second stage.
        rate, hwa_rate: peak learning rate of either stage.
        noise: standard deviation of the second stage's weight noise, as a share of the range of a
            matrix's weights, largest minus smallest.
        clip: largest weight, in standard deviations of its matrix (second stage).
        batch, steps: texts read side by side, and characters from one update to the next.
    """

    epochs: int
    hwa_epochs: int
    rate: float
    hwa_rate: float
    noise: float
    clip: float
    batch: int
    steps: int


@dataclass(frozen=True)
class RecurrentTask:
    """A network to train, with the chip that it is trained for.

    `untrained` holds its shapes; scales, `gmax` and `metric.float` are placeholders that the export
    replaces. Its symbols are those of its text.
    """

    untrained: Graph
    chip: chip.Chip

    @property
    def shared(self) -> bool:
        """Whether input and hidden state share a tile, which adds them up before any rounding."""
        return not plan(self.untrained, self.chip).inputs

    @property
    def hidden_blocks(self) -> list[slice]:
        """Rows of the hidden state's matrix by tile."""
        where = plan(self.untrained, self.chip)
        ends = (
            (where.units[group[0]].start, where.units[group[-1]].stop) for group in where.groups
        )
        return [slice(*pair) for pair in ends]


@dataclass(frozen=True)
class Run:
    """What one training is given.

    Attributes:
        training, measuring: symbols of the texts, uint8 [n].
        resume: checkpoint to take in place of the first stage.
        checkpoint: file that the model is kept in after every epoch.
        folder: where to export to; None for nowhere.
    """

    task: RecurrentTask
    recipe: RecurrentRecipe
    training: np.ndarray
    measuring: np.ndarray
    resume: Path | None
    checkpoint: Path
    folder: Path | None


@dataclass(frozen=True)
class Shape:
    """What there is to know of a network before its text is read."""

    dataset: str
    chip_name: str
    embedding: int
    hidden: int
    recipe: RecurrentRecipe


SHAPES = {
    # The published network: 128 x 2016, 504 x 2016 and 504 x 50 for the Penn Treebank.
    "lstm_ptb": Shape(
        "penn_treebank", "hermes", embedding=128, hidden=504,
        recipe=RecurrentRecipe(
            epochs=9, hwa_epochs=4, rate=3e-3, hwa_rate=2e-3, noise=0.02, clip=2.5,
            batch=64, steps=128,
        ),
    ),
    "lstm_tiny": Shape(
        "text", "tiny", embedding=8, hidden=8,
        recipe=RecurrentRecipe(
            epochs=200, hwa_epochs=200, rate=2e-2, hwa_rate=1e-2, noise=0.01, clip=2.5,
            batch=4, steps=32,
        ),
    ),
}  # fmt: skip


def task(name: str, symbols: str, dataset: str) -> RecurrentTask:
    """The network called `name` for a text of these symbols."""
    shape = SHAPES[name]
    untrained = Graph(
        format=2,
        name=name,
        dataset=dataset,
        input=Input(shape=(shape.embedding,), scale=INPUT_SCALE, symbols=symbols),
        weights="weights.npz",
        scaling="core",
        nodes=(
            Lstm(
                name="lstm", op="lstm", hidden=shape.hidden, input_gmax=formats.CELL_MAX,
                hidden_gmax=formats.CELL_MAX, gate_scales=(1.0,) * len(GATES), output_scale=1.0,
            ),
            Layer(
                name="dense", op="dense", outputs=len(symbols), relu=False, gmax=formats.CELL_MAX,
                output_scale=1.0,
            ),
        ),
        metric=FloatMetric(name="bpc", float=1.0),
    )  # fmt: skip
    return RecurrentTask(untrained, Chip.find(shape.chip_name))
