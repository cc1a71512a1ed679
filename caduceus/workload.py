"""What kind of run a network makes: which of the ways through a chip it takes."""

from enum import Enum

from spec.network import Network, geometries


class Workload(Enum):
    """Ways through a chip."""

    LAYER = "a large layer on many tiles, one vector after another"
    IMAGES = "all layers on tiles of their own, images from end to end"


def workload(network: Network) -> Workload:
    """How `network` runs: one layer of one pixel as a layer, all others end to end."""
    shapes = geometries(network)
    single = len(shapes) == 1 and shapes[0].output[:2] == (1, 1)
    return Workload.LAYER if single else Workload.IMAGES
