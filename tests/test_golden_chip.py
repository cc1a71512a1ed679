"""Golden chip: packets follow routes, tiles compute in order, and what cannot work is reported."""

from dataclasses import replace

import numpy as np
import pytest
from chip_programs import (
    COLUMNS,
    PARTIAL,
    ROWS,
    SIDE,
    SUM,
    TINY,
    TINY_BINARY16,
    TO_ALL,
    cells,
    change_config,
    change_route,
    change_tile,
    partial_sums,
)
from golden_reference import random_state

from caduceus.compiler import quantise
from caduceus.golden import machine
from caduceus.golden.fast.tile import Tile
from caduceus.spec import formats, pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.formats import GAIN_FRACTION, ReadMode
from caduceus.spec.program import HostStream, Program, Route, TileProgram, chip_digest
from caduceus.spec.program_codes import computing, device_codes

VECTORS = 40


def _vectors(program: Program, count: int = VECTORS, largest: int = 60) -> np.ndarray:
    random = np.random.default_rng(9)
    return random.integers(-largest, largest + 1, (count, program.input_length)).astype(np.int8)


def _outputs(program, description, state, x, **options) -> np.ndarray:
    """Output vectors of input vectors."""
    return machine.run(program, description, state, x, **options).outputs[:, 0]


def _captured(program, description, state, x, **options) -> tuple[np.ndarray, dict]:
    """Output vectors, and every tile's result vectors."""
    found = machine.run(program, description, state, x, capture=True, **options)
    return found.outputs[:, 0], {tile: made.results[:, 0] for tile, made in found.tiles.items()}


def _ideal(program: Program) -> pcm_state.PcmState:
    return pcm_state.ideal(TINY, device_codes(program, TINY))


@pytest.mark.parametrize("mode", ReadMode)
def test_a_chip_is_its_tiles_in_order(mode: ReadMode) -> None:
    program, state = partial_sums(mode), random_state(TINY, seed=3, tiles=3)
    config = {tile.tile: tile.config for tile in computing(program)}
    x = _vectors(program)
    partial = Tile(TINY, state, 0).run(config[0], x[:, 1 : 1 + ROWS], first_read=5)
    side = Tile(TINY, state, 1).run(config[2], x[:, 4 : 4 + ROWS], first_read=5)
    total = Tile(TINY, state, 2).run(config[3], x[:, 1 + ROWS :], partial, first_read=5)

    final, results = _captured(program, TINY, state, x, first=5)
    assert (final.dtype, final.shape) == (np.int8, (VECTORS, 2 * COLUMNS))
    np.testing.assert_array_equal(final, np.concatenate([side, total], axis=1))
    assert list(results) == [0, 2, 3]
    for tile, expected in zip(results, (partial, side, total), strict=True):
        np.testing.assert_array_equal(results[tile], expected)
    # The comparison means something: results differ, and the state's read noise is in them.
    assert len(np.unique(final)) > 20
    assert not np.array_equal(final, _outputs(program, TINY, state, x))


@pytest.mark.parametrize("mode", ReadMode)
def test_partial_sums_over_a_link_are_the_matrix_product(mode: ReadMode) -> None:
    """Charges of 512 units make a count of 1 here, so that nothing is rounded."""
    random = np.random.default_rng(4)
    first, second = random.integers(-1, 2, (2, ROWS, COLUMNS))
    program = partial_sums(mode, first * 256, second * 256)
    gain = np.full((3, TINY.array.columns), 1 << GAIN_FRACTION - 9, dtype=np.uint32)
    state = replace(_ideal(program), gain_p=gain, gain_n=gain)
    values = random.integers(-10, 11, (VECTORS, program.input_length))
    final = _outputs(program, TINY, state, (2 * values).astype(np.int8))
    product = values[:, 1:] @ np.concatenate([first, second])
    assert np.abs(product).max() > 30
    np.testing.assert_array_equal(final[:, COLUMNS:], product)
    np.testing.assert_array_equal(final[:, :COLUMNS], np.maximum(values[:, 4:10] @ first, 0))


