"""Sources of a whole chip for simulation: modules of tile, slice, link and chip."""

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from caduceus.hdl.array import pcm_array
from caduceus.hdl.common.verilog import write_for
from caduceus.hdl.fabric.chip import (
    CLOCK_GATE_MODULE,
    GDPU_MODULE,
    LINK_MODULE,
    TILE_MODULE,
    Chip,
    Link,
)
from caduceus.hdl.fabric.chip_tile import ChipTile, RecordedChipTile
from caduceus.hdl.gdpu.gdpu_slice import GdpuSlice
from caduceus.hdl.tile.result_recorder import SOURCE as RECORDER
from caduceus.spec.chip import Chip as Description
from caduceus.spec.files import write_whole
from caduceus.spec.processes import end_with_parent
from caduceus.spec.shipped import shipped_folder

GATE = shipped_folder("caduceus.hdl.common") / f"{CLOCK_GATE_MODULE}.sv"
"""The clock gate's source, for simulation."""

_CONTROL = f"""`verilator_config
// Tiles and slices are compiled once and linked once per instance: minutes of building become
// seconds.
hier_block -module "{TILE_MODULE}"
hier_block -module "{GDPU_MODULE}"
"""


def write_sources(
    folder: Path, chip: Description, record: bool = False, build: Path | None = None
) -> list[Path]:
    """Write module `chip` with all its submodules; return the files in compilation order.

    Args:
        folder: output folder.
        chip: the chip description.
        record: include recorders in the tiles, which the plusarg of `result_recorder.sv` enables.
        build: build folder, see `caduceus.spec.shipped.build_folder`.

    Raises:
        UserError: Yosys refuses a module, or `folder` cannot be written.
    """
    control = folder / "hierarchy.vlt"
    write_whole(control, _CONTROL, "control file")
    make, name = (RecordedChipTile, "recorded_tile") if record else (ChipTile, TILE_MODULE)
    # Each takes some seconds.
    with ProcessPoolExecutor(2, initializer=end_with_parent, initargs=(os.getpid(),)) as pool:
        tile = pool.submit(write_for, chip, make, TILE_MODULE, folder / f"{name}.v", build)
        gdpu = pool.submit(
            write_for, chip, GdpuSlice, GDPU_MODULE, folder / f"{GDPU_MODULE}.v", build
        )
        link = pool.submit(write_for, chip, Link, LINK_MODULE, folder / f"{LINK_MODULE}.v", build)
        top = pool.submit(write_for, chip, Chip, "chip", folder / "chip.v", build)
        generated = [tile.result(), gdpu.result(), link.result(), top.result()]
    return [
        control,
        *pcm_array.write_sources(folder, chip),
        GATE,
        *([RECORDER] if record else []),
        *generated,
    ]
