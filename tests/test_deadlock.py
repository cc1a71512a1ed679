"""What could deadlock is refused with its cycle, what cannot is not, and streams must fit."""

from dataclasses import replace

import numpy as np
import pytest
from fabric_model import runs_through

from caduceus.compiler import deadlock
from caduceus.spec.chip import Chip, Gdpu, Grid, Host
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import HostStream, Program, Route, TileConfig, TileProgram, chip_digest

TINY = Chip.find("tiny")


def tile_program(number, routes, tx_stream=None, rx=False):
    made = tuple(Route(stream, sinks, 0, 4) for stream, sinks in routes.items())
    if tx_stream is None:
        return TileProgram(number, made)
    constants = np.zeros((4, 5), dtype=np.uint16)
    config = TileConfig(ReadMode.ONE_PHASE, 4, 4, constants, rx_enable=rx)
    return TileProgram(number, made, config, np.zeros((4, 4, 4), np.uint8), tx_stream)


def program_of(tiles, inputs, outputs):
    def streams(pairs):
        return tuple(HostStream(port, stream, 4 * i, 4) for i, (port, stream) in enumerate(pairs))

    return Program(
        "tiny", chip_digest(TINY), "made", ReadMode.ONE_PHASE, tuple(tiles),
        streams(inputs), streams(outputs), 4 * len(inputs), 4 * len(outputs),
    )  # fmt: skip


def ring():
    """Three streams that chase each other round the four tiles."""
    return program_of(
        [
            tile_program(0, {0: ("south_1",), 1: ("south_1",), 2: ("input",), 3: ("east_1",)}, 3),
            tile_program(1, {0: ("host",), 1: ("west_1",), 2: ("west_1",), 3: ("host",)}),
            tile_program(2, {0: ("east_1",), 1: ("east_1",)}),
            tile_program(3, {0: ("north_1",), 1: ("input",), 2: ("north_1",)}, 2),
        ],
        [(0, 0), (1, 1)],
        [(0, 0), (0, 3)],
    )


def join():
    """Tile 1 needs tile 0's result and a stream that takes the same link to it."""
    return program_of(
        [
            tile_program(0, {0: ("input",), 1: ("east_1",), 2: ("east_1",)}, 2),
            tile_program(1, {1: ("input",), 2: ("rx",), 3: ("host",)}, 3, rx=True),
        ],
        [(0, 0), (0, 1)],
        [(0, 3)],
    )


def two_ways_of_one_packet():
    """Tile 0's input goes to tile 1's RX as well, which takes it with tile 0's result only."""
    return program_of(
        [
            tile_program(0, {0: ("input", "east_1"), 2: ("south_1",)}, 2),
            tile_program(1, {0: ("rx",), 2: ("input",), 3: ("host",)}, 3, rx=True),
            tile_program(2, {2: ("east_1",)}),
            tile_program(3, {2: ("north_1",)}),
        ],
        [(0, 0)],
        [(0, 3)],
    )


def rx_sent_first(order=(0, 1)):
    """One port sends what tile 0 adds to its results, and the vector they are of, in an order."""
    return program_of(
        [
            tile_program(0, {0: ("rx",), 1: ("input",), 3: ("east_1",)}, 3, rx=True),
            tile_program(1, {3: ("host",)}),
        ],
        [(0, stream) for stream in order],
        [(0, 3)],
    )


def results_that_cross():
    """The results of tiles 0 and 3 each leave by both host outputs, in the other order."""
    return program_of(
        [
            tile_program(0, {0: ("input",), 2: ("east_1", "south_1")}, 2),
            tile_program(1, {1: ("south_1",), 2: ("host",), 3: ("host",)}),
            tile_program(2, {2: ("east_1",)}),
            tile_program(3, {1: ("input",), 2: ("host",), 3: ("north_1", "host")}, 3),
        ],
        [(0, 0), (1, 1)],
        [(0, 2), (1, 2), (0, 3), (1, 3)],
    )


CROSSING = TINY.model_copy(
    update={
        "grid": Grid(rows=4, columns=3),
        "gdpu": Gdpu(slices=3, units=4),
        "host": Host(inputs=((0, 0), (0, 2)), outputs=((1, 1), (2, 1), (3, 0), (3, 1))),
    }
)


def inputs_that_cross():
    """Two inputs, each to two tiles, share a link on either way, each one first on one of them."""
    east, west, south = ("east_1",), ("west_1",), ("south_1",)
    return program_of(
        [
            tile_program(0, {0: east + south}),
            tile_program(1, {0: south, 1: south}),
            tile_program(2, {1: west + south}),
            tile_program(3, {0: south}),
            tile_program(4, {0: south, 1: ("input",), 14: ("host",)}, 14),
            tile_program(5, {1: south}),
            tile_program(6, {0: south, 1: south}),
            tile_program(7, {0: ("input",), 1: west, 17: ("host",)}, 17),
            tile_program(8, {1: west}),
            tile_program(9, {0: east, 1: ("input",), 19: ("host",)}, 19),
            tile_program(10, {0: ("input",), 20: ("host",)}, 20),
        ],
        [(0, 0), (1, 1)],
        [(0, 14), (1, 17), (2, 19), (3, 20)],
    )


