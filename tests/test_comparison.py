"""Mismatch reports: pixel, column and clock of a value, and which of several comes first.

Pixels are checked against feature maps of a reference that knows no tiles: the value of the pixel
that a report names must be the value that it expected.
"""

from dataclasses import replace

import numpy as np
import pytest
from cnn_reference import BINARY16, ROOMY, random_images, random_weights, reference
from test_golden_cnn import CASES

from caduceus.compiler.network import compile_network
from caduceus.golden import machine
from caduceus.golden.machine import TileTrace
from caduceus.sim import beats
from caduceus.sim.chip_player import read_outputs
from caduceus.sim.comparison import Observed, compare, counted, scoreboard
from caduceus.sim.moments import Moment, Moments, SyncClock
from caduceus.sim.recording import Recorded
from caduceus.sim.scoreboard import Mismatch
from caduceus.spec import pcm_state
from caduceus.spec.formats import ReadMode
from caduceus.spec.network import Network
from caduceus.spec.packets import framed
from caduceus.spec.program import HostStream, Program, TileProgram
from caduceus.spec.program_codes import computing, device_codes

IMAGES = 2


def _run(case: str) -> tuple[Program, Observed, dict]:
    """A program, the golden model's values, and the reference's maps."""
    described, chip, replicas = CASES[case]
    weights, mode = random_weights(described), ReadMode.ONE_PHASE
    program = compile_network(Network(described, weights), chip, mode, replicas)
    x = random_images(described, IMAGES)
    state = pcm_state.ideal(chip, device_codes(program, chip))
    found = machine.run(program, chip, state, x, capture=True)
    expected = reference(described, weights, chip, mode, x)
    return program, Observed(found.outputs, found.tiles), expected


def _altered(values: Observed, tile: int, kind: str, at: tuple[int, int, int]) -> Observed:
    """The same with one value of a tile altered."""
    array = getattr(values.tiles[tile], kind).copy()
    array[at] ^= 1
    trace = replace(values.tiles[tile], **{kind: array})
    return replace(values, tiles={**values.tiles, tile: trace})


def _first(program: Program, expected: Observed, got: Observed, layer: str) -> Mismatch:
    score = scoreboard()
    compare(program, expected, got, score)
    assert score.mismatches == sum(each.mismatches for each in score.groups.values())
    return score.groups[layer].first


def _last_of_chains(program: Program) -> list[TileProgram]:
    """The tiles whose results are the layer's, not partial sums."""
    tiles = computing(program)
    ends: dict[str, int] = {}
    for tile in tiles:
        ends[tile.block.layer] = max(ends.get(tile.block.layer, 0), tile.block.rows)
    return [tile for tile in tiles if tile.block.rows == ends[tile.block.layer]]


@pytest.mark.parametrize("case", ["residual of replicas", "average, replicas", "pixels in packets",
                                  "pixels in packets of replicas", "one tile a layer"])  # fmt: skip
def test_the_named_pixel_has_the_expected_value(case: str) -> None:
    program, expected, maps = _run(case)
    random = np.random.default_rng(1)
    before: dict[tuple[str, int], int] = {}
    for tile in sorted(_last_of_chains(program), key=lambda tile: tile.block.columns):
        block = tile.block
        # Column blocks of a layer are side by side.
        start = before.setdefault((block.layer, block.columns), 0)
        before[block.layer, block.columns + 1] = start + tile.config.columns
        for kind, word in (("results", "result"), ("sent", "packet")):
            values = getattr(expected.tiles[tile.tile], kind)
            wanted = getattr(maps[block.layer], "results" if kind == "results" else "pooled")
            named = set()
            for number in range(values.shape[1]):
                at = (int(random.integers(IMAGES)), number, int(random.integers(values.shape[2])))
                got = _altered(expected, tile.tile, kind, at)
                first = _first(program, expected, got, block.layer)
                place = first.place
                assert (place.tile, place.kind, place.number) == (tile, word, at[0])
                assert place.column == at[2]
                (y, x), column = place.pixel, start + place.column
                assert first.expected == wanted[place.number, y, x, column], f"{kind} {at}: {first}"
                assert f"{word} of pixel (y={y}, x={x}), column {at[2]}: expected " in str(first)
                named.add((y, x))
            assert len(named) == values.shape[1]


def test_an_output_that_is_a_map_has_pixels() -> None:
    program, expected, maps = _run("pixels in packets")
    last = maps["conv1"].pooled
    for number in range(program.output_pixels):
        outputs = expected.outputs.copy()
        outputs[1, number, 2] ^= 1
        first = _first(program, expected, replace(expected, outputs=outputs), "chip output")
        (y, x), place = first.place.pixel, first.place
        assert (place.number, place.column) == (1, 2)
        assert first.expected == last[1, y, x, 2]
        assert str(first).startswith(f"chip output, image 1, output of pixel (y={y}, x={x}), ")


def test_layers_come_in_their_order_and_before_the_outputs() -> None:
    program, expected, _ = _run("residual")
    got = replace(expected, outputs=expected.outputs ^ 1)
    for layer in ("dense", "conv1"):
        tile = next(tile for tile in computing(program) if tile.block.layer == layer)
        got = _altered(got, tile.tile, "sent", (1, 0, 0))
    score = scoreboard()
    compare(program, expected, got, score)
    assert list(score.groups) == ["conv0", "conv1", "conv2", "dense", "chip output"]
    assert score.first.startswith("layer conv1, tile ")
    assert [each.mismatches for each in score.groups.values()] == [
        0,
        1,
        0,
        1,
        expected.outputs.size,
    ]


