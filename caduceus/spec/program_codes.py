"""Computing tiles of a program, their replicas, and their target codes."""

import numpy as np
from numpy.typing import NDArray

from caduceus.spec import formats
from caduceus.spec.chip import Chip
from caduceus.spec.program import Program, TileProgram


def computing(program: Program) -> tuple[TileProgram, ...]:
    """The tiles that have an array to load; tile `i` of the PCM state belongs to the i-th."""
    return tuple(tile for tile in program.tiles if tile.config is not None)


def replicas(program: Program) -> dict[str, int]:
    """Number of replicas by layer, of layers with more than one.

    In a program made by hand, tiles without a block belong to no layer.
    """
    found: dict[str, int] = {}
    for tile in computing(program):
        if tile.block is not None:
            layer = tile.block.layer
            found[layer] = max(found.get(layer, 1), tile.block.replica + 1)
    return {layer: count for layer, count in found.items() if count > 1}


def gathers(program: Program) -> bool:
    """Whether tiles gather their vectors from feature maps, so that the program takes images."""
    return any(tile.config.window is not None for tile in computing(program))


def device_codes(program: Program, chip: Chip) -> NDArray[np.uint8]:
    """Target conductance codes of the computing tiles, 0 outside their matrices.

    Returns:
        uint8 [tiles, array rows, array columns, 4], as `pcm_state.ideal` takes them. A PCM state
        has at least one tile, so a program that only forwards gets one, all 0.
    """
    tiles = computing(program)
    shape = (max(1, len(tiles)), chip.array.rows, chip.array.columns, len(formats.DEVICES))
    codes = np.zeros(shape, dtype=np.uint8)
    for target, tile in zip(codes, tiles, strict=False):
        target[: tile.config.rows, : tile.config.columns] = tile.codes
    return codes
