"""Explicit operand widths for Verilog's operators.

Yosys narrows every operand to its significant bits and relies on Verilog's implicit extension and
truncation. Lint tools warn of each such place. Here the extensions are explicit, so that the files
need no lint waiver.
"""

import re
from collections.abc import Callable

from caduceus.export.package.rtlil import Bit, Cell, Module, bits, cells, expression

_SIGNED_WIRE = re.compile(r"^(  wire .*?)\bsigned (?=[\\$])")
_ARITHMETIC = frozenset({"$add", "$sub", "$and", "$or", "$xor", "$xnor"})
"""The result's low bits depend on the operands' low bits only."""
_ONE_OPERAND = frozenset({"$not", "$neg", "$pos"})
_COMPARISONS = frozenset({"$eq", "$ne", "$eqx", "$nex", "$lt", "$le", "$gt", "$ge"})
_SHIFTS = frozenset({"$shl", "$sshl", "$shr", "$sshr"})
_LOGIC = frozenset({"$logic_not", "$logic_and", "$logic_or"})

_SIGNLESS = (
    _ARITHMETIC | _ONE_OPERAND | {"$eq", "$ne", "$eqx", "$nex", "$shl", "$sshl", "$shr"}
)  # fmt: skip
"""Operators that give the same result, signed or not, if operands are as wide as the result."""


def explicit(module: Module) -> Module:
    """The same module with operands of equal widths."""
    widths = module.wires()
    made: list[str] = []

    def wire(width: int) -> list[Bit]:
        name = f"$wide${len(widths)}"
        widths[name] = width
        made.append(f"  wire width {width} {name}")
        return [(name, index) for index in range(width)]

    lines: list[str] = []
    for part in cells(module.lines):
        if isinstance(part, Cell):
            before, after = _widen(part, widths, wire)
            lines += [line for cell in (*before, part) for line in cell.lines()] + after
        else:
            # Cells have their own signedness.
            lines += [_SIGNED_WIRE.sub(r"\1", line) for line in part]
    return Module(module.name, made + lines)


def _extended(these: list[Bit], width: int, signed: bool) -> list[Bit]:
    """The bits extended, or cut, to a width."""
    return (these + [these[-1] if signed else "0"] * (width - len(these)))[:width]


def _widen(
    cell: Cell, widths: dict[str, int], wire: Callable[[int], list[Bit]]
) -> tuple[list[Cell], list[str]]:
    """Change the cell; return additional cells before it, and lines after it."""
    if cell.kind == "$shift" and not cell.number("B_SIGNED"):
        cell.kind = "$shr"  # equal, as the distance cannot be negative
    if cell.kind in _LOGIC:
        return _logic(cell, widths, wire)
    binary = cell.kind in _ARITHMETIC or cell.kind in _COMPARISONS
    if not (binary or cell.kind in _ONE_OPERAND or cell.kind in _SHIFTS):
        return [], []
    operands = ("A", "B") if binary else ("A",)
    values = {port: bits(cell.connections[port], widths) for port in operands}
    result = bits(cell.connections["Y"], widths)
    # Verilog extends by sign only where both operands are signed.
    signed = all(cell.number(f"{port}_SIGNED") for port in operands)
    after: list[str] = []
    if cell.kind in _COMPARISONS:
        width = max(map(len, values.values()))
        if len(result) > 1:
            after = [f"  connect {expression(result[1:])} {expression(['0'] * (len(result) - 1))}"]
            _set(cell, "Y", result[:1])
    else:
        width = len(result)
        if cell.kind in ("$shr", "$sshr") and len(values["A"]) > width:
            width = len(values["A"])
            wide = wire(width)
            _set(cell, "Y", wide)
            after = [f"  connect {expression(result)} {expression(wide[: len(result)])}"]
    for port, value in values.items():
        _set(cell, port, _extended(value, width, signed))
        if cell.kind in _SIGNLESS:
            cell.parameters[f"{port}_SIGNED"] = "0"
    return [], after


def _logic(
    cell: Cell, widths: dict[str, int], wire: Callable[[int], list[Bit]]
) -> tuple[list[Cell], list[str]]:
    """Reduce the operands of `!`, `&&` and `||` to single bits."""
    before = []
    for port in ("A", "B"):
        if port not in cell.connections:
            continue
        value = bits(cell.connections[port], widths)
        if len(value) > 1:
            (bit,) = wire(1)
            # An OR in place of a comparison: equal, and shorter.
            inputs = {"A_SIGNED": "0", "A_WIDTH": str(len(value)), "Y_WIDTH": "1"}
            ends = {"A": expression(value), "Y": expression([bit])}
            before.append(Cell("$reduce_or", f"{bit[0]}$or", inputs, ends))
            _set(cell, port, [bit])
    return before, []


def _set(cell: Cell, port: str, these: list[Bit]) -> None:
    cell.connections[port] = expression(these)
    cell.parameters[f"{port}_WIDTH"] = str(len(these))
