"""A handmade chip program for the 2x2 grid of `tiny`: two independent flows."""

from dataclasses import replace

import numpy as np

from caduceus.spec.chip import Chip
from caduceus.spec.formats import ReadMode
from caduceus.spec.program import HostStream, Program, Route, TileConfig, TileProgram, chip_digest
from tb.tile_bench import random_config, random_state

VECTOR, RESULT, OTHER, OTHER_RESULT, SLICED = 10, 200, 255, 0, 31
"""Streams: input and results of the first flow, of the second, and one that tile 0 slices."""
ASIDE = 1
"""Index of the second flow's output in the program."""
SPARE = 8
"""Surplus values of the first flow's packet, which its tile drops."""


def two_flows(random: np.random.Generator, chip: Chip) -> Program:
    """Host input 0, tiles 0, 2 and 3, host output 1; and host input 1, tile 1, host output 0.

    Tiles 0 and 1 compute. The tile keeps the beginning of the first flow's packet. Tile 0 also
    has a route for stream `SLICED`, which keeps the values behind the first beat; the program does
    not send it.
    """
    first, second = _config(random, chip), _config(random, chip)
    units = chip.link.units

    def codes(config: TileConfig) -> np.ndarray:
        return random_state(random, chip).codes[0, : config.rows, : config.columns]

    return Program(
        chip=chip.name,
        chip_digest=chip_digest(chip),
        network="two_flows",
        read_mode=ReadMode.ONE_PHASE,
        tiles=(
            TileProgram(
                0,
                (
                    Route(VECTOR, ("input",), 0, first.rows),
                    Route(RESULT, ("south_1",), 0, 0),
                    Route(SLICED, ("input",), units, first.rows),
                ),
                first,
                codes(first),
                RESULT,
            ),
            TileProgram(
                1,
                (
                    Route(OTHER, ("input",), 0, second.rows),
                    Route(OTHER_RESULT, ("host",), 0, 0),
                ),
                second,
                codes(second),
                OTHER_RESULT,
            ),
            TileProgram(2, (Route(RESULT, ("east_1",), 0, 0),)),
            TileProgram(3, (Route(RESULT, ("host",), 0, 0),)),
        ),
        inputs=(
            HostStream(0, VECTOR, 0, first.rows + SPARE),
            HostStream(1, OTHER, 3, second.rows),
        ),
        outputs=(
            HostStream(1, RESULT, 0, first.columns),
            HostStream(0, OTHER_RESULT, first.columns, second.columns),
        ),
        input_length=first.rows + second.rows + SPARE + 3,
        output_length=first.columns + second.columns,
    )


def _config(random: np.random.Generator, chip: Chip) -> TileConfig:
    """Enough rows and columns for every kind of error, with no array full."""
    config = random_config(random, chip, ReadMode.ONE_PHASE, False, False, False)
    columns = int(random.integers(2, chip.array.columns))
    return replace(
        config,
        rows=int(random.integers(chip.link.units + 2, chip.array.rows)),
        columns=columns,
        constants=np.resize(config.constants, (columns, config.constants.shape[1])),
    )


def change_tile(program: Program, number: int, /, **changes: object) -> Program:
    """The program with changed fields of one tile."""
    tiles = tuple(
        replace(tile, **changes) if tile.tile == number else tile for tile in program.tiles
    )
    return replace(program, tiles=tiles)
