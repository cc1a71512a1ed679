"""Signal lists for the waveforms of a bench: the top's ports, for GTKWave and for Surfer.

GTKWave opens a save file (`gtkwave waves.gtkw`), Surfer runs a command file (`surfer --command-file
waves.sucl`); either names the waveforms. All other signals of the design are in the viewer's tree.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BINARY, _HEX, _TITLE = "@28", "@22", "@200"
"""GTKWave's flags for the lines that follow: one bit, a vector, text."""
_TIMING = ("clk", "aclk", "mvm_clk", "rst", "aresetn", "mvm_rst")
_PORT = re.compile(
    r"\b(input|output)\s+(?:wire\s+|reg\s+|logic\s+)?(?:signed\s+)?(?:\[([^\]:]+):([^\]:]+)\]\s*)?"
    r"([A-Za-z_]\w*)"
)


@dataclass(frozen=True)
class Port:
    """A port of a module: `high` and `low` are its range, None for one bit."""

    name: str
    output: bool
    high: int | None = None
    low: int | None = None

    @property
    def group(self) -> str:
        """Heading in the list."""
        if self.name in _TIMING:
            return "clocks and resets"
        return "outputs" if self.output else "inputs"


def ports(sources: Sequence[Path], top: str, parameters: Mapping[str, int]) -> list[Port]:
    """Ports of module `top`, in the order of declaration.

    A port whose range depends on anything other than `parameters` is left out.
    """
    for path in sources:
        found = re.search(rf"\bmodule\s+{re.escape(top)}\b(.*?)\bendmodule\b", path.read_text(),
                          re.DOTALL)  # fmt: skip
        if path.suffix in (".v", ".sv") and found:
            break
    else:
        return []
    text = re.sub(r"//[^\n]*|\(\*.*?\*\)", "", found[1])
    ranges = {}
    for way, high, low, name in _PORT.findall(text):
        try:
            limits = [_number(each, parameters) if each else None for each in (high, low)]
        except ValueError:
            continue
        ranges[name] = Port(name, way == "output", *limits)
    return list(ranges.values())


def _number(expression: str, parameters: Mapping[str, int]) -> int:
    """Value of an expression of sums and products.

    Raises:
        ValueError: the expression has other operators.
    """
    text = re.sub(r"[A-Za-z_]\w*", lambda name: str(parameters.get(name[0], name[0])), expression)
    total = 0
    for sign, term in re.findall(r"([+-]?)([^+-]+)", text.replace(" ", "")):
        product = 1
        for factor in term.split("*"):
            product *= int(factor)
        total += -product if sign == "-" else product
    return total


def write(
    waves: Path, sources: Sequence[Path], top: str, parameters: Mapping[str, int]
) -> tuple[Path, Path]:
    """Write both lists beside the waveforms: the save file, and the command file."""
    groups: dict[str, list[Port]] = {"clocks and resets": [], "inputs": [], "outputs": []}
    for port in ports(sources, top, parameters):
        groups[port.group].append(port)
    saved = ["[*] the ports of the design under test", f'[dumpfile] "{waves}"', "[timestart] 0"]
    commands = [f"load_file {waves}"]
    for title, members in groups.items():
        if not members:
            continue
        saved += [_TITLE, f"-{title}"]
        commands.append(f"divider_add {title}")
        for port in members:
            path = f"{top}.{port.name}"
            whole = path if port.high is None else f"{path}[{port.high}:{port.low}]"
            saved += [_BINARY if port.high is None else _HEX, whole]
            commands.append(f"variable_add {path}")
    files = waves.with_suffix(".gtkw"), waves.with_suffix(".sucl")
    for file, lines in zip(files, (saved, [*commands, "zoom_fit"]), strict=True):
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return files
