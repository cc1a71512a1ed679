"""Sources of a whole chip for simulation: modules of tile, slice, link, grid and chip."""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from amaranth.lib.wiring import Component

from caduceus.hdl.array import pcm_array
from caduceus.hdl.common.verilog import up_to_date, write_for
from caduceus.hdl.fabric.chip import Chip
from caduceus.hdl.fabric.chip_tile import ChipTile, RecordedChipTile
from caduceus.hdl.fabric.grid import (
    CLOCK_GATE_MODULE,
    GDPU_MODULE,
    GRID_MODULE,
    LINK_MODULE,
    TILE_MODULE,
    Grid,
    Link,
)
from caduceus.hdl.fabric.grid_parts import SLICE_PART, TILE_PART, SlicePart, TilePart
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


@dataclass(frozen=True)
class PartSources:
    """Source files of a chip whose grid a simulation evaluates part by part.

    Attributes:
        tile: of module `tile_part`, in compilation order; slice: of module `slice_part`.
        chip: the module around the grid.
    """

    tile: Sequence[Path]
    slice: Sequence[Path]
    chip: Path


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
    modules = [
        _Module(make, TILE_MODULE, folder / f"{name}.v"),
        *(
            _Module(make, name, folder / f"{name}.v")
            for make, name in (
                (GdpuSlice, GDPU_MODULE),
                (Link, LINK_MODULE),
                (Grid, GRID_MODULE),
                (Chip, "chip"),
            )
        ),
    ]
    generated = _written(chip, modules, build)
    recorder = [RECORDER] if record else []
    return [control, *pcm_array.write_sources(folder, chip), GATE, *recorder, *generated]


def write_parts(folder: Path, chip: Description, build: Path | None = None) -> PartSources:
    """Write modules `tile_part`, `slice_part` and `chip`, see `hdl.fabric.grid_parts`.

    Arguments and errors: as of `write_sources`. An output of a part that depends on an input is an
    error, too.
    """
    modules = [
        _Module(TilePart, TILE_PART, folder / f"{TILE_PART}.v", registered=True),
        _Module(SlicePart, SLICE_PART, folder / f"{SLICE_PART}.v", registered=True),
        _Module(Chip, "chip", folder / "chip.v"),
    ]
    tile, gdpu, top = _written(chip, modules, build)
    return PartSources([*pcm_array.write_sources(folder, chip), RECORDER, tile], [gdpu], top)


@dataclass(frozen=True)
class _Module:
    """A module to write."""

    make: type[Component]
    name: str
    path: Path
    registered: bool = False


def _written(chip: Description, modules: Sequence[_Module], build: Path | None) -> list[Path]:
    """Write the modules, two at a time: each takes some seconds."""
    stale = [each for each in modules if not up_to_date(chip, each.make, each.name, each.path)]
    if stale:
        with ProcessPoolExecutor(2, initializer=end_with_parent, initargs=(os.getpid(),)) as pool:
            futures = [
                pool.submit(
                    write_for, chip, each.make, each.name, each.path, build, each.registered
                )
                for each in stale
            ]
            for future in futures:
                future.result()
    return [each.path for each in modules]
