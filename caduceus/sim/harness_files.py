"""SystemVerilog around a design under test: stream players and recorders, a tile's harness."""

from importlib import resources
from pathlib import Path

_SV = Path(str(resources.files(__package__) / "sv"))
STREAM_SOURCES = tuple(_SV / f"stream_{part}.sv" for part in ("pauses", "player", "recorder"))
"""Files that `caduceus.sim.chip_harness` needs around a chip."""
TILE_SOURCES = (*STREAM_SOURCES, _SV / "tile_harness.sv")
"""Module `tile_harness` and all its parts except the tile."""