REFUSALS = [
    (ring, ["stream 0 in tile 0 south_1", "stream 2 in tile 3 north_1",
            "stream 1 in tile 1 west_1"]),
    (join, ["stream 1 in tile 0 east_1", "tile 1 input", "arrival of stream 2",
            "stream 2 in tile 0 tx"]),
    (two_ways_of_one_packet, ["stream 0 in host input 0", "tile 1 rx", "arrival of stream 2",
                              "arrival of stream 0"]),
    (rx_sent_first, ["stream 1 in host input 0", "stream 0 in host input 0", "tile 0 rx",
                     "arrival of stream 1"]),
    (results_that_cross, ["stream 2 in tile 1 host", "stream 3 in tile 3 host"]),
    (inputs_that_cross, ["stream 0 in tile 1 south_1", "stream 1 in tile 6 south_1"]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "ring_of"), REFUSALS, ids=[make.__name__ for make, _ in REFUSALS])
def test_what_could_deadlock_is_refused_with_its_cycle(make, ring_of):
    program, description = make(), CROSSING if make is inputs_that_cross else TINY
    with pytest.raises(UserError) as error:
        deadlock.check(program, description)
    start, cycle, expected = str(error.value).split(": ")
    assert start == "program could deadlock"
    assert expected == "expected no packets that wait for each other in a ring"
    nodes = cycle.split(" -> ")
    assert nodes[0] == nodes[-1]
    # It may begin anywhere.
    first = nodes.index(ring_of[0])
    assert [*nodes[first:-1], *nodes[:first]] == ring_of


def test_an_rx_vector_behind_its_input_is_accepted():
    deadlock.check(rx_sent_first(order=(1, 0)), TINY)


@pytest.mark.parametrize("make", [ring, join, results_that_cross, inputs_that_cross])
def test_what_is_refused_here_does_get_stuck(make):
    description = CROSSING if make is inputs_that_cross else TINY
    results = [runs_through(make(), description, 10, seed, True, buffers=1) for seed in range(20)]
    assert not all(results)


def test_streams_of_one_port_in_order_are_accepted():
    """As `join`, but tile 0's result goes round, so that only inputs share the link."""
    tiles = [
        tile_program(0, {0: ("input",), 1: ("east_1",), 2: ("south_1",)}, 2),
        tile_program(1, {1: ("input",), 2: ("rx",), 3: ("host",)}, 3, rx=True),
        tile_program(2, {2: ("east_1",)}),
        tile_program(3, {2: ("north_1",)}),
    ]
    program = program_of(tiles, [(0, 0), (0, 1)], [(0, 3)])
    deadlock.check(program, TINY)
    assert all(runs_through(program, TINY, 10, seed, seed % 2 == 0, 1) for seed in range(20))


def good():
    return program_of(
        [tile_program(0, {0: ("input",), 1: ("east_1",)}, 1), tile_program(1, {1: ("host",)})],
        [(0, 0)],
        [(0, 1)],
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: [t[0]], r"tile 1: stream 1 arrives and has no route there: expected \[\]$"),
        (lambda t: [t[0], tile_program(1, {1: ("east_1",)})],
         r"tile 1: stream 1 leaves by east_1: expected a link of chip tiny$"),
        (lambda t: [t[0], tile_program(1, {1: ("input",)})],
         r"tile 1: stream 1 goes to 'input': expected only on a tile with a config$"),
        (lambda t: [tile_program(0, {0: ("east_1",), 1: ("east_1",)}, 1),
                    tile_program(1, {0: ("host",), 1: ("host",)})],
         r"tile 1: stream 0 leaves for the host, and is none of the program's outputs: .* \[1\]$"),
        (lambda t: [replace(t[0], tx_stream=0), t[1]],
         r"program: stream 0 comes from host input 0 and tile 0 tx: expected one source$"),
        (lambda t: [replace(t[0], config=replace(t[0].config, rx_enable=True)), t[1]],
         r"tile 0: no stream goes to 'rx': expected one$"),
        (lambda t: [replace(t[0], routes=(Route(0, ("input",), 0, 3), t[0].routes[1])), t[1]],
         r"tile 0: stream 0: length: got 3, expected for 'input' its vector's, 4$"),
        (lambda t: [replace(t[0], routes=(Route(0, ("input",), 1, 4), t[0].routes[1])), t[1]],
         r"tile 0: stream 0: start \+ length: got 5, expected the packet's length, 4$"),
        (lambda t: [replace(t[0], config=replace(t[0].config, rx_enable=True),
                            routes=(Route(0, ("input",), 0, 4), Route(1, ("rx",), 0, 8)))
                    if i == 0 else tile for i, tile in enumerate(t)],
         r"tile 0: stream 1: length: got 8, expected for 'rx' its vector's, 4$"),
        (lambda t: [replace(t[0], config=replace(t[0].config, rx_enable=True, tx_binary16=True),
                            routes=(Route(0, ("input",), 0, 4), Route(1, ("rx",), 0, 4))), t[1]],
         r"tile 0: stream 1: values: got binary16, expected int8 for 'rx'$"),
        (lambda t: [t[0], t[1], t[1]], r"program: two programs for tile 1: expected one per tile$"),
    ],
)  # fmt: skip
def test_streams_that_do_not_fit_are_reported(change, sentence):
    deadlock.check(good(), TINY)
    tiles = tuple(change(list(good().tiles)))
    with pytest.raises(UserError, match=f"^{sentence}"):
        deadlock.check(replace(good(), tiles=tiles), TINY)


def test_host_streams_that_do_not_fit_are_reported():
    with pytest.raises(UserError, match=r"stream 0 enters at host input 2: expected 0 to 1$"):
        deadlock.check(replace(good(), inputs=(HostStream(2, 0, 0, 4),)), TINY)
    with pytest.raises(UserError, match=r"^tile 1: stream 1 leaves for the host, and is none"):
        deadlock.check(replace(good(), outputs=()), TINY)
