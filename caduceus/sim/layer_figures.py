"""What a network's layers cost and lose: rows of a result file, and the table of them."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

WIDTH = 100
"""Characters of a line of the table."""
LIMIT = 0.01
"""Share of a layer's outputs, or of a column's conversions, that may be lost in silence."""
CHIP, HOST = "chip", "host"


@dataclass(frozen=True)
class Worst:
    """The column that loses the largest share.

    Attributes:
        tile: number of its tile; None for a column of a layer's outputs.
        column: of the tile, or of the layer's outputs.
        share: of its conversions, or of its outputs.
    """

    tile: int | None
    column: int
    share: float


@dataclass(frozen=True)
class LayerFigures:
    """A layer, or an operator of the host; None where a key has no meaning.

    Attributes:
        layer: its name; of an operator of the host what it does.
        node: the model's node that it was; None for a network that was not imported.
        operator: the model's operators that it does, or `conv`, `dense`, `lstm`.
        where: `chip` or `host`.
        tiles: number of them, replicas included.
        useful: share of the cells of its tiles' arrays that hold weights of the operator.
        input_scale, output_scale: real value of one INT8 step.
        conversions: one for each column and window of every MVM.
        saturated: conversions that reach the most counts of a window, which cuts off larger ones.
        saturated_share: of all conversions.
        saturated_most: the column with the largest share.
        clipped: share of outputs that are 127 or -127, which stand for larger ones too.
        clipped_most: the column with the largest share.
        snr_db: power of the layer's outputs in floating point over that of the error against them,
            in dB; None where there is no error, or no output but 0.
    """

    layer: str
    node: str | None
    operator: str
    where: str
    tiles: int | None = None
    useful: float | None = None
    input_scale: float | None = None
    output_scale: float | None = None
    conversions: int | None = None
    saturated: int | None = None
    saturated_share: float | None = None
    saturated_most: Worst | None = None
    clipped: float | None = None
    clipped_most: Worst | None = None
    snr_db: float | None = None


@dataclass(frozen=True)
class Quality:
    """A network's metric at every stage; None where it is not known.

    Attributes:
        name: as of `caduceus.sim.result.Metric`.
        float: in floating point.
        quantized: with ideal devices.
        devices: with the devices of the run; None where these are ideal.
    """

    name: str
    float: float | None
    quantized: float | None
    devices: float | None


def table(layers: Sequence[LayerFigures], inputs: int, quality: Quality | None) -> list[str]:
    """Lines of at most `WIDTH` characters: a row for each layer, what it lost, and the metric.

    Args:
        layers: in the order of computation.
        inputs: number of inputs that they are of.
        quality: the metric; None without.
    """
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("layer", "operator", "on"):
        shown.add_column(name, overflow="fold", max_width=24)
    for name in ("tiles", "useful", "in", "out", "saturated", "clipped", "SNR"):
        shown.add_column(name, justify="right", no_wrap=True)
    for each in layers:
        shown.add_row(*_cells(each))
    page = io.StringIO()
    Console(file=page, width=WIDTH, color_system=None, markup=False).print(shown)
    lines = [line.rstrip() for line in page.getvalue().splitlines()]
    count = "input" if inputs == 1 else f"{inputs} inputs"
    lines += [f"layers: of the first {count}, SNR against floating point in dB"]
    lines += [f"note: {loss}" for loss in losses(layers)]
    return [*lines, *([_in_words(quality)] if quality else [])]


def _cells(each: LayerFigures) -> Iterator[str]:
    """A row of the table."""
    yield from (each.layer, each.operator, each.where)
    yield _shown(each.tiles, "d")
    yield _shown(each.useful, ".1%")
    yield _shown(each.input_scale, ".3g")
    yield _shown(each.output_scale, ".3g")
    yield _shown(each.saturated_share, ".2%")
    yield _shown(each.clipped, ".2%")
    yield _shown(each.snr_db, ".1f")


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def losses(layers: Sequence[LayerFigures]) -> list[str]:
    """A sentence for each layer that loses more than `LIMIT` of its outputs or conversions."""
    found = []
    for each in layers:
        worst = each.saturated_most
        if worst is not None and worst.share > LIMIT:
            found.append(
                f"layer {each.layer}: column {worst.column} of tile {worst.tile}: "
                f"{worst.share:.1%} of its conversions saturate, {each.saturated_share:.2%} of all"
            )
        worst = each.clipped_most
        if worst is not None and each.clipped is not None and each.clipped > LIMIT:
            found.append(
                f"layer {each.layer}: {each.clipped:.1%} of its outputs are clipped at 127, column "
                f"{worst.column} the most, {worst.share:.1%}"
            )
    return found


def _in_words(quality: Quality) -> str:
    """The metric at every stage that is known."""
    form = ".2%" if quality.name == "accuracy" else ".4g"
    places = {"float": " on the whole test set", "quantized": "", "devices": ""}
    stages = (
        f"{stage} {getattr(quality, stage):{form}}{place}"
        for stage, place in places.items()
        if getattr(quality, stage) is not None
    )
    return f"{quality.name}: {', '.join(stages)}"
