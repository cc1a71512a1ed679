"""RTLIL, Yosys's text format, line by line: modules, cells, and bits of signal expressions.

It handles only what Amaranth and Yosys write for word-level designs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Bit = str | tuple[str, int]
"""A digit of a constant, or a wire and a bit index."""

_TOKEN = re.compile(r"[{}]|\[\d+(?::\d+)?\]|\d+'[01xz-]*|-?\d+(?=\s|$)|[\\$]\S+")
_WIRE = re.compile(r"^  wire (?:width (\d+) )?(?:.*? )?([\\$]\S+)$")
_PORT = re.compile(r"^  wire .*?\b(?:input|output|inout) \d+ .*?\\(\S+)$")
_INTEGER_BITS = 32


@dataclass
class Module:
    """A module's name without its backslash, and its lines without `module` and `end`."""

    name: str
    lines: list[str]

    def ports(self) -> list[str]:
        """Names of its ports."""
        found = map(_PORT.match, self.lines)
        return [match[1] for match in found if match]

    def wires(self) -> dict[str, int]:
        """Widths of all wires, by their names with the first character."""
        found = map(_WIRE.match, self.lines)
        return {match[2]: int(match[1] or 1) for match in found if match}

    def text(self) -> str:
        """The module's text for Yosys."""
        return "\n".join([f"module \\{self.name}", *self.lines, "end", ""])


def parse(text: str) -> list[Module]:
    """The modules of a design in their order, without attributes."""
    modules: list[Module] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("module \\"):
            modules.append(Module(line.removeprefix("module \\"), []))
            inside = True
        elif line == "end":
            inside = False
        elif inside and line:
            modules[-1].lines.append(line)
    return modules


@dataclass
class Cell:
    """A cell: type and name with their first characters, parameters, and connections as text."""

    kind: str
    name: str
    parameters: dict[str, str]
    connections: dict[str, str]

    def lines(self) -> list[str]:
        """The cell's lines for Yosys."""
        return [
            f"  cell {self.kind} {self.name}",
            *(f"    parameter \\{name} {value}" for name, value in self.parameters.items()),
            *(f"    connect \\{port} {bits}" for port, bits in self.connections.items()),
            "  end",
        ]

    def number(self, parameter: str) -> int:
        """An integer parameter."""
        value = self.parameters[parameter]
        return int(value.split("'")[1], 2) if "'" in value else int(value)


def cells(lines: Sequence[str]) -> Iterator[list[str] | Cell]:
    """A module's lines: each cell as a `Cell`, everything between cells as lines."""
    between: list[str] = []
    cell: Cell | None = None
    for line in lines:
        if line.startswith("  cell "):
            yield between
            between = []
            kind, name = line.split()[1:]
            cell = Cell(kind, name, {}, {})
        elif cell and line == "  end":
            yield cell
            cell = None
        elif cell and not line.startswith("    attribute "):
            what, name, value = line.split(maxsplit=2)
            into = cell.parameters if what == "parameter" else cell.connections
            into[name.removeprefix("\\")] = value
        elif not cell:
            between.append(line)
    yield between


def bits(expression: str, widths: Mapping[str, int]) -> list[Bit]:
    """The bits of a signal expression, lowest first."""
    found: list[Bit] = []  # highest first
    tokens = _TOKEN.findall(expression)
    for token, after in zip(tokens, [*tokens[1:], ""], strict=True):
        if token[0] in "\\$":
            high, low = widths[token] - 1, 0
            if after.startswith("["):
                high, *more = map(int, after[1:-1].split(":"))
                low = more[0] if more else high
            found += [(token, index) for index in range(high, low - 1, -1)]
        elif "'" in token:
            found += token.split("'")[1]
        elif token[0] not in "{}[":
            found += f"{int(token) % (1 << _INTEGER_BITS):0{_INTEGER_BITS}b}"
    return found[::-1]


def expression(these: Sequence[Bit]) -> str:
    """The shortest expression of bits, lowest first."""
    chunks: list[str] = []
    run: list[Bit] = []  # highest first

    def follows(bit: Bit) -> bool:
        if not run:
            return True
        if isinstance(bit, str) or isinstance(run[-1], str):
            return isinstance(bit, str) and isinstance(run[-1], str)
        return bit == (run[-1][0], run[-1][1] - 1)

    def close() -> None:
        if isinstance(run[0], str):
            chunks.append(f"{len(run)}'{''.join(map(str, run))}")
        else:
            chunks.append(f"{run[0][0]} [{run[0][1]}:{run[-1][1]}]")

    for bit in reversed(these):
        if not follows(bit):
            close()
            run = []
        run.append(bit)
    close()
    return chunks[0] if len(chunks) == 1 else f"{{ {' '.join(chunks)} }}"
