"""Golden chip with GDPU slices: sequences, their state, and errors of impossible programs."""

from dataclasses import replace

import numpy as np
import pytest
from golden_reference import random_state
from recurrent_networks import random_network

from caduceus.compiler.network import compile_network
from caduceus.golden.fast.tile import Tile
from caduceus.golden.machine import run
from caduceus.golden.reference import gdpu
from caduceus.spec import fabric
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import ReadMode
from caduceus.spec.gdpu import LstmState
from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing

TINY = Chip.find("tiny")
SEQUENCES, STEPS = 3, 7


def _program(shape=(8, 8, 16), description: Chip = TINY) -> Program:
    return compile_network(random_network(*shape), description, ReadMode.FOUR_PHASE)


def _vectors(program: Program) -> np.ndarray:
    random = np.random.default_rng(5)
    size = SEQUENCES, STEPS, program.input_length
    return random.integers(-127, 128, size, dtype=np.int8)


def test_a_step_is_its_tiles_and_slices_in_order() -> None:
    """On `tiny`, written out: two tiles of gates, two slices, and the dense layer's tile."""
    program, x = _program(), _vectors(_program())
    state = random_state(TINY, seed=3, tiles=3)
    first, second, dense = computing(program)
    slices = program.slices
    tiles = [Tile(TINY, state, index) for index in range(3)]
    hidden = [np.zeros((SEQUENCES, 4), np.int8) for _ in slices]
    cell = [np.zeros((SEQUENCES, 4), np.uint16) for _ in slices]
    got = run(program, TINY, state, x, first=11)
    for t in range(STEPS):
        reads = 11 + np.arange(SEQUENCES) * STEPS + t
        inputs = np.concatenate([x[:, t], *hidden], axis=1)
        for index, tile in enumerate((first, second)):
            gates = tiles[index].run(tile.config, inputs, first_read=reads)
            hidden[index], cell[index] = gdpu.step(slices[index].config, gates, cell[index])
        logits = tiles[2].run(dense.config, np.concatenate(hidden, axis=1), first_read=reads)
        np.testing.assert_array_equal(got.outputs[:, t], logits)
        np.testing.assert_array_equal(got.hidden[:, t], np.concatenate(hidden, axis=1))
        np.testing.assert_array_equal(got.cell[:, t], np.concatenate(cell, axis=1))
    # The comparison means something: states differ from step to step and between sequences.
    assert len({step.tobytes() for step in got.hidden.reshape(-1, 8)}) == SEQUENCES * STEPS


def test_any_number_of_threads_gives_the_same() -> None:
    """Read noise, captured results and states included."""
    program, x = _program(), _vectors(_program())
    state, rng = random_state(TINY, seed=3, tiles=3), np.random.default_rng(8)
    initial = LstmState(
        rng.integers(-127, 128, (SEQUENCES, 8)).astype(np.int8),
        rng.normal(size=(SEQUENCES, 8)).astype(np.float16).view(np.uint16),
    )
    for before in (None, initial):
        whole, *others = (
            run(program, TINY, state, x, initial=before, first=5, capture=True, threads=threads)
            for threads in (1, 2, 3, 5)
        )
        for other in others:
            for name in ("outputs", "hidden", "cell"):
                np.testing.assert_array_equal(getattr(other, name), getattr(whole, name))
            for tile, trace in whole.tiles.items():
                np.testing.assert_array_equal(other.tiles[tile].results, trace.results)
    done: list[int] = []
    run(program, TINY, state, x, progress=done.append, threads=2)
    assert sum(done) == SEQUENCES * STEPS


@pytest.mark.parametrize("cut", [1, 3, STEPS - 1])
def test_a_sequence_may_be_stopped_and_resumed(cut: int) -> None:
    program, x = _program(), _vectors(_program())
    state = random_state(TINY, seed=4, tiles=3, noise=False)
    whole = run(program, TINY, state, x)
    start = run(program, TINY, state, x[:, :cut])
    rest = run(program, TINY, state, x[:, cut:], initial=start.state)
    for key in ("outputs", "hidden", "cell"):
        parts = getattr(start, key), getattr(rest, key)
        np.testing.assert_array_equal(getattr(whole, key), np.concatenate(parts, axis=1))
    # Without the state it would be another sequence.
    anew = run(program, TINY, state, x[:, cut:])
    assert (anew.outputs != rest.outputs).any()


def test_sequences_are_as_if_one_after_another() -> None:
    """Read noise is by read index, so that also what was read before counts."""
    program, x = _program(), _vectors(_program())
    state = random_state(TINY, seed=6, tiles=3)
    together = run(program, TINY, state, x, first=100)
    for number, one in enumerate(x):
        alone = run(program, TINY, state, one[np.newaxis], first=100 + number * STEPS)
        np.testing.assert_array_equal(together.outputs[number], alone.outputs[0])
        np.testing.assert_array_equal(together.cell[number], alone.cell[0])
    other = run(program, TINY, state, x, first=101)
    assert (other.outputs != together.outputs).any()