def _binary16(program: Program) -> Program:
    """The program with its partial sums in binary16."""
    program = replace(program, chip_digest=chip_digest(TINY_BINARY16))
    program = change_config(program, 0, tx_binary16=True)
    program = change_config(program, 3, rx_binary16=True)
    return change_route(program, 3, PARTIAL, length=2 * COLUMNS)


@pytest.mark.parametrize("mode", ReadMode)
def test_partial_sums_in_binary16_are_not_rounded_and_do_not_saturate(mode: ReadMode) -> None:
    """As above, with products of up to some hundred that cancel, and an eighth of a step."""
    random = np.random.default_rng(6)
    first = random.integers(0, 2, (ROWS, COLUMNS))
    program = _binary16(partial_sums(mode, first * 256, -first * 256))
    constants = np.array(program.tiles[0].config.constants)
    constants[:, 3] = np.float16(0.125).view(np.uint16)
    wide = change_config(program, 0, constants=np.array(program.tiles[0].config.constants))
    eighths = change_config(program, 0, constants=constants)
    gain = np.full((3, TINY.array.columns), 1 << GAIN_FRACTION - 9, dtype=np.uint32)
    state = replace(pcm_state.ideal(TINY_BINARY16, device_codes(program, TINY_BINARY16)),
                    gain_p=gain, gain_n=gain)  # fmt: skip
    left = random.integers(20, 61, (VECTORS, ROWS))
    values = np.concatenate([np.zeros((VECTORS, 1), int), left, left - 3], axis=1)
    x = (2 * values).astype(np.int8)
    final, results = _captured(wide, TINY_BINARY16, state, x)
    assert results[0].dtype == np.uint16
    sums = results[0].view(np.float16)
    np.testing.assert_array_equal(sums, left @ first)
    assert sums.max() > 2 * formats.INT8_MAX
    np.testing.assert_array_equal(final[:, COLUMNS:], np.tile(3 * first.sum(axis=0), (VECTORS, 1)))
    _, results = _captured(eighths, TINY_BINARY16, state, x)
    np.testing.assert_array_equal(results[0].view(np.float16), left @ first / 8)


def test_binary16_is_refused_where_the_chip_has_none() -> None:
    program = replace(_binary16(partial_sums()), chip_digest=chip_digest(TINY))
    with pytest.raises(UserError, match=r"^tile 0: tx_binary16: got True, expected False, as"):
        _outputs(program, TINY, _ideal(program), _vectors(program))


@pytest.mark.parametrize("cuts", [[], [1], [0, 7, 7, 39]])
def test_batches_may_be_split(cuts: list[int]) -> None:
    program, state = partial_sums(), random_state(TINY, seed=3, tiles=3)
    x = _vectors(program)
    whole = _outputs(program, TINY, state, x, first=11)
    parts, start = [], 0
    for part in np.split(x, cuts):
        parts.append(_outputs(program, TINY, state, part, first=11 + start))
        start += len(part)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_no_vectors_give_empty_results() -> None:
    program = partial_sums()
    final, results = _captured(
        program,
        TINY,
        _ideal(program),
        np.empty((0, program.input_length), np.int8),
    )
    assert (final.dtype, final.shape) == (np.int8, (0, 2 * COLUMNS))
    assert {result.shape for result in results.values()} == {(0, COLUMNS)}


def test_codes_are_padded_to_the_array_in_the_order_of_computing_tiles() -> None:
    program = partial_sums()
    codes = device_codes(program, TINY)
    assert (codes.dtype, codes.shape) == (np.uint8, (3, 16, 16, 4))
    for target, seed in zip(codes, (1, 1, 2), strict=True):
        np.testing.assert_array_equal(target[:ROWS, :COLUMNS], quantise.device_codes(cells(seed)))
        target[:ROWS, :COLUMNS] = 0
    assert not codes.any()


def test_a_packet_may_pass_through_without_any_tile_computing() -> None:
    program = replace(
        partial_sums(),
        tiles=(TileProgram(1, (Route(5, ("host",), 0, 0),)),),
        inputs=(HostStream(1, 5, 0, 4),),
        outputs=(HostStream(0, 5, 0, 4),),
        input_length=5,
        output_length=4,
    )
    x = _vectors(program)
    final = _outputs(program, TINY, _ideal(program), x)
    np.testing.assert_array_equal(final, x[:, :4])


