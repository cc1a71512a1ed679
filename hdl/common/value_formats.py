"""How many bytes the values of a stream have."""

from amaranth.hdl import Const, Value

from caduceus.spec.chip import Chip


def value_formats(chip: Chip, binary16: Value) -> list[tuple[int, Value]]:
    """Bytes that a value may have on `chip`, each with whether it has: two if it is `binary16`."""
    if chip.link.partial_sums == "int8":
        return [(1, Const(1))]
    return [(1, ~binary16), (2, binary16)]