def _turn(program: Program, stream: int, tile: int, **changes) -> Program:
    """The program with a route of a tile changed."""
    tiles = []
    for each in program.tiles:
        routes = tuple(
            replace(route, **changes) if (each.tile, route.stream) == (tile, stream) else route
            for route in each.routes
        )
        tiles.append(replace(each, routes=routes))
    return replace(program, tiles=tuple(tiles))


def _slice(program: Program, **changes) -> Program:
    return replace(program, slices=(replace(program.slices[0], **changes), *program.slices[1:]))


def _units(program: Program, units: int) -> Program:
    return _slice(program, config=replace(program.slices[0].config, units=units))


def _narrow(program: Program) -> Program:
    """The program with too few gates from its first tile."""
    tile = program.tiles[0]
    config = replace(tile.config, columns=12, constants=tile.config.constants[:12])
    first = replace(tile, config=config, codes=tile.codes[:, :12])
    return replace(program, tiles=(first, *program.tiles[1:]))


PROGRAM = _program()
FIRST = PROGRAM.slices[0]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (_units(PROGRAM, 3), "start [+] length: got 4, expected the packet's length, 3"),
        (_narrow(PROGRAM), "slice 0: stream 0: length: got 12 bytes, expected 16, four for each"),
        (_units(PROGRAM, 5), "slice 0: units: got 5, expected 1 to 4"),
        (_slice(PROGRAM, slice=2), "slice 1 comes after slice 2: expected ascending order"),
        (_slice(PROGRAM, sides=()), "slice 0: sides: got .*, expected at least one of"),
        (_slice(PROGRAM, sides=("south", "south")), "slice 0: sides: got .*, expected at least"),
        (_slice(PROGRAM, last=77), "stream 77 arrives and has no route there"),
        (replace(PROGRAM, slices=PROGRAM.slices[1:]), "no stream goes to part 1 of 'input'"),
        (_turn(PROGRAM, FIRST.stream, 3, sinks=("north_1",)),
         "slice 0: stream 4 goes to input at tile 3: expected only where stream 3 goes, too"),
        (_turn(PROGRAM, FIRST.stream, 0, part=2),
         "tile 0 keeps bytes 0 to 4 of stream 2 as part 1 of 'input': expected what it keeps"),
        (_turn(PROGRAM, FIRST.first, 0, part=2),
         "tile 0 keeps bytes 0 to 4 of stream 2 as part 2 of 'input': expected what it keeps"),
        (_turn(PROGRAM, 0, 0, sinks=("host",)), "sinks: got 'host', expected it only on"),
        (_turn(PROGRAM, 1, 1, sinks=("host",)), "stream 1 leaves for the host, and is none"),
        (_turn(PROGRAM, FIRST.stream, 0, part=16), "part: got 16, expected 0 to 15"),
        (_turn(PROGRAM, FIRST.stream, 0, part=3), "part: got 3, expected 0 to 2"),
        (_turn(PROGRAM, FIRST.stream, 0, length=3), "expected for 'input' the tile's rows, 4"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_reported(changed: Program, sentence: str) -> None:
    state = random_state(TINY, seed=3, tiles=3)
    with pytest.raises(UserError, match=sentence):
        run(changed, TINY, state, _vectors(PROGRAM))


def test_what_does_not_fit_is_reported() -> None:
    state, x = random_state(TINY, seed=3, tiles=3), _vectors(PROGRAM)
    with pytest.raises(
        UserError, match=r"inputs: int8 \[7, 8\]: expected int8 \[n, steps >= 1, 8\]"
    ):
        run(PROGRAM, TINY, state, x[0])
    with pytest.raises(UserError, match=r"expected int8 \[n, steps >= 1, 8\]"):
        run(PROGRAM, TINY, state, x[:, :0])
    with pytest.raises(UserError, match=r"inputs: int8 \[3, 7, 7\]"):
        run(PROGRAM, TINY, state, x[..., :7])
    bad = LstmState(np.zeros((3, 8), np.int8), np.zeros((3, 7), np.uint16))
    with pytest.raises(UserError, match=r"initial cell state: uint16 \[3, 7\]: expected uint16"):
        run(PROGRAM, TINY, state, x, initial=bad)


def test_gates_for_no_slice_are_reported() -> None:
    """Slice 1 gone, its hidden state no longer an input: its gates still come."""
    second, tiles = PROGRAM.slices[1], []
    gone = {second.first, second.stream, second.last}
    for tile in PROGRAM.tiles:
        config = tile.config
        if config is not None:
            parts = config.parts[:-1] if len(config.parts) > 2 else ()
            config = replace(config, parts=parts, rows=config.rows - 4)
            codes = tile.codes[: config.rows]
            tile = replace(tile, config=config, codes=codes)
        routes = tuple(route for route in tile.routes if route.stream not in gone)
        tiles.append(replace(tile, routes=routes))
    alone = replace(PROGRAM, tiles=tuple(tiles), slices=PROGRAM.slices[:1])
    state = random_state(TINY, seed=3, tiles=3)
    with pytest.raises(
        UserError, match="slice 1: gates are sent to it, and the program has no slice 1"
    ):
        run(alone, TINY, state, _vectors(PROGRAM))
    assert fabric.gdpu_tiles(TINY, 1) == {"north": 1, "south": 3}
