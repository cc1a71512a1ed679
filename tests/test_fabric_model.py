"""The model that shows whether programs get through knows of turns."""

import numpy as np
import pytest
from fabric_model import runs_through

from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import HostStream, Program, Route, TileConfig, TileProgram, chip_digest

TINY = Chip.find("tiny")


def two_in_turn(order):
    """A tile that takes RX vectors of two streams in turn; the host sends four in this order."""
    config = TileConfig(
        ReadMode.ONE_PHASE, 4, 4, np.zeros((4, 5), np.uint16), rx_enable=True, rx_parts=2
    )
    routes = (
        Route(0, ("input",), 0, 4),
        Route(1, ("rx",), 0, 4, part=0),
        Route(2, ("rx",), 0, 4, part=1),
        Route(3, ("south_1",), 0, 4),
    )
    tile = TileProgram(1, routes, config, np.zeros((4, 4, 4), np.uint8), 3)
    below = TileProgram(3, (Route(3, ("host",), 0, 4),))
    inputs = tuple(HostStream(1, stream, 0, 4) for turn in order for stream in (0, turn))
    outputs = tuple(HostStream(1, 3, 0, 4) for _ in order)
    return Program(
        "tiny", chip_digest(TINY), "made", ReadMode.ONE_PHASE, (tile, below), inputs, outputs, 4, 4
    )


@pytest.mark.parametrize(("order", "through"), [((1, 2), True), ((2, 1), False), ((1, 1), False)])
@pytest.mark.parametrize("seed", range(5))
def test_packets_for_an_rx_come_in_turn(order, through, seed):
    program = two_in_turn(order)
    assert runs_through(program, TINY, 3, seed, False, 1) == through
