"""The Verilog of one tile in its harness."""

from pathlib import Path

from caduceus.sim.harness_files import TILE_SOURCES
from caduceus.spec.chip import Chip


def tile_sources(chip: Chip, folder: Path) -> list[Path]:
    """Write the Verilog of the tile, its behavioral array and its harness to `folder`."""
    from caduceus.hdl.array import pcm_array  # Amaranth takes half a second to import.
    from caduceus.hdl.common.verilog import write_for
    from caduceus.hdl.tile.axi_tile import AxiTile

    folder.mkdir(parents=True, exist_ok=True)
    return [
        *pcm_array.write_sources(folder, chip),
        write_for(chip, AxiTile, "axi_tile", folder / "axi_tile.v"),
        *TILE_SOURCES,
    ]
