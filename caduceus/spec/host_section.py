"""What the host does to a network's inputs and outputs: a section of its description.

The chip takes and gives INT8. What a model has around that (normalization of its inputs, an
embedding, a softmax) is the host's, in binary64.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from caduceus.spec.document import Section, demand

ENTRIES_MAX = 65_536
"""Vectors of an embedding."""
OPERATORS_MAX = 64
"""Of each end."""
AFTER = ("softmax", "log_softmax", "argmax", "l2_norm", "last_step")
_Finite = Annotated[float, Field(gt=-1e38, lt=1e38)]
_PerChannel = Annotated[tuple[_Finite, ...], Field(min_length=1, max_length=ENTRIES_MAX)]


class Normalize(Section):
    """Inputs become input * factor + shift.

    Attributes:
        factor, shift: one number, or one per channel; of flat vectors one per value.
        origin: the model's node that it was; None for a network that was not imported.
    """

    op: Literal["normalize"]
    factor: _PerChannel
    shift: _PerChannel
    origin: str | None = None


class Embedding(Section):
    """Inputs are numbers from 0 on: each stands for a row of the array `embedding`.

    Attributes:
        entries: rows of the array.
        origin: as for `Normalize`.
    """

    op: Literal["embedding"]
    entries: Annotated[int, Field(ge=2, le=ENTRIES_MAX)]
    origin: str | None = None


class After(Section):
    """An operator on outputs in real units, along their channels.

    Attributes:
        op: `softmax` and its logarithm; `argmax`, the number of the largest; `l2_norm`, division by
            the root of the sum of squares; `last_step`, of a sequence its last output alone.
        origin: as for `Normalize`.
    """

    op: Literal["softmax", "log_softmax", "argmax", "l2_norm", "last_step"]
    origin: str | None = None


Before = Annotated[Normalize | Embedding, Field(discriminator="op")]


class Host(Section):
    """The host's part of a network.

    Attributes:
        layout: of the user's own arrays. Of maps `hwc` is [n, height, width, channels], `chw` is
            [n, channels, height, width]; `vector` is [n, size] whatever the input's shape is, which
            it fills row by row. Steps of a sequence are [n, steps, size] in each.
        before: operators on inputs, in their order.
        after: operators on outputs, in their order.
    """

    layout: Literal["chw", "hwc", "vector"] = "hwc"
    before: Annotated[tuple[Before, ...], Field(max_length=OPERATORS_MAX)] = ()
    after: Annotated[tuple[After, ...], Field(max_length=OPERATORS_MAX)] = ()

    @property
    def embedding(self) -> Embedding | None:
        """The embedding, if there is one."""
        first = self.before[0] if self.before else None
        return first if isinstance(first, Embedding) else None

    @model_validator(mode="after")
    def _each_operator_has_a_meaning(self) -> "Host":
        before, after = ([each.op for each in ops] for ops in (self.before, self.after))
        alone = "embedding" not in before or len(before) == 1
        demand(alone, "before", before, "an embedding alone: its vectors are what the chip takes")
        for op in ("argmax", "last_step"):
            demand(after.count(op) <= 1, "after", after, f"{op} at most once")
        values = [op for op in after if op != "last_step"]
        demand("argmax" not in values[:-1], "after", after, "argmax last: it leaves no values")
        return self

    def check(self, map_shape: tuple[int, int, int], *, recurrent: bool) -> None:
        """Demand that it suits a network with this input.

        Args:
            map_shape: height, width, channels of the input.
            recurrent: whether inputs are sequences.

        Raises:
            Inconsistent: it does not.
        """
        height, width, channels = map_shape
        many = height * width * channels if self.layout == "vector" else channels
        for at, each in enumerate(self.before):
            key = f"host.before.{at}"
            if isinstance(each, Embedding):
                demand(recurrent, f"{key}.op", each.op, "normalize: there is no LSTM")
                continue
            for name in ("factor", "shift"):
                count = len(getattr(each, name))
                demand(count in (1, many), f"{key}.{name}", f"{count} numbers", f"1 or {many}")
        for at, each in enumerate(self.after):
            fits = recurrent or each.op != "last_step"
            demand(fits, f"host.after.{at}.op", each.op, "another operator: there is no LSTM")
