"""Sources of a whole chip for simulation: one module for all tiles, the chip, the array's model."""

from pathlib import Path

from hdl import pcm_array
from hdl.chip import CLOCK_GATE_MODULE, TILE_MODULE, Chip
from hdl.chip_tile import ChipTile
from hdl.verilog import write_for
from spec.chip import Chip as Description
from spec.files import write_whole

GATE = Path(__file__).resolve().parent / f"{CLOCK_GATE_MODULE}.sv"
"""The clock gate, for simulation."""

_CONTROL = f"""`verilator_config
// Tiles are compiled once and linked as often as there are: minutes of building become seconds.
hier_block -module "{TILE_MODULE}"
"""


def write_sources(folder: Path, chip: Description) -> list[Path]:
    """Write module `chip` with all it needs to `folder`; the files in compilation order.

    Raises:
        UserError: `folder` cannot be written.
    """
    control = folder / "hierarchy.vlt"
    write_whole(control, _CONTROL, "control file")
    return [
        control,
        *pcm_array.write_sources(folder, chip),
        GATE,
        write_for(chip, ChipTile, TILE_MODULE, folder / f"{TILE_MODULE}.v"),
        write_for(chip, Chip, "chip", folder / "chip.v"),
    ]
