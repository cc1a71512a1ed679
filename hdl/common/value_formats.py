"""Sizes of the values in a stream."""

from amaranth.hdl import Const, Value

from caduceus.spec.chip import Chip


def value_formats(chip: Chip, binary16: Value) -> list[tuple[int, Value]]:
    """Possible sizes of a value on `chip` in bytes, each with the condition that it applies."""
    if chip.link.partial_sums == "int8":
        return [(1, Const(1))]
    return [(1, ~binary16), (2, binary16)]
