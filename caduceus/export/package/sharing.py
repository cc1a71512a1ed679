"""Modules of Amaranth designs, shared if equal: named after their class, not their instance."""

import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from amaranth.back import rtlil as backend
from amaranth.hdl import Elaboratable, Fragment
from amaranth.hdl import Module as AmaranthModule
from amaranth.lib.wiring import Component

from caduceus.export.package import names
from caduceus.export.package.rtlil import Module, parse
from caduceus.hdl.common.verilog import ports_of

PREFIX = "caduceus_"
"""Prefix of all modules that users do not instantiate, so that no name collides with a user's."""

_CELL = re.compile(r"^  cell \\(\S+) \\(\S+)$")
_MEMORY = re.compile(r"^  memory .*\\(\S+)$")
_PORT = re.compile(
    r"(?P<head>  wire .*?\b(?:input|output|inout) )\d+(?P<tail> .*?\\(?P<name>\S+))$"
)
_NUMBER = re.compile(rf"\b{PREFIX}module_\d+_\b")
_FIRST = ("clk", "rst")
_NAME = re.compile(r"\\(\S+)")


@dataclass(frozen=True)
class Verilog:
    """A module's Verilog.

    Attributes:
        name: the module's.
        summary: first paragraph of its docstring; empty if there is none.
        text: from `module` to `endmodule`.
        uses: names of the modules of this package that it instantiates.
    """

    name: str
    summary: str
    text: str
    uses: tuple[str, ...]


@dataclass(eq=False)
class Shared:
    """A module with one or several instances.

    Attributes:
        kind: snake-cased name of the component's class.
        summary: first paragraph of the class's docstring; empty if there is none.
        instance, top: name of the first instance, and its design.
        text: its RTLIL, in which submodules are references to `children`.
        children: modules that it instantiates.
        name: its name in Verilog.
    """

    kind: str
    summary: str
    instance: str
    top: str
    text: list[str]
    children: "list[Shared]"
    name: str = field(default="")


@dataclass
class _Placed:
    """An instance of a module: new names of its ports, by their names in the design."""

    shared: Shared
    ports: dict[str, str]


class Library:
    """Modules of several designs, equal ones shared."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], Shared] = {}
        self._tops: dict[str, Shared] = {}

    def add(self, component: Component, name: str) -> None:
        """Add a design; its top module keeps its name."""
        fragment = Fragment.get(component, None)
        ports = [(port, *conn) for port, conn in ports_of(component).items()]
        design = fragment.prepare(ports=ports, hierarchy=(name,))
        origins = {
            ".".join(info.name): _component(part.origins or ())
            for part, info in design.fragments.items()
        }
        text, _ = backend.convert_fragment(design, name=name, emit_src=False)
        here: dict[str, _Placed] = {}
        # Amaranth lists a module before its submodules.
        for module in reversed(parse(text)):
            here[module.name] = self._share(module, origins[module.name], here)
        self._tops[name] = here[name].shared

    def _share(
        self, module: Module, component: Elaboratable | None, others: "dict[str, _Placed]"
    ) -> "_Placed":
        top, _, path = module.name.partition(".")
        instance = re.sub(r"\$\d+$", "", path.rpartition(".")[2])
        text, ports, children = _renamed(module, others)
        text = _ordered(text)
        kind = names.snake(type(component).__name__) if component else instance
        found = self._found.get((kind, *text))
        if found is None:
            summary = inspect.getdoc(type(component)).split("\n\n")[0] if component else ""
            found = Shared(kind, summary, instance, top, text, children)
            self._found[kind, *text] = found
        return _Placed(found, ports)

    def modules(self) -> list[Shared]:
        """All modules, each after its submodules; tops have their names, the others numbers."""
        for number, shared in enumerate(self._found.values()):
            shared.name = f"{PREFIX}module_{number}_"
        for name, top in self._tops.items():
            top.name = name
        return list(self._found.values())

    def rtlil(self) -> str:
        """All modules as one design."""
        return "\n".join(_placed(shared).text() for shared in self.modules())

    def merged(self, texts: Mapping[str, str]) -> list[Verilog]:
        """Modules under their final names, sorted by name; modules with equal text are merged.

        Args:
            texts: Verilog of each of `modules`, by name.
        """
        first: dict[tuple[str, str], Shared] = {}
        stands_for: dict[str, Shared] = {}
        for shared in self.modules():
            text = _numbered(texts[shared.name], lambda name: stands_for[name].name, shared.name)
            place = "" if shared.name not in self._tops else shared.name
            stands_for[shared.name] = first.setdefault((shared.kind + place, text), shared)
        kept = list(first.values())
        final = {name: name for name in self._tops}
        kinds: defaultdict[str, list[Shared]] = defaultdict(list)
        for shared in kept:
            if shared.name not in self._tops:
                kinds[shared.kind].append(shared)
        for kind, members in kinds.items():
            for shared, suffix in zip(members, _suffixes(members), strict=True):
                final[shared.name] = PREFIX + kind + suffix

        def name_of(old: str) -> str:
            return final[stands_for[old].name]

        return [
            Verilog(
                name=final[shared.name],
                summary=shared.summary,
                text=_numbered(texts[shared.name], name_of),
                uses=tuple(name_of(child.name) for child in shared.children),
            )
            for shared in sorted(kept, key=lambda shared: final[shared.name])
        ]


def _numbered(text: str, name_of: Callable[[str], str], itself: str = "") -> str:
    """A text with numbered module names replaced, and the module's own name removed."""
    return _NUMBER.sub(lambda match: "" if match[0] == itself else name_of(match[0]), text)


