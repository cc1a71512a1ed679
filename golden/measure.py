"""A host's procedure, driven on the golden model of a tile."""

from caduceus.golden.fast.tile import Tile
from caduceus.spec.measurement import Found, HostProcedure


def run(procedure: HostProcedure[Found], tile: Tile, first_read: int = 0) -> Found:
    """Run the procedure on `tile`; its result.

    Args:
        procedure: yields measurements to do.
        tile: the tile to measure.
        first_read: MVMs that the tile did since its state was loaded.

    Raises:
        UserError: raised by the procedure, or a measurement does not fit the tile.
    """
    try:
        wanted = next(procedure)
        while True:
            results = tile.run(
                wanted.config, wanted.x, first_read=first_read, reference=wanted.reference
            )
            first_read += len(wanted.x)
            wanted = procedure.send(results)
    except StopIteration as end:
        return end.value