def test_streams_of_one_number_that_do_not_meet_are_two() -> None:
    """The number is looked up at each tile: two senders may use it in different places."""
    program = partial_sums()
    x, state = _vectors(program), _ideal(program)
    both = _also(program, 1, _route(PARTIAL, "host"))
    both = replace(
        both,
        inputs=(*program.inputs, HostStream(1, PARTIAL, 2, 3)),
        outputs=(*program.outputs, HostStream(0, PARTIAL, 2 * COLUMNS, 3)),
        output_length=2 * COLUMNS + 3,
    )
    final = _outputs(both, TINY, state, x)
    np.testing.assert_array_equal(final[:, : 2 * COLUMNS], _outputs(program, TINY, state, x))
    np.testing.assert_array_equal(final[:, 2 * COLUMNS :], x[:, 2:5])


def _looped(program: Program) -> Program:
    """Tiles 0 and 3 each get the other's results as RX."""
    program = change_config(program, 0, rx_enable=True)
    program = change_route(program, 3, SUM, sinks=("host", "north_1"))
    program = _also(program, 1, _route(SUM, "west_1"))
    return _also(program, 0, Route(SUM, ("rx",), 0, COLUMNS))


def _route(stream: int, *sinks: str) -> Route:
    return Route(stream, sinks, 0, 0)


