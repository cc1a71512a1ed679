"""Images through a whole chip: every tile gathers, computes and pools a feature map of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden import gather
from golden.payload import Values, from_bytes, to_bytes
from golden.plan import End, Node, Part, Source, plan
from golden.pool import pool
from golden.tile import Tap, Tile
from spec.chip import Chip
from spec.errors import UserError
from spec.fabric import INPUT, RX
from spec.pcm_state import PcmState
from spec.program import Program, TileProgram
from spec.program_check import check
from spec.program_codes import computing

IMAGES_PER_BLOCK = 16
"""Images that go through the chip together: bounds memory, and fills the processor's cache well."""


@dataclass(frozen=True)
class TileTrace:
    """What a tile computed and sent, for a batch of images.

    Attributes:
        results: [images, results of an image, columns]: int8, or binary16 bits as uint16.
        sent: [images, packets of an image, columns]: the same, pooled if the tile pools.
    """

    results: Values
    sent: Values


def run(
    program: Program,
    chip: Chip,
    state: PcmState,
    x: NDArray[np.int8],
    capture: bool = False,
    first_image: int = 0,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.int8] | tuple[NDArray[np.int8], dict[int, TileTrace]]:
    """Outputs of a program whose tiles gather their vectors from feature maps.

    A tile's read index counts its vectors, image after image, so batches may be split at will.

    Args:
        program: what the compiler made for `chip`.
        chip: the chip description.
        state: devices of the computing tiles, in the order of `spec.program_codes.computing`.
        x: int8 [n, program.input_pixels, program.input_length].
        capture: whether to give every tile's results, too.
        first_image: images that came before, since the state was loaded.
        progress: called now and then with the number of images done since the last call.

    Returns:
        int8 [n, program.output_pixels, program.output_length]; with `capture` that, and a trace of
        each computing tile by its number.

    Raises:
        UserError: program, chip, state or images do not fit each other; a packet has no route,
            arrives where nobody takes it or twice, or does not arrive; a map has another size than
            the tile that gathers from it is told; tiles wait for each other.
    """
    machine = Machine(program, chip, state)
    outputs, traces = [], []
    # At least one block, so that no images give empty arrays of the right shapes.
    for start in range(0, max(len(x), 1), IMAGES_PER_BLOCK):
        block = x[start : start + IMAGES_PER_BLOCK]
        final, trace = machine.run(block, first_image + start)
        outputs.append(final)
        if capture:
            traces.append(trace)
        if progress:
            progress(len(block))
    final = np.concatenate(outputs)
    if not capture:
        return final
    joined = {
        tile: TileTrace(
            np.concatenate([trace[tile].results for trace in traces]),
            np.concatenate([trace[tile].sent for trace in traces]),
        )
        for tile in traces[0]
    }
    return final, joined