CLOCK = SyncClock(origin_ps=1250, period_ps=2500)
NOTHING = (np.zeros((0, 0), np.int8),) * 2
"""Values of a recording, where only its times count."""


def _times(count: int, first: int) -> list[str]:
    """Times of `count` vectors of 64 beats, one vector every 100 clocks, from clock `first` on."""
    return [f"{1250 + 2500 * (first + 100 * number)} 63*2500" for number in range(count)]


@pytest.mark.parametrize("chip", [ROOMY, BINARY16])
@pytest.mark.parametrize("binary16", [False, True])
def test_the_clock_of_a_value_is_that_of_its_beat(chip, binary16: bool) -> None:
    program, _, _ = _run("residual")
    tile = computing(program)[0]
    tile = replace(tile, config=replace(tile.config, tx_binary16=binary16))
    recorded = Recorded(*NOTHING, _times(9, 7), _times(9, 50))
    states = {2: [[11, 13], [17, 19]]}
    moments = Moments(chip, CLOCK, np.array([[[3, 5]]]), {tile.tile: recorded}, 4, states)
    for column in range(16):
        clock = 7 + 400 + 200 + column // chip.ldpu.lanes
        expected = Moment((1250 + 2500 * clock) / 1e3, clock)
        assert moments.of_tile(tile, False, (0, 2, column), 9) == expected
        assert moments.of_tile(tile, False, (2, 0, column), 1) == expected
        clock = 50 + 400 + 200 + column * (1 + binary16) // chip.link.units
        assert moments.of_tile(tile, True, (0, 2, column), 9).clock == clock
    assert moments.of_tile(tile, False, (0, 5, 0), 9) is None
    assert moments.of_tile(computing(program)[1], False, (0, 0, 0), 9) is None
    assert moments.of_output((0, 0, 1)) == Moment(13.75, 5)
    assert (moments.of_state(2, 0, 1), moments.of_state(1, 0, 0)) == (Moment(33.75, 13), None)
    assert moments.of_state(2, 1, 0).clock == 17


def test_the_earliest_mismatch_of_a_layer_is_its_first() -> None:
    """Whatever the order in which its tiles, their results and their packets are compared."""
    program, expected, _ = _run("pixels in packets")
    tiles = [tile.tile for tile in computing(program) if tile.block.layer == "conv0"]
    got = expected
    for tile in tiles:
        got = _altered(_altered(got, tile, "results", (1, 3, 2)), tile, "sent", (1, 1, 2))
    for earliest in tiles:
        for kind in ("results", "sent"):
            recorded = {}
            for number, trace in expected.tiles.items():
                times = [
                    _times(IMAGES * getattr(trace, each).shape[1], 7)
                    if (number, each) == (earliest, kind)
                    else _times(IMAGES * getattr(trace, each).shape[1], 9000)
                    for each in ("results", "sent")
                ]
                recorded[number] = Recorded(*NOTHING, *times)
            moments = Moments(ROOMY, CLOCK, np.zeros(expected.outputs.shape, np.int64), recorded)
            first = _first(program, expected, replace(got, moments=moments), "conv0").place
            each, pixel, beat = (
                ("packet", 1, 2 // ROOMY.link.units)
                if kind == "sent"
                else ("result", 3, 2 // ROOMY.ldpu.lanes)
            )
            assert (first.tile.tile, first.kind) == (earliest, each)
            per_image = getattr(expected.tiles[earliest], kind).shape[1]
            assert first.moment == CLOCK.edge(7 + 100 * (per_image + pixel) + beat)


def test_a_tile_that_recorded_nothing_is_a_mismatch_without_a_time() -> None:
    program, expected, _ = _run("pixels in packets")
    tile = computing(program)[0]
    got = replace(expected, tiles={**expected.tiles, tile.tile: TileTrace(*NOTHING)})
    recorded = {each.tile: Recorded(*NOTHING) for each in computing(program)}
    moments = Moments(ROOMY, CLOCK, np.zeros(expected.outputs.shape, np.int64), recorded)
    first = _first(program, expected, replace(got, moments=moments), tile.block.layer)
    assert first.place.moment is None and "expected shape [" in str(first)


def test_the_clock_of_an_output_is_that_of_its_beat(tmp_path) -> None:
    """Of vectors that leave in two parts by two ports, each beat in a clock of its own."""
    program, _, _ = _run("residual")
    units, random = BINARY16.link.units, np.random.default_rng(3)
    parts = HostStream(0, 5, 0, 19), HostStream(1, 6, 19, 8)
    program = replace(program, outputs=parts, output_length=27)
    vectors = random.integers(-127, 128, (3, 27), np.int8)
    wanted = np.zeros(vectors.shape, np.int64)
    for part in parts:
        payload = vectors[:, part.start : part.start + part.length]
        clock, lines = 100, []
        for number, packet in enumerate(beats.lines(framed(part.stream, payload, units), units)):
            for beat, line in enumerate(packet.splitlines()):
                clock += int(random.integers(1, 9))
                lines.append(f"{line} {clock}\n")
                # Beat 0 is the preamble's.
                end = part.start + min(beat * units, part.length)
                wanted[number, part.start + max(beat - 1, 0) * units : end] = clock
        (tmp_path / f"output_{part.port}.txt").write_text("".join(lines))
    for port in range(2, len(BINARY16.host.outputs)):
        (tmp_path / f"output_{port}.txt").write_text("")
    values, clocks = read_outputs(tmp_path, program, BINARY16, len(vectors))
    assert np.array_equal(values, vectors) and np.array_equal(clocks, wanted)


def test_one_thing_is_not_several() -> None:
    assert [counted(n, "image") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
