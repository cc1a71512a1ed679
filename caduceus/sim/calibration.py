"""Host measurements on tiles (calibration, drift), made on the golden model.

The procedures are those of `host`, which drive the RTL as well
(`caduceus.sim.streamed_tile.StreamedTile.measure`): equal results give equal constants.
"""

from caduceus.golden import measure
from caduceus.golden.fast.tile import Tile
from caduceus.host import calibrate, compensate
from caduceus.host.calibrate import Calibration
from caduceus.host.compensate import Measured
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import TileConfig


def measured(tile: Tile, rows: int, columns: int, read_mode: ReadMode) -> Calibration:
    """Calibrate a tile's first columns, soon after loading its state.

    Args:
        tile: to measure.
        rows: length of the vectors that start the reads.
        columns: number of columns to measure.
        read_mode: to calibrate for.

    Raises:
        UserError: a converter's response is out of range; names the column.
    """
    return measure.run(calibrate.calibration(tile.chip, rows, columns, read_mode), tile)


def drift_factor(
    before: Tile, now: Tile, config: TileConfig, most: float = compensate.MOST_FACTOR
) -> Measured:
    """Measure how much a tile's results have shrunk.

    Args:
        before: the tile soon after its PCM write.
        now: the same tile later.
        config: of the tile, with calibration constants if used, without drift compensation.
        most: largest plausible factor; see `compensate.most_factor`.
    """
    found = measure.run(compensate.baseline(config), before)
    return measure.run(compensate.factor(config, found, most), now)
