"""Chip programs made by hand for the tiny chip, for the tests of what reads or runs them."""

from dataclasses import replace

import numpy as np

from caduceus.compiler import quantise
from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import HostStream, Program, Route, TileConfig, TileProgram, chip_digest

TINY = Chip.find("tiny")
"""Tiles 0 1 / 2 3 of 16x16; the host sends to tiles 0 and 1 and receives from 1 and 3."""
TINY_BINARY16 = TINY.model_copy(
    update={"link": TINY.link.model_copy(update={"partial_sums": "binary16"})}
)
"""The same, and partial sums may be binary16."""
ROWS, COLUMNS = 6, 5
TO_ALL, PARTIAL, SIDE, SUM = 10, 255, 7, 0
"""Streams: the input vector, and the results of tiles 0, 2 and 3."""


def configuration(
    rows: int, columns: int, mode: ReadMode = ReadMode.ONE_PHASE, **options
) -> TileConfig:
    """A tile whose results are the counts, unless constants are given."""
    constants = np.empty((columns, len(formats.COLUMN_CONSTANTS)), dtype=np.uint16)
    for constant in formats.COLUMN_CONSTANTS:
        constants[:, constant.index] = constant.reset
    return TileConfig(mode, rows, columns, constants, **options)


def cells(seed: int) -> np.ndarray:
    """Signed cell codes, int16 [ROWS, COLUMNS]."""
    random = np.random.default_rng(seed)
    largest = formats.CELL_MAX
    return random.integers(-largest, largest + 1, (ROWS, COLUMNS)).astype(np.int16)


def partial_sums(
    mode: ReadMode = ReadMode.ONE_PHASE,
    first: np.ndarray | None = None,
    second: np.ndarray | None = None,
) -> Program:
    """Two products: of 2 * ROWS rows on tiles 0 and 3, and of ROWS rows on tile 2.

    The host sends values 1 to 2 * ROWS of the input vector in one packet, to tile 0, which keeps
    the first half and sends the packet east and south. Tile 2 keeps six values from the third on.
    Tile 1 sends it south to tile 3, which keeps the second half, and adds as RX the partial sums
    that tile 0 sends by way of tile 2. Tile 2's results leave at tile 3, like tile 3's own.
    """
    half = configuration(ROWS, COLUMNS, mode)
    first = cells(1) if first is None else first
    second = cells(2) if second is None else second
    return Program(
        chip="tiny",
        chip_digest=chip_digest(TINY),
        network="by_hand",
        read_mode=mode,
        tiles=(
            TileProgram(
                0,
                (
                    Route(TO_ALL, ("input", "east_1", "south_1"), 0, ROWS),
                    Route(PARTIAL, ("south_1",), 0, 0),
                ),
                half,
                quantise.device_codes(first),
                PARTIAL,
            ),
            TileProgram(1, (Route(TO_ALL, ("south_1",), 0, 0),)),
            TileProgram(
                2,
                (
                    Route(TO_ALL, ("input",), 3, ROWS),
                    Route(PARTIAL, ("east_1",), 0, 0),
                    Route(SIDE, ("east_1",), 0, 0),
                ),
                replace(half, relu_2=True),
                quantise.device_codes(first),
                SIDE,
            ),
            TileProgram(
                3,
                (
                    Route(TO_ALL, ("input",), ROWS, ROWS),
                    Route(PARTIAL, ("rx",), 0, COLUMNS),
                    Route(SIDE, ("host",), 0, 0),
                    Route(SUM, ("host",), 0, 0),
                ),
                replace(half, rx_enable=True),
                quantise.device_codes(second),
                SUM,
            ),
        ),
        inputs=(HostStream(0, TO_ALL, 1, 2 * ROWS),),
        outputs=(HostStream(1, SUM, COLUMNS, COLUMNS), HostStream(1, SIDE, 0, COLUMNS)),
        input_length=2 * ROWS + 1,
        output_length=2 * COLUMNS,
    )


def change_tile(program: Program, number: int, /, **changes) -> Program:
    """The program with fields of one tile replaced."""
    tiles = tuple(
        replace(tile, **changes) if tile.tile == number else tile for tile in program.tiles
    )
    return replace(program, tiles=tiles)


def change_route(program: Program, number: int, stream: int, /, **changes) -> Program:
    """The program with fields of one route replaced."""
    (tile,) = (tile for tile in program.tiles if tile.tile == number)
    routes = tuple(
        replace(route, **changes) if route.stream == stream else route for route in tile.routes
    )
    return change_tile(program, number, routes=routes)


def change_config(program: Program, number: int, /, **changes) -> Program:
    """The program with fields of one tile's configuration replaced."""
    (tile,) = (tile for tile in program.tiles if tile.tile == number)
    return change_tile(program, number, config=replace(tile.config, **changes))