def layers(
    program: Program, traces: Mapping[int, TileTrace], pooled: bool = True
) -> dict[str, NDArray[np.int8]]:
    """Every layer's feature map, put together from what its tiles computed.

    Args:
        program: what was run; its tiles must say what they hold (`TileProgram.block`).
        traces: of its computing tiles.
        pooled: whether to give what left the layer, or what its matrix made before pooling.

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


class Machine:
    """A program on a chip, ready to compute images.

    Raises:
        UserError: they do not fit each other, or the program's packets go wrong.

    `tap` is called with each computing tile's number and its input vectors, int8 [n, rows].
    """

    def __init__(
        self, program: Program, chip: Chip, state: PcmState, tap: Tap | None = None
    ) -> None:
        check(program, chip)
        self._tap = tap
        if program.slices:
            raise UserError("program: has GDPU slices: allowed are sequences of vectors")
        tiles = computing(program)
        if state.tiles != max(1, len(tiles)):
            raise UserError(
                f"PCM state has {state.tiles} tiles: the program allows {max(1, len(tiles))}"
            )
        self._program = program
        self._plan = plan(program, chip)
        self._tiles = {
            tile.tile: (tile, Tile(chip, state, index)) for index, tile in enumerate(tiles)
        }

    def run(
        self, x: NDArray[np.int8], first_image: int = 0
    ) -> tuple[NDArray[np.int8], dict[int, TileTrace]]:
        """One batch; arguments and errors as for the function."""
        program = self._program
        shape = (len(x), program.input_pixels, program.input_length)
        if x.dtype != np.int8 or x.shape != shape:
            raise UserError(
                f"images: {x.dtype} {list(x.shape)}: allowed is int8 "
                f"[n, {program.input_pixels}, {program.input_length}]"
            )
        traces: dict[int, TileTrace] = {}
        for _, number in self._plan.order:
            tile, unit = self._tiles[number]
            traces[number] = self._tile(tile, unit, x, traces, first_image)
        final = np.empty((len(x), program.output_pixels, program.output_length), dtype=np.int8)
        for output, source in zip(program.outputs, self._plan.outputs, strict=True):
            sent = _sent(source, x, traces)
            _demand_pixels(sent, program.output_pixels, f"outputs: stream {output.stream}")
            final[..., output.start : output.start + output.length] = sent
        return final, traces

    def _tile(
        self,
        tile: TileProgram,
        unit: Tile,
        x: NDArray[np.int8],
        traces: dict[int, TileTrace],
        first_image: int,
    ) -> TileTrace:
        """What one tile makes of what the tiles before it sent."""
        config, window = tile.config, tile.config.window
        node = "tile", tile.tile
        inputs = self._inputs(tile, node, x, traces)
        if window is not None:
            maps = inputs.reshape(-1, window.height, window.width, window.channels)
            vectors = gather.vectors(window, config.rows, maps)
        else:
            vectors = inputs.reshape(-1, config.rows)
        if self._tap:
            self._tap(tile.tile, vectors)
        count = inputs.shape[1] if window is None else window.results
        rx = None
        if config.rx_enable:
            parts = [self._payload((node, RX, part), x, traces) for part in range(config.rx_parts)]
            rx = _in_turn(parts, f"tile {tile.tile}: 'rx'")
            _demand_pixels(rx, count, f"tile {tile.tile}: 'rx'")
            rx = from_bytes(config, rx.reshape(len(vectors), rx.shape[-1]))
        values = unit.run(config, vectors, rx, first_image * count)
        results = values.reshape(len(x), count, config.columns)
        if config.pooling is None:
            return TileTrace(results, results)
        pooling = config.pooling
        maps = results.reshape(-1, pooling.height, pooling.width, config.columns)
        shape = len(x), pooling.down * pooling.across, config.columns
        return TileTrace(results, pool(pooling, maps).reshape(shape))

    def _inputs(
        self, tile: TileProgram, node: Node, x: NDArray[np.int8], traces: dict[int, TileTrace]
    ) -> NDArray[np.int8]:
        """Vectors or pixels that come to a tile, int8 [images, count, bytes]."""
        config, window = tile.config, tile.config.window
        where = f"tile {tile.tile}: 'input'"
        parts = [
            self._payload((node, INPUT, part), x, traces) for part in range(len(config.input_parts))
        ]
        if window is not None:
            # The parts of a pixel side by side, then pixels of different tiles in turn.
            step = window.packets
            pixels = [
                np.concatenate(parts[first : first + step], axis=-1)
                for first in range(0, len(parts), step)
            ]
            maps = _in_turn(pixels, where)
            _demand_pixels(maps, window.pixels, where)
            return maps
        vectors = np.zeros((*parts[0].shape[:2], config.rows), dtype=np.int8)
        for part, sent in zip(config.input_parts, parts, strict=True):
            _demand_pixels(sent, parts[0].shape[1], where)
            vectors[..., part.start : part.start + part.length] = sent
        return vectors

    def _payload(
        self, end: End, x: NDArray[np.int8], traces: dict[int, TileTrace]
    ) -> NDArray[np.int8]:
        """What an end gets, int8 [images, packets, bytes]."""
        part: Part = self._plan.kept[end]
        return _sent(part.source, x, traces)[..., part.start : part.end]


def _sent(source: Source, x: NDArray[np.int8], traces: dict[int, TileTrace]) -> NDArray[np.int8]:
    """Packets of a source, int8 [images, packets, bytes]."""
    if source.node is None:
        return x[..., source.start : source.start + source.length]
    return to_bytes(traces[source.node[1]].sent)


def _in_turn(parts: list[NDArray[np.int8]], where: str) -> NDArray[np.int8]:
    """Packets of several sources, one of each in turn, int8 [images, packets, bytes]."""
    if len(parts) == 1:
        return parts[0]
    for part in parts:
        _demand_pixels(part, parts[0].shape[1], where)
    images, packets, length = parts[0].shape
    return np.stack(parts, axis=2).reshape(images, packets * len(parts), length)


def _demand_pixels(packets: NDArray[np.int8], wanted: int, where: str) -> None:
    if packets.shape[1] != wanted:
        raise UserError(
            f"{where}: {packets.shape[1]} packets come for an image: allowed are {wanted}"
        )
