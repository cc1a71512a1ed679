"""Invert one bit of one look-up table of a netlist, which a check must detect.

The table is the one that drives a given output of a module, and the bit is at the highest address
that the table's constant inputs allow, so that the same netlist gives the same bit.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caduceus.export.bitstream.build import read_json
from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole

_INPUTS = ("A", "B", "C", "D")
_CARRIERS = {"TRELLIS_FF": ("Q", "DI")}
"""Cells that pass a bit on: their output and input."""


@dataclass(frozen=True)
class Place:
    """A bit of a look-up table: the module, the cell in it, and the address of the bit."""

    module: str
    cell: str
    address: int


def write(netlist: Path, altered: Path, module: str, output: str) -> None:
    """Write a netlist with one bit changed.

    Args:
        netlist: JSON of Yosys.
        altered: file to write.
        module: a module of the netlist.
        output: output port of the module; its lowest bit selects the table.

    Raises:
        UserError: no look-up table drives the output, or a file cannot be read or written.
    """
    design = read_json(netlist)
    place = find(design, module, output)
    parameters = design["modules"][place.module]["cells"][place.cell]["parameters"]
    bits = list(parameters["INIT"])
    index = len(bits) - 1 - place.address
    bits[index] = "10"[int(bits[index])]
    parameters["INIT"] = "".join(bits)
    write_whole(altered, json.dumps(design), "netlist")


def sentence(netlist: Path, module: str, output: str) -> str:
    """A sentence that describes the change by `write`."""
    place = find(read_json(netlist), module, output)
    return f"bit {place.address} of table {place.cell} of {place.module} is inverted"


def find(design: Mapping[str, Any], module: str, output: str) -> Place:
    """The bit to change; arguments as in `write`.

    Raises:
        UserError: no look-up table drives the output.
    """
    modules = design["modules"]
    name = module
    try:
        bit = modules[module]["ports"][output]["bits"][0]
    except KeyError:
        raise UserError(f"netlist: module {module}: there is no port {output}") from None
    seen = set()
    while (name, bit) not in seen:
        seen.add((name, bit))
        cell, port, index = _driver(modules[name], bit)
        found = modules[name]["cells"].get(cell)
        if found is None:
            break
        kind = found["type"]
        if kind == "LUT4":
            return Place(name, cell, _highest_address(found["connections"]))
        if kind in _CARRIERS and port == _CARRIERS[kind][0]:
            bit = found["connections"][_CARRIERS[kind][1]][0]
        elif kind in modules and modules[kind]["cells"]:
            name, bit = kind, modules[kind]["ports"][port]["bits"][index]
        else:
            break
    raise UserError(f"netlist: module {module}: no look-up table drives port {output}")


def _driver(module: Mapping[str, Any], bit: int | str) -> tuple[str, str, int]:
    """Cell, port and index that drive a bit; empty names if none does."""
    for name, port, index, driven in _outputs(module):
        if driven == bit:
            return name, port, index
    return "", "", 0


def _outputs(module: Mapping[str, Any]) -> Iterator[tuple[str, str, int, int | str]]:
    for name, cell in module["cells"].items():
        for port, direction in cell["port_directions"].items():
            if direction == "output":
                for index, bit in enumerate(cell["connections"][port]):
                    yield name, port, index, bit


def _highest_address(connections: Mapping[str, list[int | str]]) -> int:
    """Highest address of a table: all inputs except constants at 1."""
    return sum((connections[port][0] != "0") << index for index, port in enumerate(_INPUTS))
