"""SystemVerilog around a design under test: players and recorders of streams, a tile's harness."""

from importlib import resources
from pathlib import Path

_SV = Path(str(resources.files(__package__) / "sv"))
STREAM_SOURCES = tuple(_SV / f"stream_{part}.sv" for part in ("pauses", "player", "recorder"))
"""What `caduceus.sim.chip_harness` puts around a chip."""
TILE_SOURCES = (*STREAM_SOURCES, _SV / "tile_harness.sv")
"""Module `tile_harness`, and everything in it except the tile."""