def _suffixes(members: list[Shared]) -> list[str]:
    """Suffixes that distinguish modules of one kind: none, instances, designs, or numbers."""
    if len(members) == 1:
        return [""]
    instances = [f"_{shared.instance}" for shared in members]
    tops = [f"_in_{shared.top}" for shared in members]
    for suffixes in (instances, tops):
        if len(set(suffixes)) == len(members):
            return suffixes
    seen: defaultdict[str, int] = defaultdict(int)
    numbered = []
    for instance in instances:
        seen[instance] += 1
        numbered.append(instance if seen[instance] == 1 else f"{instance}_v{seen[instance]}")
    return numbered


def _component(origins: tuple[object, ...]) -> Elaboratable | None:
    """The component of a fragment, rather than the `Module` that its `elaborate` returned."""
    for origin in origins:
        inner = origin
        while hasattr(inner, "_elaboratable_"):
            inner = inner._elaboratable_  # of `DomainRenamer` and `ResetInserter`
        if not isinstance(inner, AmaranthModule):
            return inner
    return None


def _renamed(
    module: Module, others: dict[str, _Placed]
) -> tuple[list[str], dict[str, str], list[Shared]]:
    """A module's lines with plain names, its ports' new names, and its submodules."""
    # Nets, memories and instances share one name space in Verilog.
    memories = [match[1] for match in map(_MEMORY.match, module.lines) if match]
    wires = [name[1:] for name in module.wires() if name.startswith("\\")]
    new = names.clean(wires, taken=memories)
    ports = {port: new[port] for port in module.ports()}
    instances = [match[2] for match in map(_CELL.match, module.lines) if match]
    placed = names.clean(instances, prefix="u_", taken=[*new.values(), *memories])
    children: list[Shared] = []
    lines = []
    child: _Placed | None = None
    for line in module.lines:
        word = line.split(maxsplit=1)[0]
        if match := _CELL.match(line):
            child = others.get(match[1])
            kind = match[1]
            if child:
                if child.shared not in children:
                    children.append(child.shared)
                kind = f"@{children.index(child.shared)}@{id(child.shared)}"
            line = f"  cell \\{kind} \\{placed[match[2]]}"
        elif word == "connect" and line.startswith("    "):
            _, port, value = line.split(maxsplit=2)
            if child:
                port = f"\\{child.ports[port[1:]]}"
            line = f"    connect {port} {_NAME.sub(lambda m: _net(m, new), value)}"
        elif word == "end" and line == "  end":
            child = None
        elif word not in ("attribute", "parameter", "memory", "cell"):
            line = _NAME.sub(lambda match: _net(match, new), line)
        elif word == "cell":
            child = None
        lines.append(line)
    return lines, ports, children


def _ordered(lines: list[str]) -> list[str]:
    """Sort ports: clocks and resets first, then inputs, then outputs, each by name.

    Amaranth's order is the order of use, which differs between equal modules.
    """
    declared: dict[str, list[str]] = {}
    rest: list[str] = []
    attributes: list[str] = []
    for line in lines:
        match = _PORT.match(line)
        if line.startswith("  attribute "):
            attributes.append(line)
            continue
        if match:
            declared[match["name"]] = [*attributes, line]
        else:
            rest += [*attributes, line]
        attributes = []

    def place(name: str) -> tuple[bool, bool, str]:
        return not name.endswith(_FIRST), " output " in declared[name][-1], name

    ports: list[str] = []
    for number, name in enumerate(sorted(declared, key=place), 1):  # 0 is no port to Yosys
        *before, line = declared[name]
        ports += [*before, _PORT.sub(rf"\g<head>{number}\g<tail>", line)]
    return [*ports, *rest]


def _net(match: re.Match[str], new: dict[str, str]) -> str:
    return f"\\{new[match[1]]}"


def _placed(shared: Shared) -> Module:
    """The module with its submodules' names."""
    pattern = re.compile(r"\\@(\d+)@\d+ ")
    lines = [
        pattern.sub(lambda match: f"\\{shared.children[int(match[1])].name} ", line)
        if line.startswith("  cell ") else line
        for line in shared.text
    ]  # fmt: skip
    return Module(shared.name, lines)
