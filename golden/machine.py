"""The whole chip: packets follow their routes; tiles and GDPU slices compute when they have them.

One machine for every program. An input is an image, of `program.input_pixels` vectors, or a
sequence of vectors where the program has GDPU slices, whose state goes from step to step.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from caduceus.golden.fast.gdpu import FastGdpu
from caduceus.golden.fast.tile import Tap, Tile
from caduceus.golden.reference import gather
from caduceus.golden.reference.pool import pool
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.fabric import GDPU, INPUT, RX
from caduceus.spec.gdpu import LstmState
from caduceus.spec.packets import Values, from_bytes, to_bytes
from caduceus.spec.paths import Node
from caduceus.spec.pcm_state import PcmState
from caduceus.spec.program import Program, TileProgram
from caduceus.spec.program_check import check
from caduceus.spec.program_codes import computing, gathers
from caduceus.spec.streams import Part, order, trace

IMAGES_PER_BLOCK = 16
"""Images that go through the chip together: bounds memory, and fills the processor's cache well."""
VECTORS_PER_BLOCK = 4096
"""Inputs that go through together where an input is one vector."""

Progress = Callable[[int], None]
"""Called now and then with the number of images, vectors or steps done since the last call."""
_Found = TypeVar("_Found")
_Packets = NDArray[np.int8]
"""Packets of a source, int8 [n, packets of an input, bytes]."""
_HOST = "host", 0
"""The host as a source."""
_Feed = tuple[Node, int, int]
"""A part of what a source sends: the source, and the first byte and the end."""


@dataclass(frozen=True)
class TileTrace:
    """What a tile computed and sent, for a batch of inputs.

    Attributes:
        results: [n, results of an input, columns]: int8, or binary16 bits as uint16.
        sent: [n, packets of an input, columns]: the same, pooled if the tile pools.
    """

    results: Values
    sent: Values


@dataclass(frozen=True)
class Outcome:
    """Results of a batch of inputs.

    Attributes:
        outputs: int8 [n, vectors of an input, program.output_length]: output pixels of an image, or
            steps of a sequence.
        tiles: of each computing tile by its number, in the order in which they compute, if
            captured; in sequences each result is one step's.
        hidden: int8 [n, steps, units of all slices], after every step; None without slices.
        cell: uint16 binary16 bits [n, steps, units of all slices], after every step; None without
            slices.
    """

    outputs: NDArray[np.int8]
    tiles: dict[int, TileTrace] = field(default_factory=dict)
    hidden: NDArray[np.int8] | None = None
    cell: NDArray[np.uint16] | None = None

    @property
    def state(self) -> LstmState | None:
        """The state after the last step; None without slices."""
        if self.hidden is None or self.cell is None:
            return None
        return LstmState(self.hidden[:, -1], self.cell[:, -1])


