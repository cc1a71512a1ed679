"""What a program says of the host's part at either end, and its limits."""

from dataclasses import dataclass
from math import prod
from typing import Literal

from pydantic import ValidationError

from caduceus.spec.document import Inconsistent
from caduceus.spec.errors import UserError
from caduceus.spec.graph import DATASETS, Graph
from caduceus.spec.host_section import Host, Normalize


@dataclass(frozen=True)
class HostOperator:
    """An operator of the host; see `caduceus.spec.host_section`.

    Attributes:
        op: its name there.
        origin: node of the model that it was; None for a network that was not imported.
        factor, shift: of `normalize`; empty for others.
    """

    op: Literal[
        "normalize", "embedding", "softmax", "log_softmax", "argmax", "l2_norm", "last_step"
    ]
    origin: str | None = None
    factor: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()


@dataclass(frozen=True)
class HostEnds:
    """What the host does before the chip and after it.

    Attributes:
        layout: of the user's own arrays, as in a network's description.
        before, after: operators, in their order.
        pixels: whether inputs that are uint8 are pixels, which stand for 0 to 1; else they are
            numbers as they are.
    """

    layout: Literal["chw", "hwc", "vector"] = "hwc"
    before: tuple[HostOperator, ...] = ()
    after: tuple[HostOperator, ...] = ()
    pixels: bool = False

    @property
    def named(self) -> list[dict[str, str | None]]:
        """Each operator's `op`, `origin`, and `when`: `before` or `after`."""
        return [
            {"op": each.op, "origin": each.origin, "when": when}
            for when in ("before", "after")
            for each in getattr(self, when)
        ]

    def check(self, shape: tuple[int, ...] | None, entries: int | None, *, recurrent: bool) -> None:
        """Demand that it suits a program.

        Args:
            shape: of its input; None for a program made by hand.
            entries: rows of its embedding; None without.
            recurrent: whether inputs are sequences.

        Raises:
            UserError: a value is out of range, or operators do not fit together.
        """
        if shape is None:
            if self != HostEnds():
                raise UserError("program: host: got operators without an input, expected none")
            return
        try:
            section = Host.model_validate(self._description(entries))
            map_shape = shape if len(shape) == 3 else (1, 1, prod(shape))
            section.check(map_shape, recurrent=recurrent)
        except Inconsistent as error:
            raise UserError(f"program: {error}") from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, ("host", *first["loc"])))
            found = first.get("ctx", {}).get("error") or first["msg"]
            raise UserError(f"program: {where}: {found}") from None

    def _description(self, entries: int | None) -> dict[str, object]:
        """The section of a description that says the same."""
        before = []
        for each in self.before:
            keys: dict[str, object] = {"op": each.op, "origin": each.origin}
            if each.op == "embedding":
                keys["entries"] = entries
            else:
                keys |= {"factor": each.factor, "shift": each.shift}
            before.append(keys)
        after = [
            {"op": each.op, "origin": each.origin}
            | ({"factor": each.factor} if each.factor or each.shift else {})
            for each in self.after
        ]
        return {"layout": self.layout, "before": tuple(before), "after": tuple(after)}


def ends_of(graph: Graph) -> HostEnds:
    """What a network's description says of the host."""
    host = graph.host
    before = tuple(
        HostOperator(each.op, each.origin, each.factor, each.shift)
        if isinstance(each, Normalize)
        else HostOperator(each.op, each.origin)
        for each in host.before
    )
    after = tuple(HostOperator(each.op, each.origin) for each in host.after)
    pixels = DATASETS[graph.dataset] in ("images", "random values")
    return HostEnds(host.layout, before, after, pixels)
