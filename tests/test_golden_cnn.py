"""Golden images: whole networks, every layer's map, equal to a reference that knows no tiles."""

import os
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from chip_programs import TINY, change_config, partial_sums
from cnn_reference import (
    BINARY16,
    ROOMY,
    conv,
    dense,
    network,
    pooling,
    random_images,
    random_weights,
    reference,
)
from golden_reference import random_state
from recurrent_networks import TALL, random_network

from caduceus.compiler.lower import Way, way
from caduceus.compiler.network import compile_network
from caduceus.golden import machine
from caduceus.golden.fast.tile import Tile
from caduceus.golden.feature_maps import layers
from caduceus.golden.reference import gather
from caduceus.spec import pcm_state
from caduceus.spec.chip import Chip
from caduceus.spec.errors import UserError
from caduceus.spec.feature_map import Pooling
from caduceus.spec.formats import ReadMode
from caduceus.spec.gdpu import LstmState
from caduceus.spec.graph import Graph
from caduceus.spec.network import Network
from caduceus.spec.program import Program
from caduceus.spec.program_codes import computing, device_codes

RESIDUAL = network(
    8, 8, 2,
    conv("conv0", 6, pool=pooling("max", 2)),
    conv("conv1", 6, residual="conv0", output_scale=0.03),
    conv("conv2", 20, stride=2),
    dense("dense", 5),
)  # fmt: skip
"""18, 54, 54 and 80 rows; the third layer has two column blocks."""
AVERAGE = network(
    9, 8, 3,
    conv("conv0", 5, kernel=5, padding=2, pool=pooling("average", 2)),
    conv("conv1", 5, kernel=1, padding=0, relu=False),
    conv("conv2", 5, input="conv0", residual="conv1", relu=False, pool=pooling("average", 4)),
)  # fmt: skip
"""A row that is left over by the pooling, a 1x1 kernel, two ways from a layer, negative results."""
WIDE = network(
    6, 6, 2,
    conv("conv0", 20, pool=pooling("max", 2)),
    conv("conv1", 3, kernel=2, padding=0, relu=False),
)  # fmt: skip
"""Pixels in two packets; outputs of several pixels."""
CASES: dict[str, tuple[Graph, Chip, dict[str, int]]] = {
    "residual": (RESIDUAL, ROOMY, {}),
    "residual of replicas": (RESIDUAL, ROOMY, {"conv0": 2, "conv2": 2}),
    "residual, binary16 sums": (RESIDUAL, BINARY16, {}),
    "average": (AVERAGE, ROOMY, {}),
    "average, binary16 sums": (AVERAGE, BINARY16, {}),
    "average, replicas": (AVERAGE, ROOMY, {"conv0": 2}),
    "pixels in packets": (WIDE, ROOMY, {}),
    "pixels in packets of replicas": (WIDE, ROOMY, {"conv0": 3}),
    "one tile a layer": (RESIDUAL, Chip.find("hermes"), {"conv0": 4}),
}


def _compiled(case: str, mode: ReadMode) -> tuple[Program, Chip]:
    described, chip, replicas = CASES[case]
    made = Network(described, random_weights(described))
    return compile_network(made, chip, mode, replicas), chip


def _ideal(program: Program, chip: Chip) -> pcm_state.PcmState:
    return pcm_state.ideal(chip, device_codes(program, chip))


def _captured(program, chip, state, x, **options) -> tuple[np.ndarray, dict]:
    """Outputs, and every tile's trace."""
    found = machine.run(program, chip, state, x, capture=True, **options)
    return found.outputs, found.tiles


