"""Sources of a whole chip for simulation: modules of tile, slice, link, grid and chip."""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from amaranth.lib.wiring import Component

from caduceus.hdl.array import pcm_array
from caduceus.hdl.common.verilog import write_for
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
class ChipSources:
    """Source files of a chip.

    Attributes:
        control: Verilator's control file.
        array: those of a tile's array.
        recorder: that of a tile's recorder, if it has one.
        tile, gdpu, link, gate, grid, chip: one module each.
    """

    control: Path
    array: Sequence[Path]
    recorder: Sequence[Path]
    tile: Path
    gdpu: Path
    link: Path
    gate: Path
    grid: Path
    chip: Path

    @property
    def in_tile(self) -> list[Path]:
        """Those of module `chip_tile`, in compilation order."""
        return [*self.array, *self.recorder, self.tile]

    @property
    def in_grid(self) -> list[Path]:
        """Those of all modules inside the grid, in compilation order."""
        return [
            self.control, *self.array, self.gate, *self.recorder, self.tile, self.gdpu, self.link
        ]  # fmt: skip

    @property
    def all(self) -> list[Path]:
        """All of them, in compilation order."""
        return [*self.in_grid, self.grid, self.chip]


def write_sources(
    folder: Path, chip: Description, record: bool = False, build: Path | None = None
) -> ChipSources:
    """Write module `chip` with all its submodules.

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

        def written(make: type[Component], module: str, name: str | None = None) -> Future[Path]:
            path = folder / f"{name or module}.v"
            return pool.submit(write_for, chip, make, module, path, build)

        generated = {
            "tile": written(make, TILE_MODULE, name),
            "gdpu": written(GdpuSlice, GDPU_MODULE),
            "grid": written(Grid, GRID_MODULE),
            "link": written(Link, LINK_MODULE),
            "chip": written(Chip, "chip"),
        }
        files = {name: future.result() for name, future in generated.items()}
    array = pcm_array.write_sources(folder, chip)
    return ChipSources(control, array, [RECORDER] if record else [], gate=GATE, **files)