def _also(program: Program, tile: int, route: Route) -> Program:
    (found,) = (entry for entry in program.tiles if entry.tile == tile)
    return change_tile(program, tile, routes=(*found.routes, route))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(
            lambda p: change_tile(p, 1, routes=()),
            r"tile 1: stream 10 arrives and has no route there: expected \[\]",
            id="no route",
        ),
        pytest.param(
            lambda p: replace(p, tiles=(p.tiles[0], *p.tiles[2:])),
            r"tile 1: stream 10 arrives and has no route there: expected \[\]",
            id="no tile",
        ),
        pytest.param(
            lambda p: change_tile(p, 0, tx_stream=99),
            r"tile 0: stream 99 arrives and has no route there: expected \[10, 255\]",
            id="results without route",
        ),
        pytest.param(
            lambda p: change_route(p, 2, SIDE, sinks=("east_1", "north_1")),
            r"tile 0: stream 7 arrives and has no route there",
            id="a branch without route",
        ),
        pytest.param(
            lambda p: _also(change_route(p, 3, SIDE, sinks=("host", "north_1")), 1,
                            _route(SIDE, "south_1")),
            r"tile 3: stream 7 arrives twice by its routes: expected once",
            id="a packet in circles",
        ),
        pytest.param(
            lambda p: change_route(p, 1, TO_ALL, sinks=("south_1", "west_1")),
            r"tile 0: stream 10 arrives twice",
            id="back where it came from",
        ),
        pytest.param(
            lambda p: change_route(
                _also(change_tile(p, 2, routes=p.tiles[2].routes[1:]), 2, _route(TO_ALL, "east_1")),
                1, TO_ALL, sinks=("south_1",),
            ),
            r"tile 3: stream 10 arrives twice",
            id="two ways to one tile",
        ),
        pytest.param(
            lambda p: change_route(p, 0, TO_ALL, sinks=("east_1", "south_1")),
            r"tile 0: no stream goes to 'input': expected one",
            id="no input",
        ),
        pytest.param(
            lambda p: change_config(p, 2, rx_enable=True),
            r"tile 2: no stream goes to 'rx': expected one",
            id="no RX",
        ),
        pytest.param(
            lambda p: change_route(
                change_config(p, 2, rx_enable=True), 2, PARTIAL, sinks=("rx",), length=COLUMNS
            ),
            r"tile 3: no stream goes to 'rx'",
            id="RX ends too early",
        ),
        pytest.param(
            lambda p: replace(
                _also(_also(p, 1, _route(60, "west_1")), 0, Route(60, ("input",), 0, ROWS)),
                inputs=(*p.inputs, HostStream(1, 60, 0, ROWS)),
            ),
            r"tile 0: streams 10 and 60 both go to 'input': expected one packet per vector",
            id="two inputs",
        ),
        pytest.param(
            lambda p: change_route(p, 3, SIDE, sinks=("host", "rx"), length=COLUMNS),
            r"tile 3: streams 255 and 7 both go to 'rx'",
            id="two RX",
        ),
        pytest.param(
            lambda p: replace(p, inputs=p.inputs * 2),
            r"tile 0: streams 10 and 10 both go to 'input'",
            id="an input twice",
        ),
        pytest.param(
            lambda p: change_route(p, 3, TO_ALL, start=ROWS + 1),
            r"tile 3: stream 10: start \+ length: got 13, expected the packet's length, 12",
            id="a part beyond the packet",
        ),
        pytest.param(
            lambda p: change_route(p, 3, PARTIAL, start=1),
            r"tile 3: stream 255: start \+ length: got 6, expected the packet's length, 5",
            id="a part beyond the results",
        ),
        pytest.param(
            _looped,
            r"tile \d \(stream \d+\), tile \d \(stream \d+\) wait for each other's results: "
            "expected a program without loops",
            id="dataflow loop",
        ),
        pytest.param(
            lambda p: _also(
                change_tile(change_config(p, 2, rx_enable=True), 2,
                            routes=tuple(r for r in p.tiles[2].routes if r.stream != SIDE)),
                2, Route(SIDE, ("east_1", "rx"), 0, COLUMNS),
            ),
            r"tile 2 \(stream 7\) waits for its own results: expected a program without loops",
            id="its own RX",
        ),
        pytest.param(
            lambda p: replace(
                _also(p, 1, _route(SIDE, "south_1")),
                inputs=(*p.inputs, HostStream(1, SIDE, 0, COLUMNS)),
            ),
            r"tile 3: two packets of stream 7 leave for the host: expected one per vector",
            id="two of one number leave",
        ),
        pytest.param(
            lambda p: replace(p, outputs=(p.outputs[0], replace(p.outputs[1], port=0))),
            r"tile 1: stream 7 of the program's outputs does not leave there: expected \[\]",
            id="leaves elsewhere",
        ),
        pytest.param(
            lambda p: replace(p, outputs=(p.outputs[0], replace(p.outputs[1], stream=SUM))),
            r"tile 3: stream 0 is an output twice: expected once",
            id="an output twice",
        ),
        pytest.param(
            lambda p: replace(
                p, output_length=COLUMNS, outputs=(replace(p.outputs[1], start=0),)
            ),
            r"tile 3: stream 0 leaves for the host, and is none of the program's outputs: "
            r"expected \[7\]",
            id="nobody takes it",
        ),
        pytest.param(
            lambda p: replace(
                p, output_length=COLUMNS + 4,
                outputs=(replace(p.outputs[0], length=4), p.outputs[1]),
            ),
            r"tile 3: stream 0: length: got 4 of the output, expected the packet's, 5",
            id="an output of another length",
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_reported(change, sentence: str) -> None:
    program = change(partial_sums())
    with pytest.raises(UserError, match=f"^{sentence}") as raised:
        _outputs(program, TINY, _ideal(program), _vectors(program))
    assert "\n" not in str(raised.value)


def test_what_does_not_fit_is_reported() -> None:
    program = partial_sums()
    state, x = _ideal(program), _vectors(program)
    with pytest.raises(UserError, match=r"^program: chip: got 'tiny', expected 'hermes'"):
        _outputs(program, Chip.find("hermes"), state, x)
    with pytest.raises(
        UserError, match=r"^PCM state: tiles: got 2, expected 3, as in the program$"
    ):
        _outputs(program, TINY, random_state(TINY, seed=1, tiles=2), x)
    for wrong in (x.astype(np.int16), x[:, 1:], x[0]):
        with pytest.raises(UserError, match=r"^inputs: .*: expected int8 \[n, 1, 13\]"):
            _outputs(program, TINY, state, wrong)
    with pytest.raises(UserError, match=r"^tile 0: rows: got 17"):
        _outputs(change_config(program, 0, rows=17), TINY, state, x)