@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.parametrize("case", CASES)
def test_every_layer_is_as_the_reference_has_it(case: str, mode: ReadMode) -> None:
    described, chip, _ = CASES[case]
    program, _ = _compiled(case, mode)
    x = random_images(described, 5)
    final, traces = _captured(program, chip, _ideal(program, chip), x)
    expected = reference(described, random_weights(described), chip, mode, x)

    made = layers(program, traces, pooled=False)
    left = layers(program, traces)
    assert set(made) == set(left) == set(expected)
    for name, maps in expected.items():
        for got, wanted in ((made[name], maps.results), (left[name], maps.pooled)):
            assert got.dtype == np.int8
            np.testing.assert_array_equal(got, wanted.reshape(len(x), -1, wanted.shape[-1]), name)
    last = expected[described.nodes[-1].name].pooled
    assert (final.dtype, final.shape[0]) == (np.int8, len(x))
    np.testing.assert_array_equal(final, last.reshape(final.shape))
    # It means something: results of every layer use their range.
    for name, maps in expected.items():
        assert len(np.unique(maps.results)) > 10, name
        assert 30 < np.abs(maps.results).max() > 2 * np.abs(maps.results).mean(), name


@pytest.mark.parametrize("mode", ReadMode)
@pytest.mark.parametrize("case", ["residual of replicas", "average, binary16 sums"])
def test_batches_may_be_split_at_will(
    case: str, mode: ReadMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read noise included: a tile's read index counts its vectors from the first image on."""
    program, chip = _compiled(case, mode)
    state = random_state(chip, seed=3, tiles=len(computing(program)))
    x = random_images(CASES[case][0], 7)
    whole, traces = _captured(program, chip, state, x, first=9)
    monkeypatch.setattr(machine, "IMAGES_PER_BLOCK", 2)
    done: list[int] = []
    blocks, pieces = _captured(program, chip, state, x, first=9, progress=done.append)
    np.testing.assert_array_equal(blocks, whole)
    assert done == [2, 2, 2, 1]
    for tile, trace in traces.items():
        np.testing.assert_array_equal(pieces[tile].results, trace.results)
        np.testing.assert_array_equal(pieces[tile].sent, trace.sent)
    again = machine.Machine(program, chip, state)
    for start, end in ((4, 7), (0, 3), (3, 4)):  # in any order
        part = again.run(x[start:end], first=9 + start).outputs
        np.testing.assert_array_equal(part, whole[start:end])
    assert (machine.run(program, chip, state, x, first=10).outputs != whole).any()


@pytest.mark.parametrize("mode", ReadMode)
def test_any_number_of_threads_gives_the_same(
    mode: ReadMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read noise, captured results and the order of progress included."""
    program, chip = _compiled("residual of replicas", mode)
    state = random_state(chip, seed=3, tiles=len(computing(program)))
    x = random_images(CASES["residual of replicas"][0], 7)
    whole, traces = _captured(program, chip, state, x, first=9, threads=1)
    monkeypatch.setattr(machine, "IMAGES_PER_BLOCK", 3)
    for threads, parts in ((1, [3, 3, 1]), (2, [3, 3, 1]), (3, [3, 3, 1]), (4, [2, 2, 2, 1])):
        done: list[int] = []
        found, pieces = _captured(
            program, chip, state, x, first=9, threads=threads, progress=done.append
        )
        np.testing.assert_array_equal(found, whole)
        assert done == parts
        for tile, trace in traces.items():
            np.testing.assert_array_equal(pieces[tile].results, trace.results)
            np.testing.assert_array_equal(pieces[tile].sent, trace.sent)
    assert len(machine.run(program, chip, state, x[:0], threads=4).outputs) == 0


def test_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default as for libraries of linear algebra."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine.default_threads() == 3
    for nonsense in ("", "0", "-2", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
        assert machine.default_threads() == len(os.sched_getaffinity(0))
    program, chip = _compiled("residual of replicas", ReadMode.ONE_PHASE)
    state = random_state(chip, seed=3, tiles=len(computing(program)))
    x = random_images(CASES["residual of replicas"][0], 1)
    with pytest.raises(UserError, match="threads: got 0, expected 1 or more"):
        machine.run(program, chip, state, x, threads=0)


def test_an_error_in_a_thread_is_reported() -> None:
    """And what has not begun then does not begin."""
    begun = []

    def work(part: slice) -> None:
        begun.append(part.start)
        raise UserError("no")

    parts = machine._parts(200, 1, 2)
    with pytest.raises(UserError, match="no"):
        list(machine._in_order(work, parts, 2))
    assert len(parts) == 200
    assert len(begun) < 200


@pytest.mark.parametrize("replicas", [{}, {"conv0": 2}])
def test_a_vector_s_read_index_is_its_place_in_all_images(replicas: dict[str, int]) -> None:
    """Equal images read in turn differ by noise alone, as a tile of their own has it."""
    described = network(4, 4, 1, conv("conv0", 6), conv("conv1", 2))
    made = Network(described, random_weights(described))
    program = compile_network(made, ROOMY, ReadMode.ONE_PHASE, replicas)
    state = random_state(ROOMY, seed=5, tiles=len(computing(program)))
    x = np.repeat(random_images(described, 1), 3, axis=0)
    _, traces = _captured(program, ROOMY, state, x, first=20)
    for number, tile in enumerate(computing(program)):
        if tile.block.layer != "conv0":
            continue
        window = tile.config.window
        vectors = gather.vectors(window, 9, x.reshape(3, 4, 4, 1))
        unit = Tile(ROOMY, state, number)
        expected = unit.run(tile.config, vectors, None, 20 * window.results)
        got = traces[tile.tile].results
        np.testing.assert_array_equal(got.reshape(expected.shape), expected)
        assert (got[0] != got[1]).any()


def _one_pixel(random: np.random.Generator) -> tuple[Graph, Way]:
    """One convolution with one output pixel, and how it must be mapped."""
    while True:
        height, width, channels = (int(size) for size in random.integers(1, 5, 3))
        kernel, padding = int(random.integers(1, 5)), int(random.integers(0, 3))
        if random.random() < 0.3:
            height, width, padding = kernel, kernel, 0
        tall, wide = (extent + 2 * padding - kernel for extent in (height, width))
        if padding >= kernel or min(tall, wide) < 0:
            continue
        stride = max(tall, wide) + int(random.integers(1, 3))
        options = {"kernel": kernel, "padding": padding, "stride": stride, "relu": False}
        # Only then is an input vector the image itself.
        whole = tall == wide == padding == 0
        described = network(height, width, channels, conv("conv0", 7, **options))
        return described, Way.VECTORS if whole else Way.MAPS


def test_one_output_pixel_whatever_the_geometry() -> None:
    """Padding, or a kernel smaller than its input, also make one output pixel."""
    random = np.random.default_rng(6)
    ways = []
    for _ in range(24):
        described, expected = _one_pixel(random)
        assert way(described) is expected
        ways.append(expected)
        weights, x = random_weights(described), random_images(described, 4)
        program = compile_network(Network(described, weights), ROOMY, ReadMode.FOUR_PHASE)
        final, _ = _captured(program, ROOMY, _ideal(program, ROOMY), program.vectors(x))
        (maps,) = reference(described, weights, ROOMY, ReadMode.FOUR_PHASE, x).values()
        np.testing.assert_array_equal(final.reshape(maps.pooled.shape), maps.pooled)
    assert min(ways.count(each) for each in (Way.VECTORS, Way.MAPS)) >= 5


def test_no_images() -> None:
    program, chip = _compiled("residual", ReadMode.ONE_PHASE)
    x = random_images(RESIDUAL, 1)[:0]
    final, traces = _captured(program, chip, _ideal(program, chip), x)
    assert final.shape == (0, 1, 5)
    assert layers(program, traces)["conv2"].shape == (0, 4, 20)


def test_tiles_without_windows_take_a_vector_an_image() -> None:
    program, state = partial_sums(ReadMode.FOUR_PHASE), random_state(TINY, seed=3, tiles=3)
    x = np.random.default_rng(4).integers(-60, 61, (9, program.input_length)).astype(np.int8)
    got = machine.run(program, TINY, state, x[:, np.newaxis], first=3).outputs
    expected = machine.run(program, TINY, state, x, first=3).outputs
    np.testing.assert_array_equal(got, expected)


def _refused(sentence: str, call: Callable[[], object]) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(sentence)}$"):
        call()


def test_what_does_not_fit_is_reported() -> None:
    program, chip = _compiled("residual", ReadMode.ONE_PHASE)
    state, x = _ideal(program, chip), random_images(RESIDUAL, 2)
    _refused(
        "PCM state: tiles: got 20, expected 19, as in the program",
        lambda: machine.run(program, chip, random_state(chip, 1, tiles=20), x),
    )
    for bad, reported in ((x.astype(np.int16), "int16 [2, 64, 2]"), (x[:, :63], "int8 [2, 63, 2]")):
        _refused(
            f"inputs: {reported}: expected int8 [n, 64, 2]",
            lambda bad=bad: machine.run(program, chip, state, bad),
        )
    _refused(
        "inputs: int8 [64, 2]: expected int8 [n, 64, 2]",
        lambda: machine.run(program, chip, state, x[0]),
    )
    lstm = compile_network(random_network(6, 3, 0), TALL, ReadMode.ONE_PHASE)
    _refused(
        "program: has GDPU slices, and tiles that gather from feature maps: expected one of them",
        lambda: machine.Machine(replace(program, slices=lstm.slices), chip, state),
    )
    nothing = LstmState(np.zeros((2, 0), np.int8), np.zeros((2, 0), np.uint16))
    _refused(
        "initial state: got one, expected none: the program has no GDPU slices",
        lambda: machine.run(program, chip, state, x, initial=nothing),
    )


def _tile_of(program: Program, layer: str, rows: int = 0) -> int:
    return next(
        tile.tile
        for tile in computing(program)
        if (tile.block.layer, tile.block.rows) == (layer, rows)
    )


def test_maps_of_another_size_than_declared() -> None:
    program, chip = _compiled("residual", ReadMode.ONE_PHASE)
    state, x = _ideal(program, chip), random_images(RESIDUAL, 2)
    tiles = {tile.tile: tile for tile in computing(program)}

    first = _tile_of(program, "conv0")
    larger = replace(tiles[first].config.window, height=9)
    _refused(
        f"tile {first}: 'input': packets per input: got 64, expected 72",
        lambda: machine.run(change_config(program, first, window=larger), chip, state, x),
    )
    second = _tile_of(program, "conv0", 1)
    smaller = replace(tiles[second].config.window, groups=4, period=2)
    half = change_config(program, second, window=smaller, pooling=Pooling("max", 2, 8, 4))
    _refused(
        f"tile {second}: 'rx': packets per input: got 64, expected 32",
        lambda: machine.run(half, chip, state, x),
    )
    _refused(
        f"outputs: stream {program.outputs[0].stream}: packets per input: got 1, expected 2",
        lambda: machine.run(replace(program, output_pixels=2, output=None), chip, state, x),
    )


def test_replicas_that_do_not_send_as_many() -> None:
    """Half of the columns of one of them, at 4 of its 8 pixels that are left by pooling."""
    program, chip = _compiled("residual of replicas", ReadMode.ONE_PHASE)
    state, x = _ideal(program, chip), random_images(RESIDUAL, 2)
    changed = program
    for tile in computing(program):
        if (tile.block.layer, tile.block.replica) == ("conv0", 1):
            config = tile.config
            fewer = {"window": replace(config.window, groups=config.window.groups // 2)}
            if config.pooling:
                fewer["pooling"] = replace(config.pooling, width=config.pooling.width // 2)
            changed = change_config(changed, tile.tile, **fewer)
    with pytest.raises(UserError) as refusal:
        machine.run(changed, chip, state, x)
    # Which of the tiles is computed first is not said.
    sentence = r"tile \d+: '(input|rx)': packets per input: got 4, expected 8"
    assert re.fullmatch(sentence, str(refusal.value))
