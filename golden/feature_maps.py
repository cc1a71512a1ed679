"""Feature maps of a network's layers, assembled from the results of its tiles."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.machine import TileTrace
from caduceus.spec.program import Program, TileProgram
from caduceus.spec.program_codes import computing


def layers(
    program: Program, traces: Mapping[int, TileTrace], pooled: bool = True
) -> dict[str, NDArray[np.int8]]:
    """Assemble every layer's feature map from the results of its tiles.

    Args:
        program: the program that ran; each tile must name its block (`TileProgram.block`).
        traces: of its computing tiles.
        pooled: whether to return the maps after pooling, or the results before it.

    Returns:
        By layer int8 [images, pixels, channels], pixels row by row.
    """
    last: dict[str, dict[tuple[int, int], int]] = {}
    for tile in sorted(computing(program), key=lambda tile: tile.block.rows):
        place = tile.block.replica, tile.block.columns
        last.setdefault(tile.block.layer, {})[place] = tile.tile
    found = {}
    for layer, tiles in last.items():
        replicas = 1 + max(replica for replica, _ in tiles)
        rows = []
        for replica in range(replicas):
            mine = [traces[tile] for (r, _), tile in sorted(tiles.items()) if r == replica]
            parts = [trace.sent if pooled else trace.results for trace in mine]
            rows.append(np.concatenate(parts, axis=-1))
        if pooled:
            # Replicas send in turn.
            images, pixels, channels = rows[0].shape
            found[layer] = np.stack(rows, axis=2).reshape(images, pixels * replicas, channels)
        else:
            whole = np.empty(
                (len(rows[0]), sum(r.shape[1] for r in rows), rows[0].shape[2]), np.int8
            )
            for replica, values in enumerate(rows):
                tile = next(t for t in computing(program) if t.tile == tiles[replica, 0])
                whole[:, _places(tile, whole.shape[1])] = values
            found[layer] = whole
    return found


def _places(tile: TileProgram, pixels: int) -> NDArray[np.int64]:
    """Numbers of a tile's results among all `pixels` of its layer."""
    window = tile.config.window
    if window is None:
        return np.arange(pixels)
    across = pixels // window.result_rows
    rows = np.arange(window.result_rows)[:, np.newaxis] * across
    return (rows + np.array(window.columns)).ravel()
