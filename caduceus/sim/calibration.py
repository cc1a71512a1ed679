"""What a host finds out about tiles, measured on the golden model.

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
    """Calibration of a tile's first columns, soon after its state was loaded.

    Args:
        tile: is measured.
        rows: length of the vectors that start the reads.
        columns: how many are measured.
        read_mode: that is to be corrected.

    Raises:
        UserError: a converter does not answer as one can, with its column.
    """
    return measure.run(calibrate.calibration(tile.chip, rows, columns, read_mode), tile)


def drift_factor(
    before: Tile, now: Tile, config: TileConfig, most: float = compensate.MOST_FACTOR
) -> Measured:
    """Measure how much smaller a tile's results are now.

    Args:
        before: the tile soon after programming.
        now: the same tile later.
        config: of the tile, calibrated if it is to be, not compensated.
        most: the largest factor that is believed; see `compensate.most_factor`.
    """
    found = measure.run(compensate.baseline(config), before)
    return measure.run(compensate.factor(config, found, most), now)
