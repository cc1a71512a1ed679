"""Amaranth designs to Verilog, one file per module."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from amaranth.lib.wiring import Component

from caduceus.export.package import names, rtlil
from caduceus.export.package.initial import shortened
from caduceus.export.package.sharing import Library, Verilog
from caduceus.export.package.widths import explicit
from caduceus.hdl.common.verilog import OPTIMIZE, run_script

_MODULE = re.compile(r"^module (\w+)\s*\(.*?^endmodule$", re.MULTILINE | re.DOTALL)
_HEAD = re.compile(r"^module (\w+)\s*\((.*?)\);\n", re.DOTALL)
_PORT = re.compile(
    r"^  (?P<way>input|output) (?P<size>(?:signed )?(?:\[\d+:0\] )?)(?P<name>\w+);\n"
    r"(?:  (?P<kind>reg|wire) (?P=size)(?P=name)(?P<init> = [^;]+)?;\n)?",
    re.MULTILINE,
)

_SPLIT = """
splitnets -driver w:$*
opt_clean -purge
write_rtlil out.il
"""
"""Split unnamed nets by driver: otherwise one part may depend on another, which looks like a
loop."""
_FUNCTION = re.compile(r"^  function .*?^  endfunction\n", re.MULTILINE | re.DOTALL)
_NESTED = re.compile(r"^(    (?:else )?if \(.*\))\n((?:      .*\n)+)", re.MULTILINE)


def modules(designs: Mapping[str, Component], folder: Path) -> dict[str, Verilog]:
    """Verilog of all modules of the designs, by name; equal modules are shared.

    Args:
        designs: components by module name; a design may instantiate another's module.
        folder: scratch space for Yosys; no file remains.

    Raises:
        UserError: Yosys refuses a design.
    """
    library = Library()
    for name, component in designs.items():
        library.add(component, name)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        place = Path(temporary)
        optimized = _yosys(place, library.rtlil(), f"{OPTIMIZE}{_SPLIT}", "out.il")
        explicit_text = "\n".join(explicit(module).text() for module in rtlil.parse(optimized))
        written = "write_verilog -noattr -noparallelcase out.v"
        text = _yosys(place, explicit_text, written, "out.v")
    found = {match[1]: _tidied(match[0]) for match in _MODULE.finditer(text)}
    return {each.name: replace(each, text=_with_header(each)) for each in library.merged(found)}


def within(these: Mapping[str, Verilog], *tops: str) -> list[str]:
    """Names of modules and of all their submodules, sorted."""
    found: set[str] = set()
    waiting = list(tops)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += these[name].uses
    return sorted(found)


def _yosys(folder: Path, design: str, script: str, result: str) -> str:
    (folder / "design.il").write_text(design, encoding="utf-8")
    (folder / "script.ys").write_text(f"read_rtlil design.il\n{script}\n", encoding="utf-8")
    run_script(folder, "the package")
    return (folder / result).read_text(encoding="utf-8")


_ARGUMENTS = {"a": "otherwise", "b": "choices", "s": "choice"}


def _distinct_arguments(body: str) -> str:
    """Rename arguments of functions, which Yosys calls `a`, `b` and `s`, to unused names."""
    nets = set(re.findall(r"\w+", _FUNCTION.sub("", body)))
    new = names.clean(_ARGUMENTS.values(), taken=nets)

    def renamed(function: re.Match[str]) -> str:
        return re.sub(r"(?<![\w'])[abs]\b", lambda name: new[_ARGUMENTS[name[0]]], function[0])

    return _FUNCTION.sub(renamed, body)


def _tidied(body: str) -> str:
    """Plain names, ports declared in the port list, and `begin` and `end` around nested `if`s."""
    body = names.without_escapes(body)
    found = {match["name"]: match for match in _PORT.finditer(body)}

    def declared(name: str) -> str:
        port = found[name]
        kind = port["kind"] or "wire"
        return f"    {port['way']} {kind} {port['size']}{name}{port['init'] or ''}"

    order = [port.strip() for port in _HEAD.match(body)[2].split(",")]
    listed = ",\n".join(map(declared, order))
    body = _NESTED.sub(r"\1 begin\n\2    end\n", _PORT.sub("", body))
    body = _HEAD.sub(lambda match: f"module {match[1]} (\n{listed}\n);\n", body, count=1)
    return shortened(_distinct_arguments(body))


def _with_header(module: Verilog) -> str:
    about = f"{module.name}: {module.summary}" if module.summary else module.name
    comment = "\n".join(f"// {line}".rstrip() for line in about.splitlines())
    return f"{comment}\n// Generated from Amaranth: change the source instead.\n\n{module.text}\n"
