"""SystemVerilog around a design under test: players, recorders, a tile's harness."""

from importlib import resources
from pathlib import Path

_SV = Path(str(resources.files(__package__) / "sv"))
HARNESS_SOURCES = tuple(
    _SV / f"{part}.sv"
    for part in ("stream_pauses", "stream_player", "stream_recorder", "register_player")
)
"""Files that `caduceus.sim.chip_harness` needs around a chip."""
TILE_SOURCES = (*HARNESS_SOURCES, _SV / "tile_harness.sv")
"""Module `tile_harness` and all its parts except the tile."""
