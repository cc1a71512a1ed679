"""Compile the loops and keep their machine code, so that the first run need not.

`python -m caduceus.golden.fast` takes 10 to 15 s, and half a second when that has been done.
"""

import numpy as np

from caduceus.golden.fast.gdpu import FastGdpu
from caduceus.golden.fast.tile import Tile
from caduceus.spec import formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import GdpuConfig, TileConfig


def compile_loops() -> None:
    """Call each once: every later call has arguments of the same types."""
    chip = Chip.find("tiny")
    codes = np.zeros((1, chip.array.rows, chip.array.columns, len(formats.DEVICES)), np.uint8)
    constants = np.zeros((1, len(formats.COLUMN_CONSTANTS)), dtype=np.uint16)
    tile = Tile(chip, pcm_state.ideal(chip, codes))
    tile.run(TileConfig(ReadMode.ONE_PHASE, 1, 1, constants), np.zeros((1, 1), dtype=np.int8))
    slices = FastGdpu(GdpuConfig(1, (0,) * 4, (0,) * 4, 0, 0))
    slices.step(np.zeros((1, 4), dtype=np.int8), np.zeros((1, 1), dtype=np.uint16))


if __name__ == "__main__":
    compile_loops()
