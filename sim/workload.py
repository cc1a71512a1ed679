"""What kind of run a network makes: which of the ways through a chip it takes."""

from enum import Enum

from spec.chip import Chip
from spec.network import Network, geometries


class Workload(Enum):
    """Ways through a chip."""

    LAYER = "a large layer on many tiles, one vector after another"
    IMAGES = "all layers on tiles of their own, images from end to end"
    ONE_TILE = "layer by layer through one tile, the host in between"


def workload(network: Network, chip: Chip) -> Workload:
    """How `network` runs on `chip`.

    One layer of one pixel is a layer. Networks whose layers are a chain that one tile can run, each
    in its array, run so, because the published chip ran networks so; all others end to end.
    """
    shapes = geometries(network)
    if len(shapes) == 1 and shapes[0].output[:2] == (1, 1):
        return Workload.LAYER
    fits = all(
        shape.rows <= chip.array.rows and layer.outputs <= chip.array.columns
        for layer, shape in zip(network.layers, shapes, strict=True)
    )
    averages = any(layer.pool and layer.pool.kind == "average" for layer in network.layers)
    return Workload.IMAGES if network.graph or averages or not fits else Workload.ONE_TILE