def run(
    program: Program,
    chip: Chip,
    state: PcmState,
    x: NDArray[np.int8],
    *,
    initial: LstmState | None = None,
    first: int = 0,
    capture: bool = False,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Outcome:
    """Run a batch of inputs once; arguments and errors as for `Machine` and its `run`."""
    machine = Machine(program, chip, state)
    return machine.run(
        x, initial=initial, first=first, capture=capture, progress=progress, threads=threads
    )


def default_threads() -> int:
    """OMP_NUM_THREADS, as for libraries of linear algebra; without it the number of cores."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) else len(os.sched_getaffinity(0))


def _in_order(
    work: Callable[[slice], _Found], parts: Sequence[slice], threads: int
) -> Iterator[_Found]:
    """What `work` returns for each part, computed by so many threads."""
    if threads == 1 or len(parts) == 1:
        yield from map(work, parts)
        return
    pool = ThreadPoolExecutor(threads)
    try:
        yield from pool.map(work, parts)
    finally:
        # After an error or an interrupt, what has not begun does not begin.
        pool.shutdown(cancel_futures=True)


def _parts(count: int, size: int, threads: int) -> list[slice]:
    """Parts of `count` inputs, of `size` at most, one at least for each thread."""
    # At least one part, so that no inputs give empty arrays of the right shapes.
    size = max(1, min(size, -(-count // threads)))
    return [slice(start, min(start + size, count)) for start in range(0, max(count, 1), size)]


class Machine:
    """A program on a chip, ready to compute.

    Args:
        program: what the compiler made for `chip`.
        chip: the chip description.
        state: devices of the computing tiles, in the order of `spec.program_codes.computing`.
        tap: called with each computing tile's number and its input vectors, int8 [n, rows], by one
            thread.

    Raises:
        UserError: program, chip and state do not fit each other; a packet goes wrong
            (`spec.streams.trace`); tiles wait for each other; the program has GDPU slices and
            gathers from feature maps.
    """

    def __init__(
        self, program: Program, chip: Chip, state: PcmState, tap: Tap | None = None
    ) -> None:
        check(program, chip)
        if program.slices and gathers(program):
            raise UserError(
                "program: has GDPU slices, and tiles that gather from feature maps: expected one "
                "of them"
            )
        tiles = computing(program)
        if state.tiles != max(1, len(tiles)):
            raise UserError(
                f"PCM state: tiles: got {state.tiles}, expected {max(1, len(tiles))}, as in the "
                "program"
            )
        self._program = program
        self._tap = tap
        traced = trace(program, chip)
        self._feeds = {end: _feed(part) for end, part in traced.kept.items()}
        self._outputs = [_feed(Part(stream, 0, stream.length)) for stream in traced.outputs]
        self._order = order(program, traced)
        self._tiles = {
            tile.tile: (tile, Tile(chip, state, index)) for index, tile in enumerate(tiles)
        }
        self._slices = {}
        self._units = 0
        for each in program.slices:
            start, self._units = self._units, self._units + each.config.units
            self._slices[each.slice] = FastGdpu(each.config), slice(start, self._units)

    def run(
        self,
        x: NDArray[np.int8],
        *,
        initial: LstmState | None = None,
        first: int = 0,
        capture: bool = False,
        progress: Progress | None = None,
        threads: int | None = None,
    ) -> Outcome:
        """Run a batch of inputs.

        A tile's read index counts its vectors, input after input, and in a sequence step after
        step; results depend on an input and its read indices alone: batches may be split at will.

        Args:
            x: int8 [n, program.input_pixels, program.input_length], of one pixel also [n,
                program.input_length]; with GDPU slices [n, steps, program.input_length] of at least
                one step, sequences of equal length as if one after another.
            initial: hidden and cell state of every sequence before its first step; all 0 if None.
            first: images or vectors, in sequences steps, that came before since the state was
                loaded.
            capture: whether to return every tile's results as well.
            progress: called with the number of inputs or steps done since the last call, by one
                thread at a time.
            threads: threads that compute, each other inputs: results are the same with any number.
                `default_threads()` if None.

        Raises:
            UserError: the inputs or the initial state do not fit; a feature map has another size
                than in the configuration of the tile that gathers from it; `threads` is below 1.
        """
        x = self._checked(x)
        threads = default_threads() if threads is None else threads
        if threads < 1:
            raise UserError(f"threads: got {threads}, expected 1 or more")
        if self._tap:
            threads = 1
        for tile, unit in self._tiles.values():
            unit.prepare(tile.config)
        if self._program.slices:
            return self._run_sequences(x, initial, first, capture, progress, threads)
        if initial is not None:
            raise UserError("initial state: got one, expected none: the program has no GDPU slices")

        def work(part: slice) -> tuple[NDArray[np.int8], dict[int, TileTrace]]:
            block = x[part]
            batch = _Batch(block, first + part.start, _nothing(len(block)), capture)
            return self._run_batch(batch), batch.traces

        size = IMAGES_PER_BLOCK if gathers(self._program) else VECTORS_PER_BLOCK
        outputs, traces = [], []
        for output, of_tiles in _in_order(work, _parts(len(x), size, threads), threads):
            outputs.append(output)
            traces.append(of_tiles)
            if progress:
                progress(len(output))
        return Outcome(np.concatenate(outputs), _joined(traces, 0))

    def _checked(self, x: NDArray[np.int8]) -> NDArray[np.int8]:
        """The inputs with all three axes."""
        program = self._program
        wanted = ["n", program.input_pixels, program.input_length]
        if program.slices:
            wanted[1] = "steps >= 1"
        elif program.input_pixels == 1 and x.ndim == 2:
            x = x[:, np.newaxis]
        fits = x.ndim == 3 and x.shape[2] == program.input_length
        fits = fits and (x.shape[1] > 0 if program.slices else x.shape[1] == wanted[1])
        if x.dtype != np.int8 or not fits:
            raise UserError(
                f"inputs: {x.dtype} {list(x.shape)}: expected int8 [{', '.join(map(str, wanted))}]"
            )
        return x

    def _run_sequences(
        self,
        x: NDArray[np.int8],
        initial: LstmState | None,
        first: int,
        capture: bool,
        progress: Progress | None,
        threads: int,
    ) -> Outcome:
        count, steps, _ = x.shape
        before = initial or _nothing(count, self._units)
        _check_state(before, (count, self._units))
        reads = first + np.arange(count) * steps
        outputs = np.empty((count, steps, self._program.output_length), dtype=np.int8)
        hidden = np.empty((count, steps, self._units), dtype=np.int8)
        cell = np.empty((count, steps, self._units), dtype=np.uint16)
        one_at_a_time = Lock()

        def work(part: slice) -> dict[int, TileTrace]:
            now = LstmState(before.hidden[part], before.cell[part])
            traces = []
            for t in range(steps):
                batch = _Batch(x[part, t : t + 1], reads[part] + t, now, capture)
                outputs[part, t] = self._run_batch(batch)[:, 0]
                now = batch.after
                hidden[part, t], cell[part, t] = now.hidden, now.cell
                traces.append(batch.traces)
                if progress:
                    with one_at_a_time:
                        progress(part.stop - part.start)
            return _joined(traces, 1)

        traces = list(_in_order(work, _parts(count, count, threads), threads))
        return Outcome(outputs, _joined(traces, 0), hidden, cell)

    def _run_batch(self, batch: "_Batch") -> NDArray[np.int8]:
        """Outputs of inputs that go through together, one vector or one image of each."""
        program = self._program
        for number, (_, units) in self._slices.items():
            batch.packets["before", number] = batch.before.hidden[:, np.newaxis, units]
        for node in self._order:
            kind, number = node
            if kind == "slice":
                self._run_slice(batch, node)
            else:
                self._run_tile(batch, node, *self._tiles[number])
        count, pixels = len(batch.x), program.output_pixels
        final = np.empty((count, pixels, program.output_length), dtype=np.int8)
        for output, feed in zip(program.outputs, self._outputs, strict=True):
            sent = batch.payload(feed)
            if sent.shape[1] != pixels:
                raise _wrong_count(sent, pixels, f"outputs: stream {output.stream}")
            final[:, :, output.start : output.start + output.length] = sent
        return final

    def _run_slice(self, batch: "_Batch", node: Node) -> None:
        """One step of a GDPU slice's units."""
        unit, units = self._slices[node[1]]
        gates = batch.payload(self._feeds[node, GDPU, 0])
        before, after = batch.before, batch.after
        hidden, cell = unit.step(gates[:, 0], before.cell[:, units])
        after.hidden[:, units], after.cell[:, units] = hidden, cell
        batch.packets[node] = hidden[:, np.newaxis]

    def _run_tile(self, batch: "_Batch", node: Node, tile: TileProgram, unit: Tile) -> None:
        """Results of one tile for the packets sent to it."""
        config, window = tile.config, tile.config.window
        parts = [
            batch.payload(self._feeds[node, INPUT, part]) for part in range(len(config.input_parts))
        ]
        if window is None:
            inputs = _side_by_side(tile, parts)
            count, vectors = inputs.shape[1], inputs.reshape(-1, config.rows)
        else:
            maps = _map(tile, parts).reshape(-1, window.height, window.width, window.channels)
            count, vectors = window.results, gather.vectors(window, config.rows, maps)
        if self._tap:
            self._tap(tile.tile, vectors)
        rx = None
        if config.rx_enable:
            turns = [batch.payload(self._feeds[node, RX, part]) for part in range(config.rx_parts)]
            rx = _in_turn(turns, tile, "rx")
            if rx.shape[1] != count:
                raise _wrong_count(rx, count, f"tile {tile.tile}: 'rx'")
            rx = from_bytes(rx.reshape(len(vectors), rx.shape[2]), config.rx_binary16)
        values = unit.run(config, vectors, rx, batch.first * count)
        results = sent = values.reshape(len(batch.x), count, config.columns)
        if config.pooling is not None:
            pooling = config.pooling
            maps = results.reshape(-1, pooling.height, pooling.width, config.columns)
            shape = len(batch.x), pooling.down * pooling.across, config.columns
            sent = pool(pooling, maps).reshape(shape)
        batch.packets[node] = to_bytes(sent)
        if batch.capture:
            batch.traces[tile.tile] = TileTrace(results, sent)


def _feed(part: Part) -> _Feed:
    """Where a part of a stream's packets is taken from while the machine runs."""
    stream = part.stream
    if part.before:
        return ("before", stream.slice), part.start, part.end
    return stream.node or _HOST, stream.start + part.start, stream.start + part.end


class _Batch:
    """Inputs that go through the chip together, and their packets so far.

    Attributes:
        x: int8 [n, vectors of an input, input_length].
        first: inputs that came before, since the state was loaded; or that number for each, [n].
        before, after: state of the GDPU slices.
        packets: by source, what it sent: the host, a tile or slice, or a slice in the step before,
            ("before", number).
        traces: by tile, if they are to be kept (`capture`).
    """

    def __init__(
        self, x: NDArray[np.int8], first: int | NDArray[np.int64], before: LstmState, capture: bool
    ) -> None:
        self.x, self.first, self.before, self.capture = x, first, before, capture
        self.after = LstmState(np.empty_like(before.hidden), np.empty_like(before.cell))
        self.packets: dict[Node, _Packets] = {_HOST: x}
        self.traces: dict[int, TileTrace] = {}

    def payload(self, feed: _Feed) -> _Packets:
        """A part of a source's packets."""
        source, start, end = feed
        return self.packets[source][:, :, start:end]


def _nothing(count: int, units: int = 0) -> LstmState:
    return LstmState(np.zeros((count, units), np.int8), np.zeros((count, units), np.uint16))


def _check_state(state: LstmState, shape: tuple[int, int]) -> None:
    for key, kind in (("hidden", np.int8), ("cell", np.uint16)):
        given = getattr(state, key)
        if given.dtype != kind or given.shape != shape:
            raise UserError(
                f"initial {key} state: {given.dtype} {list(given.shape)}: expected "
                f"{np.dtype(kind)} {list(shape)}"
            )


def _joined(traces: Sequence[Mapping[int, TileTrace]], axis: int) -> dict[int, TileTrace]:
    """Traces of blocks as one: of inputs (axis 0), or of steps (axis 1)."""
    return {
        tile: TileTrace(
            np.concatenate([trace[tile].results for trace in traces], axis=axis),
            np.concatenate([trace[tile].sent for trace in traces], axis=axis),
        )
        for tile in traces[0]
    }


def _side_by_side(tile: TileProgram, parts: Sequence[_Packets]) -> _Packets:
    """Input vectors of a tile that is sent its vectors; rows in no part are 0."""
    rows = tile.config.rows
    count, packets, length = parts[0].shape
    if length == rows:
        return parts[0]
    vectors = np.zeros((count, packets, rows), dtype=np.int8)
    for part, sent in zip(tile.config.input_parts, parts, strict=True):
        if sent.shape[1] != packets:
            raise _wrong_count(sent, packets, f"tile {tile.tile}: 'input'")
        vectors[:, :, part.start : part.start + part.length] = sent
    return vectors


def _map(tile: TileProgram, parts: Sequence[_Packets]) -> _Packets:
    """Pixels of a tile that gathers: a pixel's parts side by side, pixels of senders in turn."""
    window = tile.config.window
    step = window.packets
    pixels = [
        np.concatenate(parts[first : first + step], axis=-1) for first in range(0, len(parts), step)
    ]
    maps = _in_turn(pixels, tile, "input")
    if maps.shape[1] != window.pixels:
        raise _wrong_count(maps, window.pixels, f"tile {tile.tile}: 'input'")
    return maps


def _in_turn(parts: Sequence[_Packets], tile: TileProgram, sink: str) -> _Packets:
    """Packets of several sources, one of each in turn."""
    if len(parts) == 1:
        return parts[0]
    for part in parts:
        if part.shape[1] != parts[0].shape[1]:
            raise _wrong_count(part, parts[0].shape[1], f"tile {tile.tile}: '{sink}'")
    count, packets, length = parts[0].shape
    return np.stack(parts, axis=2).reshape(count, packets * len(parts), length)


def _wrong_count(packets: _Packets, wanted: int, where: str) -> UserError:
    return UserError(f"{where}: packets per input: got {packets.shape[1]}, expected {wanted}")
